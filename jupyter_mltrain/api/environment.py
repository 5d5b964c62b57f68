"""An environment as users hold it: what to install, under a name and version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jupyter_mltrain.api import environment_folder
from jupyter_mltrain.api.build import EnvironmentBuild
from jupyter_mltrain.api.conda import CondaDependencies
from jupyter_mltrain.api.sections import DockerSection, PythonSection
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.core.conda import CondaSpecification
from jupyter_mltrain.core.dockerfile import dockerfile
from jupyter_mltrain.core.environment import DEFAULT_CPU_IMAGE, DEFAULT_GPU_IMAGE, EnvironmentDefinition
from jupyter_mltrain.core.ids import check_name
from jupyter_mltrain.core.requirements import from_pip_requirements
from jupyter_mltrain.core.spec import Substitution
from jupyter_mltrain.errors import UsageError

__all__ = ["DEFAULT_CPU_IMAGE", "DEFAULT_GPU_IMAGE", "CondaDependencies", "Environment"]


class Environment:
    """Packages for runs, to be changed until it is registered in a workspace:

        env = Environment.from_conda_specification("vision", "conda_dependencies.yml")
        env.python.conda_dependencies.add_pip_package("matplotlib")
        env.register(ws)

    A registered version never changes: its packages were resolved once, into a lock. `python` says what is installed,
    `docker` what a target that runs containers starts from, `environment_variables` what every run in it gets.
    """

    def __init__(self, name: str, *, definition: EnvironmentDefinition | None = None) -> None:
        """A new one, with this kernel's version of Python and no packages; or what `definition` says. Raises
        `InvalidName`."""
        python = CondaDependencies().get_python_version()
        self._take(definition or EnvironmentDefinition(name=check_name(name, "Environment"), python=python))
        self._workspace: Workspace | None = None

    @classmethod
    def get(
        cls, workspace: Workspace, name: str, version: int | str | None = None, label: str | None = None
    ) -> Environment:
        """A registered or curated environment, the newest version by default. A curated name of the SDK gives the nearest
        that exists today (`substitutions` says which), in capitals or not.

        Raises `EnvironmentNotFound`, and `SubstitutionRefused` if the workspace is `strict`.
        """
        if label is not None and label.casefold() != "latest":
            raise UsageError(f"There is no label {label!r}.", mend="Versions have numbers; the newest is the default.")
        reference = name if version is None else f"{name}:{version}"
        return cls._of(workspace.connection.get(f"/v1/environments/{quote(reference, safe='')}"), workspace)

    @staticmethod
    def list(workspace: Workspace) -> dict[str, Environment]:
        """Name → newest version of all environments of the workspace."""
        entries = workspace.connection.get("/v1/environments")["environments"]
        return {entry["name"]: Environment._of(entry, workspace) for entry in entries}

    @classmethod
    def from_conda_specification(cls, name: str, file_path: str | Path) -> Environment:
        """The environment that a conda file lists.

        Raises `InvalidName`, `PathNotFound`, and `UsageError` naming file and line for what cannot be read.
        """
        specification = CondaSpecification.load(file_path)
        return cls._from(specification.definition(check_name(name, "Environment")))

    @classmethod
    def from_pip_requirements(
        cls,
        name: str,
        file_path: str | Path,
        pip_version: str | None = None,  # noqa: ARG003 - uv installs what pip would
        *,
        python: str | None = None,
    ) -> Environment:
        """An environment of the packages in a requirements file, for a Python version ("3.11") or the one at hand.

        Raises `InvalidName`, `PathNotFound`, and `UsageError` naming file and line for what cannot be read.
        """
        return cls._from(from_pip_requirements(check_name(name, "Environment"), file_path, python))

    @classmethod
    def from_existing_interpreter(cls, name: str, path: str | Path) -> Environment:
        """An interpreter or virtual environment that you look after yourself; nothing is installed into it."""
        interpreter = str(Path(path).expanduser().absolute())
        return cls._from(EnvironmentDefinition(name=check_name(name, "Environment"), interpreter=interpreter))

    @classmethod
    def from_docker_image(
        cls,
        name: str,
        image: str,
        container_registry: Any = None,
        conda_specification: str | Path | None = None,
        pip_requirements: str | Path | None = None,
    ) -> Environment:
        """An environment on top of an image, for a target that runs containers, with the packages of a file if one is
        given. Raises as `from_conda_specification` and `from_pip_requirements`."""
        _no_registry(container_registry)
        made = cls._with_packages(name, conda_specification, pip_requirements)
        made.docker.enabled, made.docker.base_image = True, image
        return made

    @classmethod
    def from_dockerfile(
        cls,
        name: str,
        dockerfile: str | Path,
        conda_specification: str | Path | None = None,
        pip_requirements: str | Path | None = None,
    ) -> Environment:
        """An environment on top of what a Dockerfile (its path, or its text) makes, for a target that runs containers.
        Raises as `from_conda_specification` and `from_pip_requirements`."""
        made = cls._with_packages(name, conda_specification, pip_requirements)
        made.docker.enabled, made.docker.base_dockerfile = True, dockerfile
        return made

    @classmethod
    def load_from_directory(cls, path: str | Path) -> Environment:
        """The environment that `save_to_directory` wrote. Raises `PathNotFound`, and `UsageError` for what cannot be
        read."""
        return cls._from(environment_folder.load(Path(path)))

    def save_to_directory(self, path: str | Path, overwrite: bool = False) -> None:
        """Write the definition into a new folder: azureml_environment.json, conda_dependencies.yml with the packages, and a
        Dockerfile that makes the image which `docker.image = "build"` asks for; of an environment of a workspace with its
        exact packages, in files beside it.

        Raises `AlreadyThere` (a `FileExistsError`) where the folder exists, unless `overwrite`.
        """
        definition = self.definition
        if self._workspace is not None and definition.version is not None:
            reference = quote(f"{definition.name}:{definition.version}", safe="")
            made = self._workspace.connection.get(f"/v1/environments/{reference}/dockerfile")
            text, beside = made["dockerfile"], made["files"]
        else:
            image = definition.docker.base_image or DEFAULT_CPU_IMAGE
            given = next((one.given for one in definition.substitutions if one.kind == "base image"), image)
            text, beside = dockerfile(definition, None, given), {}
        environment_folder.save(definition, text, beside, Path(path), overwrite=overwrite)

    def clone(self, new_name: str) -> Environment:
        """The same under another name, unregistered. Raises `InvalidName`."""
        made = replace(self.definition, name=check_name(new_name, "Environment"), version=None, curated=False)
        return self._from(made)

    def register(self, workspace: Workspace) -> Environment:
        """Store it as a version and resolve its packages; the same content again gives the same version. What no longer
        exists is given as the nearest that does, and `substitutions` of what is returned says so.

        Raises `UserErrorException` for a curated name (`clone` gives it another), `ResolveError` with the resolver's own
        words, `PythonNotFound`, `Unreachable`.
        """
        stored = self._of(workspace.connection.post("/v1/environments", request_of(self.definition), timeout=600))
        self._take(stored.definition)
        self._workspace = workspace
        return self

    def build(self, workspace: Workspace, image_build_compute: object = None) -> EnvironmentBuild:  # noqa: ARG002
        """Start building it now, so that a run need not; registers it first. `.wait_for_completion(show_output=True)`
        shows the log."""
        if self.version is None:
            self.register(workspace)
        return EnvironmentBuild(workspace, f"{self.name}:{self.version}").start()

    @property
    def definition(self) -> EnvironmentDefinition:
        """What it says now. Its version is None where that is not what is registered."""
        now = self.python.into(self.docker.into(self._stored))
        now = replace(
            now,
            environment_variables={name: str(value) for name, value in self.environment_variables.items()},
            inferencing_stack_version=self.inferencing_stack_version,
        )
        if now.asked_key == self._stored.asked_key:
            return self._stored
        # What was given in place of what is asked for is found out anew.
        kept = tuple(one for one in now.substitutions if one.kind == "environment")
        return replace(now, version=None, given=None, substitutions=kept)

    @property
    def name(self) -> str:
        return self._stored.name

    @property
    def version(self) -> int | None:
        """None until it is registered, and again when it was changed."""
        return self.definition.version

    @property
    def substitutions(self) -> tuple[Substitution, ...]:
        """What was asked for by a name or version that exists no more, and is given as something else."""
        return self.definition.substitutions

    def __repr__(self) -> str:
        return f"Environment(Name: {self.name},\nVersion: {self.version})"

    def _take(self, definition: EnvironmentDefinition) -> None:
        self._stored = definition
        self.python = PythonSection(definition)
        self.docker = DockerSection(definition.docker)
        self.environment_variables: dict[str, str] = dict(definition.environment_variables)
        self.inferencing_stack_version = definition.inferencing_stack_version

    @classmethod
    def _from(cls, definition: EnvironmentDefinition) -> Environment:
        return cls(definition.name, definition=definition)

    @classmethod
    def _of(cls, entry: Mapping[str, Any], workspace: Workspace | None = None) -> Environment:
        made = cls._from(EnvironmentDefinition.from_json(entry))
        made._workspace = workspace  # noqa: SLF001
        return made

    @classmethod
    def _with_packages(cls, name: str, conda: str | Path | None, pip: str | Path | None) -> Environment:
        if conda is not None and pip is not None:
            raise UsageError("Both conda_specification and pip_requirements are given.", mend="Give one of them.")
        if conda is not None:
            return cls.from_conda_specification(name, conda)
        return cls.from_pip_requirements(name, pip) if pip is not None else cls(name)


def request_of(definition: EnvironmentDefinition) -> dict[str, Any]:
    """The body of `POST /v1/environments`."""
    raw: Mapping[str, Any] = definition.to_json()
    return {name: value for name, value in raw.items() if name not in ("format", "version", "curated", "given")}


def _no_registry(given: object) -> None:
    if given is not None:
        raise UsageError(
            "A registry's credentials are not kept with an environment.", mend="Log in where the image is pulled."
        )
