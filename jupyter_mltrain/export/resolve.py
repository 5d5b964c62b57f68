"""From a saved output back to its run, as it stands now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_mltrain.client.connection import Connection
from jupyter_mltrain.client.workspaces import find_root, read_config, registered
from jupyter_mltrain.errors import MLTrainError
from jupyter_mltrain.widgets import output

POINTS = 1000
"""Points per chart: more than a saved output has, for the reader who zooms."""


class Resolver:
    """Payload → payload of now. A run that cannot be reached stays as it was saved: an export must not fail for it."""

    def __init__(self, *, root: Path | None, start: Path) -> None:
        self._root = root
        self._start = start
        self._connections: dict[str, Connection | None] = {}

    def __call__(self, saved: Mapping[str, Any]) -> Mapping[str, Any]:
        workspace = str(saved.get("workspace") or "")
        if workspace not in self._connections:
            self._connections[workspace] = self._open(workspace)
        connection = self._connections[workspace]
        if connection is None:
            return saved
        try:
            return output.payload(connection.get(f"/v1/runs/{saved['run']}"), connection, points=POINTS)
        except MLTrainError:
            return saved

    def _open(self, workspace: str) -> Connection | None:
        # A workspace is opened only if its id is the one that the output names.
        for root in (self._root, find_root(self._start), registered(workspace) if workspace else None):
            try:
                if root is not None and read_config(root).id == workspace:
                    return Connection.open(root)
            except MLTrainError:
                continue
        return None
