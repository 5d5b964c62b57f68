"""Finds or starts the workspace's service and speaks to it over its Unix socket."""
