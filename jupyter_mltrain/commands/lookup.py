"""From the name that a user wrote to the thing it names."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from jupyter_mltrain.api.run import Run
    from jupyter_mltrain.api.workspace import Workspace


def part(name: str) -> str:
    """`name` as one part of a path of the service: nothing in it can leave its place."""
    return quote(name, safe="")


def find_run(workspace: Workspace, name: str) -> Run:
    """The run of that id or display name, or `latest`; raises `RunNotFound` with the nearest names."""
    from jupyter_mltrain.api.lookup import run  # noqa: PLC0415 - nothing is loaded before it is used

    return run(name, workspace)
