"""From a definition to a lock: once, when a version is first needed; from then on without asking any index."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from jupyter_mltrain.cache import cache_root, disk_errors
from jupyter_mltrain.core.environment import EnvironmentDefinition, EnvironmentLock, this_platform
from jupyter_mltrain.environments.conda import solve
from jupyter_mltrain.environments.indexes import index_settings
from jupyter_mltrain.environments.interpreters import Interpreter, any_python, find_interpreter
from jupyter_mltrain.environments.uv import Log, Uv, failure
from jupyter_mltrain.errors import PythonNotFound, ResolveError


def resolve(
    definition: EnvironmentDefinition,
    log: Log,
    *,
    gpu: bool = False,
    wheels: Sequence[str] = (),
    cancelled: threading.Event | None = None,
    platform: str | None = None,
) -> EnvironmentLock:
    """The exact packages that `definition` means on this machine, with hashes where the index gives them; on a machine of
    `platform` where that is given: containers of it, which bring or fetch their own Python.

    The packages named in `wheels` are taken as wheels only. Raises `PythonNotFound`, `ResolveError` with the resolver's own words, `Unreachable` if an index does not answer, `DiskFull`, or
    `Stopped`.
    """
    packages = definition.packages
    requirements = packages.requirements(gpu)
    elsewhere = platform not in (None, this_platform())
    if packages.conda and elsewhere:
        raise ResolveError(
            f"The conda packages of environment {definition.name!r} are resolved for this machine alone, not for {platform}."
        )
    conda = solve(definition, log, cancelled) if packages.conda else None
    interpreter = None if conda or elsewhere else _interpreter(packages.python, here=platform is None)
    python = conda.python if conda else interpreter.version if interpreter else any_python(packages.python)
    minor = ".".join(python.split(".")[:2])
    if requirements or conda is None:
        log(f"Resolving {definition.name} ({_short(requirements)}) for Python {minor}")
    root = cache_root()
    with disk_errors(root, f"resolving the environment {definition.name!r}"):
        root.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="resolve-", dir=root))
    try:
        constraints = (*packages.constraints, *(conda.provides if conda else ()))
        (folder / "requirements.txt").write_text("\n".join([*requirements, ""]), encoding="utf-8")
        (folder / "constraints.txt").write_text("\n".join([*constraints, ""]), encoding="utf-8")
        uv = Uv(index_settings(), folder, cancelled)
        code, output = uv.run(
            [
                *("pip", "compile", "requirements.txt", "--constraint", "constraints.txt", "--output-file", "lock.txt"),
                *(("--python", interpreter.path) if interpreter else ("--python-version", python)),
                *(("--python-platform", _uv_platform(platform)) if platform and elsewhere else ()),
                *("--generate-hashes", "--no-header", "--no-annotate", "--quiet"),
                *(part for name in wheels for part in ("--only-binary", name)),
                *uv.settings.flags,
            ],
            log,
        )
        if code != 0:
            raise failure(output, name=definition.name, resolving=True, folder=root)
        # Where the definition itself names indexes, the build has to look there too.
        options = [line for line in requirements if line.startswith("--")]
        text = "\n".join([*options, (folder / "lock.txt").read_text(encoding="utf-8").strip()])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    today = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d")
    lock = EnvironmentLock(
        text, minor, platform or this_platform(), gpu, today, conda.lock if conda else "", packages.adaptations
    )
    log(f"Resolved {len(lock.packages)} packages")
    return lock


def _interpreter(wanted: str | None, *, here: bool) -> Interpreter | None:
    try:
        return find_interpreter(wanted)
    except PythonNotFound:
        if here:
            raise
        return None  # a container has it, or fetches it


def _uv_platform(platform: str) -> str:
    """uv's name for a platform as `this_platform` writes it. Raises `ResolveError` for one that no container has."""
    system, machine, library = (*platform.split("-"), "", "")[:3]
    if system != "linux" or library != "glibc" or machine not in ("x86_64", "aarch64"):
        raise ResolveError(
            f"No packages can be resolved for {platform}.", mend="Use an engine on Linux with glibc images."
        )
    return f"{machine}-manylinux_2_28"


def _short(requirements: tuple[str, ...]) -> str:
    names = [line.split(";")[0].strip() for line in requirements if not line.startswith("-")]
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
