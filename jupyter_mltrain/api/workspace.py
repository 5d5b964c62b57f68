"""The workspace as users hold it: a folder."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from jupyter_mltrain.client import workspaces
from jupyter_mltrain.client.connection import Connection


class Workspace:
    """A folder with a `.mltrain` in it: its runs, environments, data and models, and the service that looks after them.

    `Workspace.from_config()` finds the nearest one; `Workspace.create(path=…)` makes one. Nothing is started until
    something is asked of the service.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).resolve()
        self._config = workspaces.read_config(self.root)

    @classmethod
    def from_config(cls, path: str | Path | None = None) -> Workspace:
        """The workspace of the nearest folder, from `path` (default: the current one) upward, that has a `.mltrain`.

        Raises `WorkspaceNotFound` naming `%mltrain init`.
        """
        return cls(workspaces.require_root(path))

    @classmethod
    def create(cls, name: str | None = None, path: str | Path | None = None, *, exist_ok: bool = False) -> Workspace:
        """Make the folder `path` (default: the current one) a workspace called `name` (default: the folder's name).

        Raises `ConflictError` if it is one already (unless `exist_ok`), `StorageError` for `$HOME` and `/`,
        `NotWritable` where it cannot be written.
        """
        return cls(workspaces.create_root(path or Path.cwd(), name, exist_ok=exist_ok))

    @property
    def id(self) -> str:
        """The workspace's UUID; a saved output holds it to find the way back."""
        return self._config.id

    @property
    def name(self) -> str:
        return self._config.name

    @cached_property
    def connection(self) -> Connection:
        """The way to the service, which is started if none runs."""
        return Connection.open(self.root)

    def get_details(self) -> dict[str, Any]:
        """Name, id, root, and what the service says of itself."""
        return {"name": self.name, "id": self.id, "root": str(self.root), "service": self.connection.get("/v1/hello")}

    def __repr__(self) -> str:
        return f"Workspace(name={self.name!r}, root={str(self.root)!r})"
