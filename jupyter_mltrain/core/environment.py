"""What a Python environment is, and what it resolves to. A definition is what a user wrote; a lock is what it means.

`.mltrain/environments/<name>/<version>.json` holds a definition, `<version>.<variant>.lock` beside it a lock.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from jupyter_mltrain.core.spec import Substitution

if TYPE_CHECKING:
    from jupyter_mltrain.core import wire_catalog

FORMAT = 1
"""Version of the stored definition and lock; a reader of a newer package understands all older ones."""

CURRENT = "current"
"""Name of the environment that is the kernel's own interpreter; never built, never stored."""


DEFAULT_CPU_IMAGE = "python:3.11-slim-bookworm"
"""Base image of an environment that names none, on a target that runs containers."""

DEFAULT_GPU_IMAGE = "nvidia/cuda:11.8.0-cudnn8-runtime-ubuntu22.04"
"""A base image with the CUDA that TensorFlow 2.12 needs; newer ones bring their own CUDA as packages."""


DEFAULT_CHANNELS = ("conda-forge",)
"""Where conda packages come from where nobody says otherwise."""


def default_image(python: str = "", *, gpu: bool = False) -> str:
    """The base image that is taken where nobody names one, for a minor version of Python."""
    if gpu:
        return DEFAULT_GPU_IMAGE
    return re.sub(r"3\.\d+", python, DEFAULT_CPU_IMAGE) if python else DEFAULT_CPU_IMAGE


BUILD = "build"
"""Of `ContainerSettings.image`, and of a target's setting of that name: environments become images."""


@dataclass(frozen=True)
class ContainerSettings:
    """What an environment asks of a target that runs containers; a target that runs none says that it does not use them.

    `base_image` and `base_dockerfile` (its text) exclude each other. `image`: `BUILD` has the packages built into an image
    on top of that; empty, they lie in a volume beside it. `shm_size`: Docker's notation ("2g").
    """

    enabled: bool = False
    base_image: str | None = DEFAULT_CPU_IMAGE
    base_dockerfile: str | None = None
    image: str = ""
    shm_size: str | None = None
    arguments: tuple[str, ...] = ()

    @property
    def asked(self) -> bool:
        """Whether an image was asked for: one that is not taken anyway."""
        return self.base_dockerfile is not None or self.base_image not in (None, DEFAULT_CPU_IMAGE)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> ContainerSettings:
        return cls(**_known(cls, raw))


@dataclass(frozen=True)
class Packages:
    """What a resolver is asked for. Fields as in `EnvironmentDefinition`."""

    python: str | None = None
    pip: tuple[str, ...] = ()
    pip_gpu: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    adaptations: tuple[str, ...] = ()

    def requirements(self, gpu: bool) -> tuple[str, ...]:
        """The requirement lines for a target with (`gpu`) or without NVIDIA GPUs."""
        return self.pip_gpu if gpu and self.pip_gpu else self.pip

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Packages:
        return cls(**_known(cls, raw))


@dataclass(frozen=True)
class EnvironmentDefinition:
    """An environment as asked for, and, where that exists no more, what is given in its place.

    `python`: a version ("3.11", "3.11.7"), a range (">=3.10,<3.14"), or None for the service's own Python.
    `pip`: lines of a requirements file, without secrets. `pip_gpu`: those for a target with NVIDIA GPUs, if others.
    `constraints`: lines of a constraints file. `conda`: packages of conda `channels`, as conda writes them, Python and pip
    not among them. `adaptations`: small modules that make it fit scripts of another time (`environments.adaptations`).
    `imports`: modules that a build must be able to import to count as good. `interpreter`: path of an
    existing interpreter or venv, which the user manages: nothing is resolved or built. `given`: what is installed in
    place of python, pip, conda …; None where that is what was asked for. `substitutions` says why, one by one.
    """

    name: str
    version: int | None = None
    python: str | None = None
    pip: tuple[str, ...] = ()
    pip_gpu: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    adaptations: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    environment_variables: Mapping[str, str] = field(default_factory=dict[str, str])
    interpreter: str | None = None
    docker: ContainerSettings = ContainerSettings()
    inferencing_stack_version: str | None = None
    curated: bool = False
    description: str = ""
    given: Packages | None = None
    substitutions: tuple[Substitution, ...] = ()

    @property
    def user_managed(self) -> bool:
        return self.interpreter is not None

    @property
    def asked(self) -> Packages:
        return Packages(
            self.python, self.pip, self.pip_gpu, self.constraints, self.conda, self.channels, self.adaptations
        )

    @property
    def packages(self) -> Packages:
        """What is resolved and built: `given`, else what was asked for."""
        return self.given or self.asked

    @property
    def content_key(self) -> str:
        """SHA-256 of what the definition asks for and gives; equal content is the same version."""
        content = {k: v for k, v in dataclasses.asdict(self).items() if k not in _LABELS}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def asked_key(self) -> str:
        """SHA-256 of what the definition asks for."""
        return dataclasses.replace(self, given=None, substitutions=()).content_key

    def to_json(self) -> wire_catalog.EnvironmentDefinition:
        return cast("wire_catalog.EnvironmentDefinition", {"format": FORMAT, **dataclasses.asdict(self)})

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> EnvironmentDefinition:
        """The definition that `to_json` wrote. Unknown keys (written by a newer version) are left out."""
        values = _known(cls, raw)
        values["docker"] = ContainerSettings.from_json(values.get("docker") or {})
        values["given"] = Packages.from_json(values["given"]) if values.get("given") else None
        values["substitutions"] = tuple(Substitution(**s) for s in values.get("substitutions", ()))
        return cls(**values)


_LABELS = ("name", "version", "curated", "description")


def _known(cls: type, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `cls` in `raw`, with lists as the tuples that they were."""
    names = {f.name for f in dataclasses.fields(cls)}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items() if k in names}


@dataclass(frozen=True)
class EnvironmentLock:
    """The exact packages of an environment on one kind of machine, with hashes, as text that pip and uv read.

    `python`: the minor version ("3.11"); `platform`: as `this_platform()` gives it; `gpu`: for a target with GPUs.
    """

    requirements: str
    python: str
    platform: str
    gpu: bool = False
    resolved: str = ""
    """When, as an ISO date; a label that does not count for the key."""
    conda: str = ""
    """The conda packages, as a lock file of rattler; empty without any. They bring their own Python."""
    adaptations: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """SHA-256 of lock, Python and platform: what a built environment is cached under."""
        conda = [self.conda.strip()] if self.conda else []
        content = "\n".join(["1", self.python, self.platform, *self.adaptations, *conda, *self._lines()])
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def packages(self) -> tuple[str, ...]:
        """`name==version` of each package (or its direct address), conda's first."""
        return (*self.conda_packages, *self.requirement_lines)

    @property
    def conda_packages(self) -> tuple[str, ...]:
        files = re.findall(r"^- conda: .*/([^/]+)-([^-/]+)-[^-/]+\.(?:conda|tar\.bz2)$", self.conda, re.MULTILINE)
        return tuple(sorted(f"{name}=={version}" for name, version in files))

    @property
    def requirement_lines(self) -> tuple[str, ...]:
        """`name==version` of each package that is installed from an index of pip's (or its direct address)."""
        lines = (line.removesuffix("\\").strip() for line in self._lines())
        return tuple(line for line in lines if not line.startswith("-"))

    @property
    def variant(self) -> str:
        return variant(self.python, self.platform, self.gpu)

    def _lines(self) -> list[str]:
        lines = (line.strip() for line in self.requirements.splitlines())
        return [line for line in lines if line and not line.startswith("#")]

    def dumps(self) -> str:
        head = [f"# format: {FORMAT}", f"# python: {self.python}", f"# platform: {self.platform}"]
        head += [f"# gpu: {'yes' if self.gpu else 'no'}", f"# resolved: {self.resolved}"]
        head += [f"# adaptations: {' '.join(self.adaptations)}"] if self.adaptations else []
        # Comments for pip and uv, so that they read the rest.
        conda = [f"{_CONDA}{line}" for line in self.conda.splitlines()]
        return "\n".join([*head, *conda, self.requirements.strip(), ""])

    @classmethod
    def loads(cls, text: str) -> EnvironmentLock:
        """The lock that `dumps` wrote."""
        head: dict[str, str] = {}
        lines = text.splitlines()
        while lines and lines[0].startswith("# "):
            name, _, value = lines.pop(0)[2:].partition(": ")
            head[name] = value
        conda = [line.removeprefix(_CONDA) for line in lines if line.startswith(_CONDA)]
        lines = [line for line in lines if not line.startswith(_CONDA)]
        return cls(
            requirements="\n".join(lines),
            python=head["python"],
            platform=head["platform"],
            gpu=head.get("gpu") == "yes",
            resolved=head.get("resolved", ""),
            conda="\n".join([*conda, ""]) if conda else "",
            adaptations=tuple(head.get("adaptations", "").split()),
        )


_CONDA = "#conda| "


def variant(python: str, on_platform: str, gpu: bool) -> str:
    """The part of a lock's file name that says what kind of machine it is for."""
    return f"py{python}-{on_platform}-{'gpu' if gpu else 'cpu'}"


def this_platform() -> str:
    """System, processor and C library of this machine: `linux-x86_64-glibc`."""
    library = platform.libc_ver()[0] or "libc"
    return f"{sys.platform}-{platform.machine()}" + (f"-{library}" if sys.platform == "linux" else "")
