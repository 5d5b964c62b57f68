"""What clients send about environments."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from jupyter_mltrain.core.conda import CondaSpecification
from jupyter_mltrain.core.environment import DEFAULT_CPU_IMAGE, ContainerSettings, EnvironmentDefinition
from jupyter_mltrain.core.spec import Substitution
from jupyter_mltrain.errors import UsageError
from jupyter_mltrain.service.wire import Wire


class ContainerRequest(Wire):
    enabled: bool = False
    base_image: str | None = DEFAULT_CPU_IMAGE
    base_dockerfile: str | None = None
    image: Literal["", "build"] = ""
    shm_size: str | None = None
    arguments: list[str] = []


class SubstitutionRequest(Wire):
    kind: str
    asked: str
    given: str
    reason: str


class EnvironmentRequest(Wire):
    """An environment to register or to look at; the fields of `core.environment.EnvironmentDefinition` that a user gives.

    `specification`: a conda file's text, in place of python, pip, conda and channels.
    """

    name: str
    python: str | None = None
    pip: list[str] = []
    pip_gpu: list[str] = []
    constraints: list[str] = []
    conda: list[str] = []
    channels: list[str] = []
    adaptations: list[str] = []
    imports: list[str] = []
    environment_variables: dict[str, str] = {}
    interpreter: str | None = None
    docker: ContainerRequest = ContainerRequest()
    inferencing_stack_version: str | None = None
    description: Annotated[str, Field(max_length=10_000)] = ""
    substitutions: list[SubstitutionRequest] = []
    specification: Annotated[str, Field(max_length=1_000_000)] | None = None

    def definition(self) -> EnvironmentDefinition:
        """Raises `UsageError` naming the line of `specification` that is wrong."""
        asked = EnvironmentDefinition(
            name=self.name,
            python=self.python,
            pip=tuple(self.pip),
            pip_gpu=tuple(self.pip_gpu),
            constraints=tuple(self.constraints),
            conda=tuple(self.conda),
            channels=tuple(self.channels),
            adaptations=tuple(self.adaptations),
            imports=tuple(self.imports),
            environment_variables=self.environment_variables,
            interpreter=self.interpreter,
            docker=ContainerSettings.from_json(self.docker.model_dump()),
            inferencing_stack_version=self.inferencing_stack_version,
            description=self.description,
            substitutions=tuple(Substitution(**one.model_dump()) for one in self.substitutions),
        )
        if self.specification is None:
            return asked
        if self.python or self.pip or self.conda or self.channels:
            raise UsageError("Both a conda specification and lists of packages are given.", mend="Give one of them.")
        read = CondaSpecification.loads(self.specification)
        return replace(
            asked,
            python=read.python,
            pip=read.pip,
            constraints=(*asked.constraints, *read.constraints),
            conda=read.conda,
            channels=read.channels,
            environment_variables={**read.variables, **asked.environment_variables},
        )


class BuildRequest(Wire):
    gpus: bool | None = None


class PruneRequest(Wire):
    """Take away what is built and was not used for so many days."""

    unused_days: Annotated[float, Field(ge=0)] = 30.0
