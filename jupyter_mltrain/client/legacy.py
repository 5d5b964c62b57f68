"""The SDK's `config.json`: where it is looked for, what it says, and which folder it makes a workspace.

The file names a workspace of a cloud that is gone. What it is still good for: scripts and notebooks that carry one go on
working, in a workspace of the same name beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_mltrain.errors import UserErrorException, WorkspaceNotFound

_FOLDERS = (".azureml", "aml_config", "")
_FILES = ("config.json", "project.json")
_KEYS = ("subscription_id", "resource_group", "workspace_name")
_SCOPE_PARTS = 9

LOCAL = "local"
"""What stands for subscription, resource group and location of a workspace that is a folder."""


@dataclass(frozen=True)
class LegacyConfig:
    """What a `config.json` says; `root` is the folder that it belongs to, `id` that of the workspace that wrote it."""

    path: Path
    name: str
    subscription_id: str
    resource_group: str
    id: str | None = None

    @property
    def root(self) -> Path:
        folder = self.path.parent
        return folder.parent if folder.name in _FOLDERS else folder


def find(start: Path, file_name: str | None = None) -> LegacyConfig | None:
    """The configuration that the SDK would find from `start`: the file itself, or the first of its places in the folder
    and all above it, `.azureml` of any of them before `config.json` of the nearest. None without one.

    Raises `UserErrorException` for one that cannot be read.
    """
    if start.is_file():
        return read(start)
    for folder in _FOLDERS:
        for name in (file_name,) if file_name else _FILES:
            for above in (start, *start.parents):
                path = above / folder / name
                if path.is_file() and (file_name or folder or _names_a_workspace(path)):
                    return read(path)
    return None


def read(path: Path) -> LegacyConfig:
    """What the file says, in its three-key form or with a `Scope`. Raises `UserErrorException`."""
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WorkspaceNotFound(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UserErrorException(f"{path} is no JSON: {error}.", mend="Correct that line by hand.") from error
    scope = raw.get("Scope") if isinstance(raw, dict) else None
    parts = scope.split("/") if isinstance(scope, str) else []
    if len(parts) >= _SCOPE_PARTS:
        raw = {**raw, **dict(zip(_KEYS, (parts[2], parts[4], parts[8]), strict=True))}
    missing = [key for key in _KEYS if not isinstance(raw, dict) or not isinstance(raw.get(key), str)]
    if missing:
        raise UserErrorException(
            f"{path} has no {' and no '.join(missing)}.", mend="It needs these three keys, or a `Scope`."
        )
    told = raw.get("mltrain")
    return LegacyConfig(
        path.resolve(),
        raw["workspace_name"],
        raw["subscription_id"],
        raw["resource_group"],
        told if isinstance(told, str) else None,
    )


def write(folder: Path, file_name: str | None, config: LegacyConfig) -> Path:
    """Write `config` where `find` from `folder` finds it: in `.azureml/`, or `aml_config/` where there is one."""
    place = next((folder / name for name in ("aml_config",) if (folder / name).is_dir()), folder / ".azureml")
    place.mkdir(parents=True, exist_ok=True)
    path = place / (file_name or "config.json")
    content = {
        "subscription_id": config.subscription_id,
        "resource_group": config.resource_group,
        "workspace_name": config.name,
        "mltrain": config.id,
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def _names_a_workspace(path: Path) -> bool:
    """Whether a bare `config.json`, a name that many programs use, is one of the SDK's at all."""
    return any(name in _keys(path) for name in (*_KEYS, "Scope"))


def _keys(path: Path) -> Iterator[str]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return iter(())
    return iter(raw) if isinstance(raw, dict) else iter(())
