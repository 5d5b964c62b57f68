"""The way back to a run: by its name, or the latest."""

from __future__ import annotations

from urllib.parse import quote

from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.errors import RunNotFound


def run(name: str, workspace: Workspace | None = None) -> Run:
    """The run with this display name (`brave-otter-7`) or id. Raises `RunNotFound` with the nearest names."""
    chosen = workspace or Workspace.from_config()
    return Run.of(chosen, chosen.connection.get(f"/v1/runs/{route_part(name)}"))


def latest(workspace: Workspace | None = None) -> Run:
    """The run that was submitted last. Raises `RunNotFound` in an empty workspace."""
    return run("latest", workspace)


def route_part(name: str) -> str:
    """A run's name as one part of a route. Raises `RunNotFound` for a name that no run has: it would leave its place."""
    if not name.strip(".") or "/" in name:
        raise RunNotFound.of(name)
    return quote(name, safe="")
