"""The parts of an environment that the SDK calls sections: `env.python` and `env.docker`."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from jupyter_mltrain.api.conda import CondaDependencies
from jupyter_mltrain.api.environment_folder import dockerfile_text
from jupyter_mltrain.core.conda import CondaSpecification, of_definition
from jupyter_mltrain.core.environment import BUILD, ContainerSettings, EnvironmentDefinition
from jupyter_mltrain.errors import UsageError


class PythonSection:
    """What is installed. `user_managed_dependencies`: nothing is, `interpreter_path` has what is needed already."""

    def __init__(self, definition: EnvironmentDefinition) -> None:
        self.user_managed_dependencies = definition.user_managed
        self.interpreter_path = definition.interpreter or "python"
        self._conda = CondaDependencies.of(of_definition(definition))

    @property
    def conda_dependencies(self) -> CondaDependencies:
        """The packages; never None."""
        return self._conda

    @conda_dependencies.setter
    def conda_dependencies(self, value: CondaDependencies | None) -> None:
        self._conda = CondaDependencies() if value is None else value

    @property
    def conda_dependencies_file(self) -> str | None:
        """Set it to a conda file to take the packages from there."""
        return None

    @conda_dependencies_file.setter
    def conda_dependencies_file(self, value: str | Path | None) -> None:
        if value is not None:
            self._conda = CondaDependencies(value)

    def into(self, definition: EnvironmentDefinition) -> EnvironmentDefinition:
        """`definition` with what this section says."""
        now: CondaSpecification = self._conda.specification
        added = tuple(line for line in now.pip if line not in definition.pip)
        gone = frozenset(definition.pip) - frozenset(now.pip)
        # The list for GPUs differs in some lines; what was added to or taken from one is added to or taken from both.
        gpu = (*(line for line in definition.pip_gpu if line not in gone), *added) if definition.pip_gpu else ()
        return replace(
            definition,
            python=now.python,
            pip=now.pip,
            pip_gpu=gpu,
            constraints=now.constraints,
            conda=now.conda,
            channels=now.channels,
            interpreter=self._interpreter(definition.docker) if self.user_managed_dependencies else None,
        )

    def _interpreter(self, docker: ContainerSettings) -> str:
        """The interpreter's full path: the service looks from elsewhere. A name alone is left to an image that was asked
        for, which has its own."""
        if "/" not in self.interpreter_path and docker.asked:
            return self.interpreter_path
        path = Path(self.interpreter_path).expanduser()
        if path.is_absolute():
            return str(path)
        found = shutil.which(self.interpreter_path) if "/" not in self.interpreter_path else str(path.absolute())
        if found is None:
            raise UsageError(
                f"There is no {self.interpreter_path!r} on PATH.",
                mend="Set env.python.interpreter_path to its full path.",
            )
        return found


class DockerSection:
    """What a target that runs containers starts from; a target that runs none records that it is not used.

    `base_image`: an image's name; `base_dockerfile`: a Dockerfile's path or text, in place of an image. `image`: "build" has
    the packages built into an image on top of that (with a Dockerfile they always are); None: they lie in a volume beside
    it. `shm_size`: Docker's notation ("2g"). `arguments`: more for `docker run`, of those that are safe.
    """

    def __init__(self, settings: ContainerSettings) -> None:
        self.enabled = settings.enabled
        self.shm_size = settings.shm_size
        self.arguments = list(settings.arguments)
        self.gpu_support = True  # the SDK's: a target's GPUs are seen
        self._base_image = settings.base_image
        self._image = settings.image
        self._dockerfile = settings.base_dockerfile

    @property
    def base_image(self) -> str | None:
        return self._base_image

    @base_image.setter
    def base_image(self, value: str | None) -> None:
        self._base_image = value
        if value is not None:
            self._dockerfile = None

    @property
    def base_dockerfile(self) -> str | None:
        """The text."""
        return self._dockerfile

    @base_dockerfile.setter
    def base_dockerfile(self, value: str | Path | None) -> None:
        self._dockerfile = None if value is None else dockerfile_text(value)
        if value is not None:
            self._base_image = None

    @property
    def image(self) -> str | None:
        """ "build", or None."""
        return self._image or None

    @image.setter
    def image(self, value: str | None) -> None:
        if value not in (None, "", BUILD):
            raise UsageError(
                f"docker.image is {value!r}.",
                mend=f"Give {BUILD!r}, or None; an image's name goes into docker.base_image.",
            )
        self._image = value or ""

    def into(self, definition: EnvironmentDefinition) -> EnvironmentDefinition:
        """`definition` with what this section says."""
        settings = ContainerSettings(
            enabled=bool(self.enabled),
            base_image=self._base_image,
            base_dockerfile=self._dockerfile,
            image=self._image,
            shm_size=self.shm_size,
            arguments=tuple(self.arguments),
        )
        return replace(definition, docker=settings)
