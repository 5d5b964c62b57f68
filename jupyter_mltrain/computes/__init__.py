"""Engines: where the processes of a run are."""
