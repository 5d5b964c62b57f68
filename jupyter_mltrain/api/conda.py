"""What a conda environment file lists, as an object that can be changed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from jupyter_mltrain.core.conda import CondaSpecification, package_name, python_version
from jupyter_mltrain.core.requirements import RequirementLines, requirement_name
from jupyter_mltrain.errors import UsageError

DEFAULT_FILE = "conda_dependencies.yml"


class CondaDependencies:
    """Packages for an environment: from PyPI (`pip`), and from conda channels.

        CondaDependencies.create(pip_packages=["tensorflow==2.20"], python_version="3.11")

    With pip packages alone nothing of conda is needed. Packages that runs bring along (`azureml-*`) may be listed; they
    are left out when the environment is registered, which records it.
    """

    def __init__(self, conda_dependencies_file_path: str | Path | None = None) -> None:
        """Those of a conda file; without one, this kernel's version of Python alone.

        Raises `PathNotFound`, and `UsageError` naming file and line.
        """
        self._specification = (
            CondaSpecification(python=f"{sys.version_info[0]}.{sys.version_info[1]}")
            if conda_dependencies_file_path is None
            else CondaSpecification.load(conda_dependencies_file_path)
        )

    @classmethod
    def create(
        cls,
        pip_indexurl: str | None = None,
        pip_packages: Iterable[str] | None = None,
        conda_packages: Iterable[str] | None = None,
        python_version: str | None = None,
        pin_sdk_version: bool = True,  # noqa: ARG003 - runs bring their own client
    ) -> CondaDependencies:
        """Those that are listed. `python_version`: "3.11", "3.11.7"; default: this kernel's."""
        made = cls()
        if python_version is not None:
            made.set_python_version(python_version)
        if pip_indexurl is not None:
            made.set_pip_option(f"--index-url {pip_indexurl}")
        for package in pip_packages or ():
            made.add_pip_package(package)
        for package in conda_packages or ():
            made.add_conda_package(package)
        return made

    @classmethod
    def of(cls, specification: CondaSpecification) -> CondaDependencies:
        made = cls()
        made._specification = specification
        return made

    @property
    def specification(self) -> CondaSpecification:
        return self._specification

    @property
    def pip_packages(self) -> list[str]:
        return [line for line in self._specification.pip if not line.startswith("-")]

    @property
    def pip_options(self) -> list[str]:
        return [line for line in self._specification.pip if line.startswith("-")]

    @property
    def conda_packages(self) -> list[str]:
        """With Python, without pip."""
        return [*self._python(), *self._specification.conda]

    @property
    def conda_channels(self) -> list[str]:
        return list(self._specification.channels)

    def get_python_version(self) -> str | None:
        """A version ("3.11.7") or a range; None for any."""
        return self._specification.python

    def set_python_version(self, version: str) -> None:
        """Raises `UsageError` for what is no version."""
        try:
            found = python_version(f"python{'=' if version[:1].isdigit() else ''}{version}")
        except ValueError:
            raise UsageError(f"{version!r} is no Python version.", mend='Write "3.11".') from None
        self._change(python=found)

    def add_pip_package(self, pip_package: str) -> None:
        """A line of a requirements file. It replaces an earlier one of the same package. Raises `UsageError` for a line
        that pip would not understand."""
        lines = RequirementLines(None)
        lines.take(pip_package.strip(), 1)
        self.remove_pip_package(pip_package)
        self._change(pip=(*self._specification.pip, *lines.requirements))

    def add_conda_package(self, conda_package: str) -> None:
        """A package of the conda channels, such as `numpy=1.26`; `python=3.11` sets the version of Python. It replaces an
        earlier one of the same package."""
        name = _conda_name(conda_package)
        if name == "python":
            try:
                self._change(python=python_version(conda_package))
            except ValueError:
                raise UsageError(f"{conda_package!r} is no Python version.", mend="Write python=3.11.") from None
        elif name != "pip":
            self.remove_conda_package(conda_package)
            self._change(conda=(*self._specification.conda, conda_package.strip()))

    def add_channel(self, channel: str) -> None:
        """A channel's name, address or folder; looked at after those that are there already."""
        if channel not in self._specification.channels:
            self._change(channels=(*self._specification.channels, channel))

    def add_tensorflow_pip_package(self, core_type: str = "cpu", version: str | None = None) -> None:
        """TensorFlow from PyPI, for a target without GPUs (`cpu`) or with them (`gpu`)."""
        if core_type not in ("cpu", "gpu"):
            raise UsageError(f"core_type is {core_type!r}.", mend="Give 'cpu' or 'gpu'.")
        name = "tensorflow-cpu" if core_type == "cpu" else "tensorflow-gpu"
        self.add_pip_package(f"{name}=={version}" if version else name)

    def add_tensorflow_conda_package(self, core_type: str = "cpu", version: str | None = None) -> None:
        """TensorFlow from the conda channels, for a target without GPUs (`cpu`) or with them (`gpu`)."""
        if core_type not in ("cpu", "gpu"):
            raise UsageError(f"core_type is {core_type!r}.", mend="Give 'cpu' or 'gpu'.")
        name = "tensorflow" if core_type == "cpu" else "tensorflow-gpu"
        self.add_conda_package(f"{name}={version}" if version else name)

    def remove_pip_package(self, pip_package: str) -> None:
        """Take out a package by its name, whatever its version. One that is not there is no error."""
        name = requirement_name(pip_package)
        self._change(pip=tuple(line for line in self._specification.pip if not name or requirement_name(line) != name))

    def remove_conda_package(self, conda_package: str) -> None:
        """Take out a package by its name, whatever its version. One that is not there is no error."""
        name = package_name(conda_package)
        self._change(conda=tuple(line for line in self._specification.conda if package_name(line) != name))

    def remove_channel(self, channel: str) -> None:
        self._change(channels=tuple(one for one in self._specification.channels if one != channel))

    def set_pip_option(self, pip_option: str) -> None:
        """A line of a requirements file that is an option, such as `--extra-index-url ADDRESS`."""
        lines = RequirementLines(None)
        lines.take(pip_option.strip(), 1)
        self._change(pip=tuple(dict.fromkeys((*lines.requirements, *self._specification.pip))))

    def set_pip_requirements(self, lines: Sequence[str]) -> None:
        """The lines of a requirements file in place of those that are there."""
        self._change(pip=())
        for line in lines:
            self.add_pip_package(line)

    def serialize_to_string(self) -> str:
        """The conda file, as text."""
        return self._specification.dumps()

    def save_to_file(self, base_directory: str | Path, conda_file_path: str | Path | None = None) -> str:
        """Write the conda file into `base_directory` as `conda_file_path` (default: conda_dependencies.yml); returns its
        path below that folder. A file that is there is written over."""
        relative = Path(conda_file_path or DEFAULT_FILE)
        path = Path(base_directory) / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.serialize_to_string(), encoding="utf-8")
        return str(relative)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CondaDependencies) and self._specification == other._specification

    __hash__ = None  # pyright: ignore[reportAssignmentType] - it can be changed

    def __repr__(self) -> str:
        return f"CondaDependencies(\n{self.serialize_to_string()})"

    def _python(self) -> list[str]:
        version = self._specification.python
        return [] if version is None else [f"python{'=' if version[:1].isdigit() else ''}{version}"]

    def _change(self, **changes: object) -> None:
        self._specification = replace(self._specification, **changes)  # pyright: ignore[reportArgumentType]


def _conda_name(package: str) -> str:
    name = package_name(package)
    if not name:
        raise UsageError(f"{package!r} is no conda package.", mend="Write numpy, or numpy=1.26.")
    return name
