"""Packages that exist as source alone and are compiled against others: Horovod, against the TensorFlow beside it.

They are installed after all others, by uv with a cache of their own per content: `<cache>/wheels/<20 hex>/`, named by what
the result depends on. So each is compiled once for all environments and workspaces of a user, and never taken for another
TensorFlow than it was compiled against.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jupyter_mltrain.cache import cache_root, remove_tree
from jupyter_mltrain.core.environment import EnvironmentLock
from jupyter_mltrain.environments.uv import Log
from jupyter_mltrain.errors import BuildFailed

_FORMAT = "1"


@dataclass(frozen=True)
class Recipe:
    """How a package is compiled. `programs`: what has to be on the machine, with the Debian package that has it; `beside`:
    the packages of the environment that the result depends on; `variables`: of the build."""

    programs: Mapping[str, str]
    beside: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict[str, str])


RECIPES: Mapping[str, Recipe] = {
    "horovod": Recipe(
        programs={"cmake": "cmake", "make": "make", "g++": "g++"},
        beside=("tensorflow", "tensorflow-cpu"),
        # Gloo alone: it needs no MPI on the machine, and no ssh.
        variables={
            "HOROVOD_WITH_TENSORFLOW": "1",
            "HOROVOD_WITHOUT_PYTORCH": "1",
            "HOROVOD_WITHOUT_MXNET": "1",
            "HOROVOD_WITHOUT_MPI": "1",
            "HOROVOD_WITH_GLOO": "1",
        },
    ),
}


@dataclass(frozen=True)
class Compiled:
    """One such package of a lock. `requirement`: its lines, with hashes."""

    name: str
    requirement: str
    recipe: Recipe
    folder: Path

    def check(self, environment: str) -> None:
        """Raise `BuildFailed` where the machine lacks what the build needs: it takes minutes to find out otherwise."""
        missing = [package for program, package in self.recipe.programs.items() if shutil.which(program) is None]
        if missing:
            raise BuildFailed(
                f"Environment {environment!r} compiles {self.name}, which needs {', '.join(missing)} on this machine.",
                mend=f"Install it (Debian: `apt-get install {' '.join(missing)}`), then run again.",
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

    @property
    def variables(self) -> dict[str, str]:
        return {"MAKEFLAGS": f"-j{len(os.sched_getaffinity(0))}", **self.recipe.variables}


def split(lock: EnvironmentLock) -> tuple[str, list[Compiled]]:
    """The lock's requirements without those that are compiled, and these."""
    rest: list[str] = []
    found: list[Compiled] = []
    for entry in _entries(lock.requirements):
        name = _name(entry)
        recipe = RECIPES.get(name)
        if recipe is None:
            rest.append(entry)
        else:
            found.append(Compiled(name, entry, recipe, cache_root() / "wheels" / _key(entry, recipe, lock)[:20]))
    return "\n".join([*rest, ""]), found


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


def _key(entry: str, recipe: Recipe, lock: EnvironmentLock) -> str:
    beside = [line for line in lock.requirement_lines if line.partition("==")[0].lower() in recipe.beside]
    said = [_FORMAT, entry, lock.python, lock.platform, sorted(beside), sorted(recipe.variables.items())]
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
