"""`init`: a folder becomes a workspace."""

from __future__ import annotations

from pathlib import Path

from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.commands.display import Text


def init(context: Context, *, folder: str | None = None, name: str | None = None) -> Text:
    """Make `folder` (default: the current one) a workspace, called `name` (default: as the folder).

    Raises `ConflictError` if it is one already, `StorageError` where none can be.
    """
    from jupyter_mltrain.client.workspaces import create_root, find_root, read_config  # noqa: PLC0415

    target = (context.folder / Path(folder or ".").expanduser()).resolve()
    above = find_root(target.parent)
    root = create_root(target, name)
    lines = [
        f"{root} is a workspace now, called {read_config(root).name!r}. Its settings: {root / '.mltrain' / 'config.toml'}"
    ]
    if above is not None:
        lines.append(f"Note: it lies inside the workspace {above}; in {root} and below, the new one counts.")
    return Text("\n".join(lines))
