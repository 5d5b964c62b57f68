"""From a workspace's id to its service: an async HTTP client over the Unix socket, kept per workspace."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from jupyter_mltrain._version import PROTOCOL
from jupyter_mltrain.client import starter, workspaces
from jupyter_mltrain.client.connection import Connection
from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.errors import ServiceUnavailable, WorkspaceNotFound

_TIMEOUT = httpx.Timeout(60.0, connect=5.0)


class Services:
    """The services that this Jupyter server talks to. Registered workspaces only."""

    def __init__(self) -> None:
        self._clients: dict[str, httpx.AsyncClient] = {}

    async def client(self, workspace: str, *, start: bool) -> httpx.AsyncClient:
        """A client for the workspace's service. Raises `WorkspaceNotFound` for an unregistered one and, unless `start`,
        `ServiceUnavailable` where none runs."""
        layout = Layout(await asyncio.to_thread(self.root, workspace))
        if not await asyncio.to_thread(starter.answers, layout):
            if not start:
                raise ServiceUnavailable(
                    "The service of this workspace is not running.", mend="It starts with the next action."
                )
            await asyncio.to_thread(Connection.open, layout.root)
        path = starter.socket_path(layout)
        if path not in self._clients:
            self._clients[path] = httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(uds=path, limits=httpx.Limits(max_connections=None)),
                base_url="http://service",
                timeout=_TIMEOUT,
                headers={"X-MLTrain-Protocol": str(PROTOCOL)},
            )
        return self._clients[path]

    @staticmethod
    def root(workspace: str) -> Path:
        """Where a registered workspace is. Raises `WorkspaceNotFound`."""
        root = workspaces.registered(workspace)
        if root is None:
            raise WorkspaceNotFound(f"Workspace {workspace[:60]!r} is not one of this user's.")
        return root

    @staticmethod
    def listing() -> list[dict[str, str]]:
        """Id and name of each registered workspace that is still there."""
        there = workspaces.all_registered()
        return [{"id": each, "name": workspaces.read_config(root).name} for each, root in there.items()]

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error in a service's answer, as the service wrote it."""
    try:
        found: dict[str, Any] = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return ServiceUnavailable(f"The service answered {response.status_code}.").to_wire()
    return found
