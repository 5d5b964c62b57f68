"""The way back to a run: by its name, or the latest."""

from __future__ import annotations

from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace


def run(name: str, workspace: Workspace | None = None) -> Run:
    """The run with this display name (`brave-otter-7`) or id. Raises `RunNotFound` with the nearest names."""
    chosen = workspace or Workspace.from_config()
    return Run.of(chosen, chosen.connection.get(f"/v1/runs/{name}"))


def latest(workspace: Workspace | None = None) -> Run:
    """The run that was submitted last. Raises `RunNotFound` in an empty workspace."""
    return run("latest", workspace)
