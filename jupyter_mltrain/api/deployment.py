"""`Model.deploy` and what it takes: a model as an endpoint, with or without an entry script."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.core.deployment import check_service_name
from jupyter_mltrain.errors import UsageError, WebserviceException

if TYPE_CHECKING:
    from jupyter_mltrain.api.environment import Environment
    from jupyter_mltrain.api.model import Model
    from jupyter_mltrain.api.webservice import Webservice
    from jupyter_mltrain.api.workspace import Workspace


class InferenceConfig:
    """An entry script with `init()` and `run(raw_data)`, and where it runs.

    `entry_script` is relative to `source_directory`, which the process finds below its current folder under its own name;
    without one the script stands there alone. `environment`: an `Environment` or `"name[:version]"` (default: that of
    the model's run, else `tensorflow`). The SDK's arguments for images (`runtime`, `conda_file`, …) are refused, naming
    `environment`.
    """

    def __init__(
        self,
        entry_script: str | Path,
        runtime: str | None = None,
        conda_file: str | None = None,
        extra_docker_file_steps: str | None = None,
        source_directory: str | Path | None = None,
        enable_gpu: bool | None = None,
        description: str | None = None,
        base_image: str | None = None,
        base_image_registry: Any = None,
        cuda_version: str | None = None,
        environment: Environment | str | None = None,
    ) -> None:
        images = {
            "runtime": runtime, "conda_file": conda_file, "extra_docker_file_steps": extra_docker_file_steps,
            "base_image": base_image, "base_image_registry": base_image_registry, "cuda_version": cuda_version,
            "enable_gpu": enable_gpu,
        }  # fmt: skip
        given = [name for name, value in images.items() if value]
        if given:
            raise UsageError(
                f"InferenceConfig({given[0]}=…) is not supported: an endpoint's packages are those of an environment.",
                mend="Use `environment=Environment.from_conda_specification(name, file)`, or another environment.",
            )
        self.entry_script = str(entry_script)
        self.source_directory = None if source_directory is None else str(source_directory)
        self.environment = environment
        self.description = description

    def validate_configuration(self) -> None:
        """Raise `WebserviceException` if the script or its folder is not there."""
        base = Path() if self.source_directory is None else Path(self.source_directory)
        if not base.is_dir():
            raise WebserviceException(
                f"The source folder {self.source_directory!r} is not there.", mend="Check its path."
            )
        if not (base / self.entry_script).is_file():
            raise WebserviceException(
                f"The entry script {self.entry_script!r} is not in {str(base)!r}.", mend="Check its path."
            )

    def to_wire(self, workspace: Workspace) -> dict[str, Any]:
        """As the service takes it; an environment that is not registered is, by this."""
        self.validate_configuration()
        if self.environment is None or isinstance(self.environment, str):
            reference = self.environment
        else:
            registered = self.environment if self.environment.version else self.environment.register(workspace)
            reference = f"{registered.name}:{registered.version}"
        if self.source_directory is None:
            script, source = str(Path(self.entry_script).resolve()), None
        else:
            script, source = Path(self.entry_script).as_posix(), str(Path(self.source_directory).resolve())
        return {
            "entry_script": script,
            "source_directory": source,
            "environment": reference,
        }


@dataclass
class DeploymentConfiguration:
    """How an endpoint is served; made by `LocalWebservice.deploy_configuration` and `AciWebservice.deploy_configuration`.
    Memory in GB (10⁹ bytes); a limit below what the framework needs is raised to that, and shown."""

    kind: str = "ACI"
    cpu_cores: float | None = None
    memory_gb: float | None = None
    port: int | None = None
    auth_enabled: bool | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    properties: Mapping[str, str] = field(default_factory=dict[str, str])
    description: str | None = None
    image: str | None = None

    def validate_configuration(self) -> None:
        """Raise `WebserviceException` for what cannot be."""
        for name, value in (("cpu_cores", self.cpu_cores), ("memory_gb", self.memory_gb)):
            number: Any = value  # what a caller really gave
            if number is not None and (isinstance(number, bool) or not isinstance(number, int | float) or number <= 0):
                raise WebserviceException(f"{name}={number!r}: it must be more than nothing.")
        port: Any = self.port
        if port is not None and (isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535):
            raise WebserviceException(f"port={port!r}: it must be a number from 1 to 65535.")

    def to_wire(self) -> dict[str, Any]:
        self.validate_configuration()
        return {
            "kind": self.kind,
            "cpu": self.cpu_cores,
            "memory_gb": self.memory_gb,
            "port": self.port,
            "auth_enabled": self.auth_enabled,
            "tags": {str(k): str(v) for k, v in self.tags.items()},
            "properties": {str(k): str(v) for k, v in self.properties.items()},
            "description": self.description or "",
            "image": self.image,
        }


def deploy(
    workspace: Workspace,
    name: str,
    models: Sequence[Model | str],
    inference_config: InferenceConfig | None = None,
    deployment_config: DeploymentConfiguration | None = None,
    deployment_target: Any = None,
    overwrite: bool = False,
    show_output: bool = False,
) -> Webservice:
    """Serve `models` (objects, or `"name[:version]"`) as the endpoint `name`; returns at once.

    Without `inference_config` one SavedModel, `.keras` or `.h5` model is served as it is, over TensorFlow Serving's REST
    paths and `/score`. A service that is there is replaced with `overwrite` (a local one always), without a request
    failing. `deployment_target`: a target with containers (`ws.compute_targets["box"]`, or its name) whose engine runs the
    server; requests go to this machine all the same. Raises `WebserviceException` for the name, the models, a port in
    use, a name that is taken, a target without containers; and what the environment raises.
    """
    from jupyter_mltrain.api.webservice import Webservice  # noqa: PLC0415 - each knows the other

    check_service_name(name)
    target = getattr(deployment_target, "name", deployment_target)
    body = {
        "name": name,
        "models": [reference(model) for model in models],
        "inference": None if inference_config is None else inference_config.to_wire(workspace),
        "deployment": {**(deployment_config or DeploymentConfiguration()).to_wire(), "target": target or "local"},
        "overwrite": overwrite,
        "kernel_python": sys.executable,
    }
    service = Webservice.of(workspace, workspace.connection.post("/v1/endpoints", body, timeout=600))
    if show_output:
        service.wait_for_deployment(show_output=True)
    return service


def reference(model: Model | str) -> dict[str, Any]:
    """A model as the service takes it."""
    if not isinstance(model, str):
        return {"name": model.name, "version": model.version}
    name, _, version = model.partition(":")
    if version and not version.isdigit():
        raise WebserviceException(f"{model!r} is no model: write NAME or NAME:VERSION.")
    return {"name": name, "version": int(version) if version else None}
