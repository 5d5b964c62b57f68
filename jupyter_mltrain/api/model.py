"""A registered version of a model."""

from __future__ import annotations

import builtins
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.api import model_registry
from jupyter_mltrain.api.described import Described
from jupyter_mltrain.api.resources import ResourceConfiguration
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.errors import AlreadyThere, ModelNotFound, UsageError, WorkspaceNotFound

if TYPE_CHECKING:
    from jupyter_mltrain.api.deployment import DeploymentConfiguration, InferenceConfig
    from jupyter_mltrain.api.run import Run
    from jupyter_mltrain.api.webservice import Webservice

_SERVED = "azureml-models"
"""Where an endpoint finds its models, below its working folder; the SDK's name, which entry scripts spell out."""


class Model(Described):
    """One version in the workspace's model registry: `Model(ws, "tf-mnist")` is the newest of that name.

    `id` (`name:version`) may stand for name and version. With `tags`, `properties` (`KEY` or `[KEY, VALUE]` each) or
    `run_id` it is the newest version that has them. Raises `ModelNotFound` with the nearest names.
    """

    class Framework:
        """Names of the frameworks, as the SDK spells them."""

        TENSORFLOW = "TensorFlow"
        SCIKITLEARN = "ScikitLearn"
        ONNX = "Onnx"
        CUSTOM = "Custom"

    def __init__(
        self,
        workspace: Workspace,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - the SDK's argument
        tags: Sequence[Any] | None = None,
        properties: Sequence[Any] | None = None,
        version: int | None = None,
        model_framework: str | None = None,
        run_id: str | None = None,
    ) -> None:
        self.workspace = workspace
        self.entry = model_registry.find(workspace, name, id, tags, properties, version, model_framework, run_id)
        """All that the registry says of this version."""

    @classmethod
    def of(cls, workspace: Workspace, entry: dict[str, Any]) -> Model:
        """The version that an answer of the service describes."""
        model = cls.__new__(cls)
        model.workspace, model.entry = workspace, entry
        return model

    @classmethod
    def register(
        cls,
        workspace: Workspace,
        model_path: str | Path,
        model_name: str,
        tags: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        description: str | None = None,
        datasets: Sequence[tuple[str, Any]] | None = None,
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        child_paths: Sequence[str] | None = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: ResourceConfiguration | None = None,
    ) -> Model:
        """Register a file or folder of this machine. The same content as an earlier version gives that version.

        `datasets`: (role, dataset) each, kept as tags. `child_paths` (a part of a folder) is not taken. Raises
        `PathNotFound`, `InvalidName`, `UsageError` (a folder with links, or nothing in it).
        """
        if child_paths is not None:
            raise UsageError("child_paths is not taken.", mend="Register a folder that holds those files alone.")
        said = model_registry.about(
            tags,
            properties,
            description,
            model_framework,
            model_framework_version,
            datasets,
            resource_configuration,
            sample_input_dataset,
            sample_output_dataset,
        )
        body = {"name": model_name, "path": str(Path(model_path).expanduser().absolute()), **said}
        return cls.of(workspace, workspace.connection.post("/v1/models", body, timeout=600))

    @classmethod
    def list(
        cls,
        workspace: Workspace,
        name: str | None = None,
        tags: Sequence[Any] | None = None,
        properties: Sequence[Any] | None = None,
        run_id: str | None = None,
        latest: bool = False,
    ) -> builtins.list[Model]:
        """All versions of all models, newest first; those that fit what is given. `latest`: of each name the newest."""
        found = model_registry.choose(workspace, name, tags, properties, run_id)
        if latest:
            newest: dict[str, dict[str, Any]] = {}
            for entry in found:
                if entry["version"] > newest.get(entry["name"], {"version": 0})["version"]:
                    newest[entry["name"]] = entry
            found = builtins.list(newest.values())
        return [cls.of(workspace, entry) for entry in found]

    @staticmethod
    def get_model_path(model_name: str, version: int | None = None, _workspace: Workspace | None = None) -> str:
        """Where a model's files are. In an entry script: in the folder that the endpoint was given; else `./<model_name>`
        if it is there, else in the registry of `_workspace` or of the workspace here. Raises `ModelNotFound`."""
        root = Path(_SERVED) / model_name
        served = sorted((int(p.name), p) for p in root.glob("*") if p.name.isdigit())
        for number, folder in reversed(served):
            if version in (None, number):
                entries = [*folder.iterdir()]
                return str(entries[0] if len(entries) == 1 else folder)
        if Path(model_name).exists():
            return model_name
        try:
            workspace = _workspace or Workspace.from_config()
        except WorkspaceNotFound:
            raise ModelNotFound(f"There is no model {model_name!r} in {_SERVED}/ or here, and no workspace.") from None
        return str(model_registry.files(workspace, model_name, version))

    @staticmethod
    def deploy(
        workspace: Workspace,
        name: str,
        models: Sequence[Model],
        inference_config: InferenceConfig | None = None,
        deployment_config: DeploymentConfiguration | None = None,
        deployment_target: Any = None,
        overwrite: bool = False,
        show_output: bool = False,
    ) -> Webservice:
        """Serve `models` as the endpoint `name`, without code for a SavedModel or Keras model: `api.deployment.deploy`."""
        from jupyter_mltrain.api.deployment import deploy  # noqa: PLC0415 - only who deploys needs it

        return deploy(
            workspace, name, models, inference_config, deployment_config, deployment_target, overwrite, show_output
        )

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
    def url(self) -> str:
        """What names this version everywhere: workspace, name and version."""
        return f"mltrain://{self.workspace.id}/models/{self.name}/{self.version}"

    @property
    def run_id(self) -> str | None:
        return self.entry["run_id"]

    @property
    def run(self) -> Run | None:
        """The run that it came from; None for files that no run made."""
        from jupyter_mltrain.api.lookup import run  # noqa: PLC0415 - each knows the other

        return None if self.run_id is None else run(self.run_id, self.workspace)

    @property
    def framework(self) -> str | None:
        return self.entry["framework"]

    @property
    def framework_version(self) -> str | None:
        return self.entry["framework_version"]

    model_framework = framework
    model_framework_version = framework_version

    @property
    def resource_configuration(self) -> ResourceConfiguration | None:
        """What serving it asks for."""
        return ResourceConfiguration.of(self.entry["resources"])

    @property
    def created_time(self) -> datetime:
        return datetime.fromtimestamp(self.entry["created"], UTC)

    @property
    def path(self) -> Path:
        """Where the registered files lie on this machine. A model is code: load it only where you would run it."""
        return model_registry.files(self.workspace, self.name, self.version)

    def download(self, target_dir: str | Path = ".", exist_ok: bool = False, exists_ok: bool | None = None) -> str:
        """Copy the files into `target_dir` and return the path of the copy. One that is there stops it (`AlreadyThere`,
        a `FileExistsError`) unless `exist_ok`."""
        source = self.path
        target = Path(target_dir) / source.name
        if target.exists() and not (exist_ok or exists_ok):
            raise AlreadyThere(f"{target} is there already.", mend="Give exist_ok=True to write over it.")
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, copy_function=shutil.copyfile, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, target)  # not its mode: the registry's files are read-only
        return str(target)

    def update(
        self,
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
    ) -> None:
        """Set what is given; `tags` take the place of those that were."""
        model_registry.check_sample_output(sample_output_dataset)
        self._change(
            tags=None if tags is None else {key: str(value) for key, value in tags.items()},
            description=description,
            sample_input=model_registry.reference(sample_input_dataset),
        )

    def add_tags(self, tags: Mapping[str, str]) -> None:
        self._change(tags={**self.tags, **{key: str(value) for key, value in tags.items()}})

    def remove_tags(self, tags: Sequence[str]) -> None:
        """Take tags away; those that are not there are no error."""
        gone = {tags} if isinstance(tags, str) else set(tags)
        self._change(tags={key: value for key, value in self.tags.items() if key not in gone})

    def add_properties(self, properties: Mapping[str, str]) -> None:
        """Add properties, which never change: raises `ConflictError` for one that is there with another value."""
        self._change(properties={key: str(value) for key, value in properties.items()})

    def delete(self) -> None:
        """Take this version out of the registry, with its files. Raises `ConflictError` while an endpoint serves it."""
        self.workspace.connection.delete(self._route)

    def serialize(self) -> dict[str, Any]:
        """What the registry says of it, under the SDK's names."""
        return {
            "name": self.name,
            "id": self.id,
            "version": self.version,
            "createdTime": self.created_time.isoformat(),
            "description": self.description,
            "tags": self.tags,
            "properties": self.properties,
            "runId": self.run_id,
            "framework": self.framework,
            "frameworkVersion": self.framework_version,
            "url": self.url,
        }

    @property
    def _route(self) -> str:
        return f"/v1/models/{self.name}/{self.version}"

    def _change(self, **changes: Any) -> None:
        given = {key: value for key, value in changes.items() if value is not None}
        if given:
            self.entry = self.workspace.connection.patch(self._route, given, timeout=60)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        from jupyter_mltrain.widgets.model_output import bundle  # noqa: PLC0415 - only when shown

        return bundle(self.entry, self.workspace.id, repr(self))

    def __repr__(self) -> str:
        return f"Model(workspace={self.workspace.name!r}, name={self.name}, id={self.id}, version={self.version})"
