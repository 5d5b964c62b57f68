"""A registered version of a model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from jupyter_mltrain.api.workspace import Workspace


class Model:
    """One version in the workspace's model registry. `Model.named(ws, "tf-mnist")` finds the newest."""

    class Framework:
        """Names of the frameworks, as the SDK spells them."""

        TENSORFLOW = "TensorFlow"
        SCIKITLEARN = "ScikitLearn"
        ONNX = "Onnx"
        CUSTOM = "Custom"

    def __init__(self, workspace: Workspace, entry: dict[str, Any]) -> None:
        self.workspace = workspace
        self.entry = entry
        """All that the registry says of this version."""

    @classmethod
    def named(cls, workspace: Workspace, name: str, version: int | None = None) -> Model:
        """The version of `name` (default: the newest). Raises `ModelNotFound` with the nearest names."""
        path = f"/v1/models/{name}" + (f"/{version}" if version is not None else "")
        return cls(workspace, workspace.connection.get(path, timeout=60))

    @classmethod
    def list(cls, workspace: Workspace) -> list[Model]:
        """All versions of all models, newest first."""
        return [cls(workspace, entry) for entry in workspace.connection.get("/v1/models", timeout=60)["models"]]

    @property
    def name(self) -> str:
        return str(self.entry["name"])

    @property
    def version(self) -> int:
        return int(self.entry["version"])

    @property
    def id(self) -> str:
        return str(self.entry["id"])

    @property
    def run_id(self) -> str | None:
        return self.entry.get("run_id")

    @property
    def tags(self) -> dict[str, str]:
        return dict(self.entry["tags"])

    @property
    def path(self) -> Path:
        """Where the registered files lie on this machine. A model is code: load it only where you would run it."""
        return Path(self.workspace.connection.get(f"/v1/models/{self.name}/{self.version}/path", timeout=60)["path"])

    def download(self, target_dir: str | Path = ".", exist_ok: bool = False) -> str:
        """Copy the files into `target_dir` and return the path of the copy. An existing one stops it unless `exist_ok`."""
        source = self.path
        target = Path(target_dir) / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=exist_ok)
        elif target.exists() and not exist_ok:
            raise FileExistsError(target)
        else:
            shutil.copy2(source, target)
        return str(target)

    def __repr__(self) -> str:
        return f"Model(workspace={self.workspace.name!r}, name={self.name}, id={self.id}, version={self.version})"
