"""The service of a workspace: queue, state machine, ingestion, routes."""
