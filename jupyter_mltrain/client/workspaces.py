"""Which folder is the workspace, how one is made, and the user's registry of workspaces. Paths and files only."""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_mltrain.core.ids import new_workspace_id
from jupyter_mltrain.core.layout import FOLDER, Layout
from jupyter_mltrain.errors import ConflictError, NotWritable, StorageError, WorkspaceNotFound

_CONFIG = """\
# A workspace of jupyter_mltrain. No secrets here, ever.
id = {id}
name = {name}

# true: refuse what a legacy name asks for and this machine cannot give, instead of substituting and recording it
strict = false

[defaults]
# target = "local"
# environment = "tensorflow"

[targets.local]
# slots = 2                          # runs at once on this machine; default: half of its CPUs

[tracking]
# uri = "http://mlflow.example:5000"  # a team's MLflow server; default: embedded in this folder
# publish = false                     # keep runs in this folder only; models are registered all the same
"""


@dataclass(frozen=True)
class WorkspaceConfig:
    """What `config.toml` says."""

    id: str
    name: str
    raw: dict[str, Any]


def find_root(start: Path | str | None = None) -> Path | None:
    """The nearest folder, from `start` (default: the current one) upward, that holds a `.mltrain`; None without one."""
    here = Path(start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / FOLDER / "config.toml").is_file():
            return folder
    return None


def require_root(start: Path | str | None = None) -> Path:
    """Like `find_root`, but raises `WorkspaceNotFound` naming the mend."""
    root = find_root(start)
    if root is None:
        raise WorkspaceNotFound(
            f"There is no workspace in {Path(start or Path.cwd()).resolve()} or above it.",
            mend="Make one with `%mltrain init`, or change to a folder that has one.",
        )
    return root


def create_root(folder: Path | str, name: str | None = None, *, exist_ok: bool = False) -> Path:
    """Make `folder` a workspace (mode 0700, ignored by git) and enter it in the user's registry.

    Raises `StorageError` for `$HOME` and `/`, where a workspace would swallow everything below it, `NotWritable`
    where it cannot be written, `ConflictError` if there is one already (unless `exist_ok`).
    """
    root = Path(folder).resolve()
    if root in {Path.home().resolve(), Path("/")}:
        raise StorageError(
            f"{root} is no place for a workspace: everything below it would belong to it.",
            mend="Change to a project folder first, or name one: `%mltrain init FOLDER`.",
        )
    layout = Layout(root)
    if layout.config.is_file():
        if exist_ok:
            return root
        raise ConflictError(f"{root} is a workspace already.", mend="Use it with `Workspace.from_config()`.")
    workspace_id, label = new_workspace_id(), name or root.name or "workspace"
    try:
        layout.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        layout.folder.chmod(0o700)
        _write(layout.folder / ".gitignore", "*\n")
        # The config comes last: a folder without one is not a workspace yet.
        _write(layout.config, _CONFIG.format(id=json.dumps(workspace_id), name=json.dumps(label, ensure_ascii=False)))
    except OSError as error:
        raise NotWritable(
            f"{root} cannot hold a workspace: {error.strerror}.",
            mend="Name a folder that you can write: `%mltrain init FOLDER`.",
        ) from error
    register(workspace_id, root)
    return root


def read_config(root: Path) -> WorkspaceConfig:
    """The workspace's settings; raises `StorageError` naming file and line when the file does not parse."""
    path = Layout(root).config
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise StorageError(f"{path} does not parse: {error}.", mend="Correct that line by hand.") from error
    except OSError as error:
        raise WorkspaceNotFound(f"{path} cannot be read: {error.strerror}.") from error
    workspace_id = raw.get("id")
    if not isinstance(workspace_id, str):
        raise StorageError(f"{path} has no `id`.", mend="Restore the file, or make a new workspace.")
    return WorkspaceConfig(workspace_id, str(raw.get("name") or root.name), raw)


def registry_folder() -> Path:
    """The user's registry of workspaces, mode 0700: `<uuid>.json` → `{"root"}`."""
    from platformdirs import user_state_path  # noqa: PLC0415 - 5 ms that only some calls need

    chosen = os.environ.get("JUPYTER_MLTRAIN_STATE")
    folder = (Path(chosen) if chosen else user_state_path("jupyter-mltrain")) / "workspaces"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def register(workspace_id: str, root: Path) -> None:
    """Enter a workspace in the registry, so that saved outputs find it; a moved workspace is entered anew."""
    try:
        path = registry_folder() / f"{workspace_id}.json"
        if registered(workspace_id) != root:
            _write(path, json.dumps({"root": str(root)}))
    except OSError:
        # A home that cannot be written costs only the way back from saved outputs; `doctor` reports it.
        return


def registered(workspace_id: str) -> Path | None:
    """The root of a registered workspace that still exists, or None."""
    path = registry_folder() / f"{Path(workspace_id).name}.json"
    try:
        root = Path(json.loads(path.read_text(encoding="utf-8"))["root"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return root if Layout(root).config.is_file() else None


def all_registered() -> dict[str, Path]:
    """Id → root of the user's workspaces that are still there."""
    found = {entry.stem: registered(entry.stem) for entry in sorted(registry_folder().glob("*.json"))}
    return {workspace_id: root for workspace_id, root in found.items() if root is not None}


def _write(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        file.write(text)
    Path(file.name).replace(path)
