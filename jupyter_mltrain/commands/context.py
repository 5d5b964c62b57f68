"""Where a command is given: the kernel's or the terminal's folder, names and voice; and which workspace that means."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.core.ids import slug
from jupyter_mltrain.errors import MLTrainError, StorageError

if TYPE_CHECKING:
    from jupyter_mltrain.api.workspace import Workspace


def _print(text: str) -> None:
    print(text)  # noqa: T201 - the voice of a command, unless its place has another


@dataclass(frozen=True)
class Context:
    """`folder` is the current one, `namespace` the kernel's names (empty in a terminal), `notebook` the path or name of
    the notebook if it is known, `say` shows a line to the user, `terminal` tells a shell from a notebook."""

    folder: Path
    namespace: Mapping[str, Any] = field(default_factory=dict)
    notebook: str | None = None
    say: Callable[[str], None] = _print
    terminal: bool = False

    @property
    def experiment(self) -> str:
        """The experiment of runs that name none: the notebook's name, else the folder's, slugged."""
        if self.notebook:
            return slug(Path(self.notebook).stem)
        return slug(self.folder.name)

    @property
    def program(self) -> str:
        """How a verb is called here, for messages."""
        return "jupyter mltrain" if self.terminal else "%mltrain"

    def workspace(self) -> Workspace:
        """The workspace of the folder; raises `WorkspaceNotFound` if there is none."""
        from jupyter_mltrain.api.workspace import Workspace  # noqa: PLC0415 - nothing is loaded before it is used
        from jupyter_mltrain.client.workspaces import require_root  # noqa: PLC0415

        return Workspace.from_config(require_root(self.folder))

    def workspace_or_new(self) -> Workspace:
        """The workspace of the folder; without one, `folder` becomes one and the user is told.

        Raises `StorageError` where none can be made: `$HOME`, `/`, a folder that is read-only.
        """
        from jupyter_mltrain.client.workspaces import create_root, find_root  # noqa: PLC0415

        if find_root(self.folder) is None:
            try:
                root = create_root(self.folder, exist_ok=True)
            except StorageError as error:
                raise self._nowhere(error) from error
            # No absolute path: a notebook is saved with what is said, and sent around.
            self.say(
                f"Made the folder {root.name!r} a workspace: runs, environments and models are kept in its .mltrain."
            )
        return self.workspace()

    def _nowhere(self, error: MLTrainError) -> MLTrainError:
        mend = f"Make a workspace in a project folder: `{self.program} init FOLDER`, then change to it (`%cd FOLDER`)."
        if self.terminal:
            mend = f"Make a workspace in a project folder: `{self.program} init FOLDER`, then change to it."
        return type(error)(error.message, mend=mend, **error.details)


def notebook_name(namespace: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> str | None:
    """The notebook that a kernel belongs to, as its front end tells it, or None (nbclient, a console)."""
    # VS Code sets a name in the kernel; Jupyter Server the environment variable (for consoles: no notebook's name).
    for told in (namespace.get("__vsc_ipynb_file__"), environ.get("JPY_SESSION_NAME")):
        if isinstance(told, str) and told.endswith(".ipynb"):
            return told
    return None
