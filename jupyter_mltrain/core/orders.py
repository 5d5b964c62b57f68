"""Environments where an engine's runs are: what it is asked to make, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class PreparedEnvironment:
    """An environment that is ready to run: the interpreter, as the run sees it, the key it is cached under, its variables.

    `image`: what a run's container is made from, exact; empty where no containers are. `shm_size`: the container's shared
    memory in Docker's notation ("2g"), empty for what the engine gives. `arguments`: what else its container is to have
    (`core.container_arguments`).
    """

    name: str
    version: int | None
    key: str
    python: str
    variables: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    shm_size: str = ""
    arguments: Sequence[str] = ()


@dataclass(frozen=True)
class ReadyEnvironment:
    """What a run gets and records. `packages`: `name==version`; `lock`: the text to make it again, "" where the user
    manages the interpreter; `cached`: nothing had to be built; `seconds` and `bytes` of the build."""

    prepared: PreparedEnvironment
    python_version: str
    packages: tuple[str, ...]
    lock: str = ""
    cached: bool = True
    seconds: float = 0.0
    bytes: int = 0


@dataclass(frozen=True)
class ForeseenEnvironment:
    """What an environment would come to on an engine with containers. `prepared`: as far as it is known, with the image by
    its name. `place`: where it is or would be there. `steps`: what would be done first, in order; none where all is there."""

    prepared: PreparedEnvironment
    place: str
    steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class CompiledPackage:
    """A package of an order that is compiled against the others, once they are installed.

    `requirement`: its lines, with hashes; `key`: what its result depends on beside the image; `programs`: what the build
    needs in the image, with the Debian package of each; `variables`: of the build, in which `{environment}` is the
    environment's folder; `imports`: what tells whether it works; `wheel`: what this machine made of it, or empty.
    """

    name: str
    requirement: str
    key: str
    programs: Mapping[str, str]
    variables: Mapping[str, str]
    imports: tuple[str, ...]
    wheel: str = ""


@dataclass(frozen=True)
class EnvironmentOrder:
    """An environment that an engine makes where its runs are: exact packages, and what they are to stand in.

    `key`: what the lock is known by. `python`: minor version ("3.11"). `lock`: requirement lines, with hashes where the
    index gives them. `image`: base image, empty for the target's own choice. `dockerfile`: text of a Dockerfile to build
    an image of first. `built`: the packages become an image on top of that, as they always do with a `dockerfile`.
    `compiled`: those of the packages that are compiled; then `requirements` is the lock without them. `interpreter`: the
    user looks after the image and what is in it; nothing is installed, this is its Python. `imports`:
    modules that must be importable. `modules`: files for `site-packages`, by name. `conda_tool`: the requirement that
    installs the conda packages of the lock, where it has any.

    `settings`: variables for uv, those of indexes and proxies among them; `certificates`: those it is to trust, as PEM
    text, empty for its own; `flags`: arguments for `uv pip`. They are for the build alone; `secrets` are the values in
    `settings` that no log, no `docker inspect` and no image may show.
    """

    name: str
    version: int | None
    key: str
    python: str
    lock: str
    packages: tuple[str, ...] = ()
    requirements: str = ""
    compiled: tuple[CompiledPackage, ...] = ()
    gpu: bool = False
    image: str = ""
    dockerfile: str = ""
    built: bool = False
    interpreter: str = ""
    shm_size: str = ""
    arguments: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    modules: Mapping[str, str] = field(default_factory=dict)
    conda_tool: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    certificates: str = ""
    flags: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    """What a build's log should say of what does not go along."""

    def prepared(self, python: str, image: str) -> PreparedEnvironment:
        """What it comes to, with that interpreter in that image."""
        variables = dict(self.variables)
        return PreparedEnvironment(
            self.name, self.version, self.key, python, variables, image, self.shm_size, self.arguments
        )
