"""The Pythons of this machine: finding one that fits, and asking one what it is and has."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uv
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from jupyter_mltrain.core.environment import CURRENT
from jupyter_mltrain.errors import PathNotFound, PythonNotFound, UsageError

_NEWEST = 14
"""Minor version of the newest Python that is asked for where any can be had."""

OLDEST = (3, 8)
"""The run client that is put into every run needs at least this."""


@dataclass(frozen=True)
class Interpreter:
    """A Python on this machine. `version` is exact ("3.11.7")."""

    path: str
    version: str

    @property
    def minor(self) -> str:
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True)
class InspectedInterpreter:
    """What an interpreter said about itself. `key` changes with its path, its version and its distributions."""

    path: str
    version: str
    distributions: tuple[str, ...]
    key: str


def find_interpreter(wanted: str | None) -> Interpreter:
    """The Python to make environments of: `wanted` is a version, a range, or None for any.

    The service's own Python comes first if it fits, because it is known to work and is most likely the kernel's; then
    the newest one that uv finds. Raises `PythonNotFound`, naming those that are there.
    """
    fits = _specifier(wanted)
    own = Interpreter(getattr(sys, "_base_executable", None) or sys.executable, _own_version())
    if fits.contains(own.version, prereleases=True) and os.access(own.path, os.X_OK):
        return own
    others = installed_interpreters()
    for interpreter in others:
        if fits.contains(interpreter.version):
            return interpreter
    names = sorted({own.version, *(other.version for other in others)}, key=Version, reverse=True)
    raise PythonNotFound(
        f"There is no Python {wanted} on this machine; it has {', '.join(names)}.",
        mend=f"Ask for one of these, or install it (`uv python install {wanted}`, your system's packages).",
        wanted=wanted,
        found=names,
    )


def any_python(wanted: str | None) -> str:
    """A minor version that fits `wanted`, for a place that can have any: this process's own if it fits, else the newest.
    Raises `PythonNotFound` where none does that runs work in."""
    fits = _specifier(wanted)
    own = ".".join(_own_version().split(".")[:2])
    for minor in (own, *(f"3.{number}" for number in range(_NEWEST, OLDEST[1] - 1, -1))):
        if any(fits.contains(f"{minor}.{patch}") for patch in range(30)):
            return minor
    raise PythonNotFound(
        f"There is no Python {wanted} that runs work in.", mend="Ask for 3.8 or newer.", wanted=wanted, found=[]
    )


def installed_interpreters() -> list[Interpreter]:
    """CPythons on `PATH` and in uv's own place, newest first."""
    command = [uv.find_uv_bin(), "python", "list", "--only-installed", "--output-format", "json", "--no-config"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    raw: list[dict[str, Any]] = json.loads(listed.stdout or "[]")
    found = {
        entry["version"]: Interpreter(entry["path"], entry["version"])
        for entry in reversed(raw)
        if entry["implementation"] == "cpython" and entry.get("variant", "default") == "default" and entry["path"]
    }
    return sorted(found.values(), key=lambda one: Version(one.version), reverse=True)


def interpreter_at(place: str | Path, what: str) -> str:
    """The interpreter of `place`: an interpreter's own path, its name on `PATH`, or a venv's folder; `PathNotFound` naming `what` if none."""
    named = shutil.which(place) if isinstance(place, str) and "/" not in place else None
    path = Path(named or place).expanduser().absolute()  # not resolved: a venv is known by the path of its link
    for candidate in (path / "bin" / "python", path / "bin" / "python3") if path.is_dir() else (path,):
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return str(candidate)
    raise PathNotFound(
        f"There is no Python interpreter at {place} ({what}).",
        mend="Give the path of an interpreter, or of a virtual environment's folder.",
    )


def inspect_interpreter(path: str, what: str = CURRENT) -> InspectedInterpreter:
    """Start the interpreter at `path` once and ask for its version and distributions.

    Asked again only when one of its package folders has changed. Raises `PathNotFound` if there is none, `UsageError`
    if it does not start or is older than Python 3.8.
    """
    path = interpreter_at(path, what)
    known = _inspected.get(path)
    if known is not None and _stamp(known[1]) == known[0]:
        return known[2]
    said = _ask(path, what)
    if tuple(said["version_info"][:2]) < OLDEST:
        raise UsageError(
            f"Python {said['version']} at {path} ({what}) is too old; runs need 3.8 or newer.",
            mend="Use another environment.",
        )
    stamp = _stamp(said["path"])
    distributions: Sequence[str] = sorted(set(said["distributions"]))
    content = "\n".join([path, said["version"], said["executable"], *distributions])
    key = hashlib.sha256(content.encode()).hexdigest()
    inspected = InspectedInterpreter(path, said["version"], tuple(distributions), key)
    _inspected[path] = (stamp, said["path"], inspected)
    return inspected


_Stamp = tuple[tuple[str, int], ...]
_inspected: dict[str, tuple[_Stamp, Sequence[str], InspectedInterpreter]] = {}

# Runs in any Python from 2.7 on, so that an old one can be told it is old. Metadata is read from folder names: the
# full parse of 200 distributions takes 0.3 s.
_QUESTION = """
import json, os, sys
found = []
for folder in sys.path:
    try:
        names = os.listdir(folder)
    except (OSError, TypeError):
        continue
    for name in names:
        stem, ending = os.path.splitext(name)
        if ending in (".dist-info", ".egg-info"):
            parts = stem.split("-")
            found.append(parts[0].replace("_", "-").lower() + "==" + (parts[1] if len(parts) > 1 else "?"))
print(json.dumps({"version": "%d.%d.%d" % sys.version_info[:3], "version_info": list(sys.version_info[:3]),
    "executable": os.path.realpath(sys.executable), "path": [p for p in sys.path if os.path.isdir(p)],
    "distributions": found}))
"""


def _ask(path: str, what: str) -> dict[str, Any]:
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    try:
        answer = subprocess.run(
            [path, "-c", _QUESTION], capture_output=True, text=True, timeout=60, check=True, env=clean, cwd="/"
        )
        return json.loads(answer.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        raise UsageError(
            f"The Python interpreter {path} ({what}) does not start: {said[-1] if said else 'no answer'}",
            mend="Repair it or use another environment.",
        ) from error


def _stamp(folders: Sequence[str]) -> _Stamp:
    stamps: list[tuple[str, int]] = []
    for folder in folders:
        try:
            stamps.append((folder, Path(folder).stat().st_mtime_ns))
        except OSError:
            stamps.append((folder, -1))
    return tuple(stamps)


def _specifier(wanted: str | None) -> SpecifierSet:
    text = (wanted or "").strip()
    if text and text[0].isdigit():
        text = f"=={text}" if text.count(".") >= 2 else f"=={text}.*"
    try:
        return SpecifierSet(text)
    except InvalidSpecifier as error:
        raise UsageError(
            f"{wanted!r} is no Python version.", mend='Give a version ("3.11") or a range (">=3.10,<3.14").'
        ) from error


def _own_version() -> str:
    return ".".join(map(str, sys.version_info[:3]))
