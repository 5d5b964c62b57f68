"""Taking a container away, whoever else is about to do the same. Blocking."""

from __future__ import annotations

import docker.errors

from jupyter_mltrain.computes.docker.dialling import Client

_DONE = (404, 409)
"""It is not there (any more), or somebody is removing it."""


def remove(client: Client, container: str) -> None:
    """End and remove a container. Idempotent; where somebody else is at it, the container may be there for a moment more."""
    try:
        client.remove_container(container, force=True)
    except docker.errors.APIError as error:
        if error.status_code not in _DONE:
            raise
