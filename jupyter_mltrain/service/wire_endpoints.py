"""What clients send about endpoints, checked; see `service.wire`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from jupyter_mltrain.service.wire import Wire


class ModelReference(Wire):
    name: str
    version: Annotated[int, Field(ge=1)] | None = None


class InferenceRequest(Wire):
    """An entry script. `source_directory` is absolute; `entry_script` is relative to it, or, without one, absolute."""

    entry_script: str
    source_directory: str | None = None
    environment: str | None = None
    environment_variables: dict[str, str] = {}


class DeploymentRequest(Wire):
    """How it is served; what is None is left to the model's registration, and then to this machine. `target`: the compute
    target whose containers hold its server; `image`: one with a server of its own, in place of ours."""

    kind: Literal["Local", "ACI"] = "ACI"
    cpu: Annotated[float, Field(gt=0)] | None = None
    memory_gb: Annotated[float, Field(gt=0)] | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    target: Annotated[str, Field(min_length=1)] = "local"
    image: str | None = None
    auth_enabled: bool | None = None
    tags: dict[str, str] = {}
    properties: dict[str, str] = {}
    description: str = ""


class EndpointRequest(Wire):
    """An endpoint to make. `kernel_python`: the interpreter that the environment "current" means."""

    name: str
    models: list[ModelReference] = []
    inference: InferenceRequest | None = None
    deployment: DeploymentRequest = DeploymentRequest()
    overwrite: bool = False
    kernel_python: str | None = None


class ModelDeployment(Wire):
    """A registered version to serve as it is: what a form may ask for. `name`: of the endpoint."""

    name: str
    deployment: DeploymentRequest = DeploymentRequest()
    overwrite: bool = False

    def of(self, model: str, version: int) -> EndpointRequest:
        """The same as a request for any endpoint."""
        models = [ModelReference(name=model, version=version)]
        return EndpointRequest(name=self.name, models=models, deployment=self.deployment, overwrite=self.overwrite)


class EndpointChanges(Wire):
    """What is None stays as it is."""

    models: list[ModelReference] | None = None
    inference: InferenceRequest | None = None
    cpu: Annotated[float, Field(gt=0)] | None = None
    memory_gb: Annotated[float, Field(gt=0)] | None = None
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    auth_enabled: bool | None = None
    tags: dict[str, str] | None = None
    properties: dict[str, str] | None = None
    description: str | None = None
    kernel_python: str | None = None


class KeyRequest(Wire):
    key: Literal["primary", "secondary"]
    value: Annotated[str, Field(min_length=16, max_length=200, pattern=r"^[\x21-\x7e]+$")] | None = None


class TestRequest(Wire):
    """A request to pass on to the endpoint: to `/score`, or to another of its paths."""

    path: str = "/score"
    body: Any = None
    text: str | None = None


class OutputSmokeRequest(Wire):
    """`path`: in the run's outputs. `sample`: as of `SmokeRequest`."""

    path: str
    sample: Any = None


class SmokeRequest(Wire):
    """`sample`: what `inputs` of a request takes; without one, zeros."""

    sample: Any = None
    environment: str | None = None
