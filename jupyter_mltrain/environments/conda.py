"""Conda packages, by py-rattler (the extra `conda`): solved once into a lock with hashes, installed into a prefix.

Its package cache is below ours. No scripts of packages are run, and nothing is hard-linked: editing a file in one
environment must not change another.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from packaging.version import InvalidVersion, Version

from jupyter_mltrain.cache import POLL_SECONDS, Stopped, cache_root, disk_errors, disk_full
from jupyter_mltrain.core.addresses import redact
from jupyter_mltrain.core.environment import DEFAULT_CHANNELS, EnvironmentDefinition
from jupyter_mltrain.environments.interpreters import OLDEST
from jupyter_mltrain.environments.uv import Log
from jupyter_mltrain.errors import (
    BuildFailed,
    EnvironmentError_,
    MLTrainError,
    PythonNotFound,
    ResolveError,
    Unreachable,
    UsageError,
)

if TYPE_CHECKING:
    from rattler import Config, RepoDataRecord

T = TypeVar("T")


@dataclass(frozen=True)
class SolvedConda:
    """What was solved: `lock` as text, the exact version of Python, and `name==version` of each Python package among it,
    which what pip installs must not replace."""

    lock: str
    python: str
    provides: tuple[str, ...]


def solve(definition: EnvironmentDefinition, log: Log, cancelled: threading.Event | None = None) -> SolvedConda:
    """The exact conda packages that `definition` means on this machine.

    Raises `ResolveError` with the solver's words, `UsageError` for a channel that does not exist, `Unreachable`,
    `PythonNotFound` for a Python that runs do not work in, `EnvironmentError_` without py-rattler, or `Stopped`.
    """
    packages = definition.packages
    rattler = _rattler(definition.name)
    from rattler.exceptions import InvalidMatchSpecError  # noqa: PLC0415 - it is there

    channels = packages.channels or DEFAULT_CHANNELS
    specs = [_python(packages.python), *packages.conda]
    log(f"Solving {', '.join(specs)} from {', '.join(map(redact, channels))}")

    async def work() -> list[RepoDataRecord]:
        config = _config()
        gateway = rattler.Gateway.from_config(config, cache_dir=_folder() / "repodata")
        sources = [str(Path(c).as_uri()) if c.startswith("/") else c for c in channels]
        return await rattler.solve(sources, specs, gateway=gateway, virtual_packages=rattler.VirtualPackage.detect())

    for spec in specs:
        try:
            rattler.MatchSpec(spec)
        except InvalidMatchSpecError as error:
            raise UsageError(
                f"Environment {definition.name!r}: {spec!r} is no conda dependency: {_line(error)}.", mend="Correct it."
            ) from error
    with _errors(definition.name, channels, resolving=True):
        records = _run(work(), cancelled)
    python = next((str(record.version) for record in records if record.name.normalized == "python"), "")
    if Version(python) < Version(".".join(map(str, OLDEST))):
        raise PythonNotFound(
            f"The conda packages of {definition.name!r} come with Python {python}; runs need 3.8 or newer.",
            mend="Ask for python=3.11.",
            wanted=packages.python,
            found=[],
        )
    log(f"Solved {len(records)} conda packages, Python {python}")
    return SolvedConda(_dumps(records, channels), python, _python_packages(records))


def install(name: str, lock: str, prefix: Path, log: Log, cancelled: threading.Event | None = None) -> None:
    """Make `prefix` of the packages of `lock`, fetched and checked by their hashes. Raises `BuildFailed`, `Unreachable`,
    `DiskFull`, `EnvironmentError_` without py-rattler, or `Stopped`."""
    rattler = _rattler(name)
    records = _loads(lock)
    log(f"Installing {len(records)} conda packages")

    async def work() -> None:
        await rattler.install(
            records,
            prefix,
            cache_dir=_folder() / "pkgs",
            show_progress=False,
            execute_link_scripts=False,
            config=_config(),
        )

    with _errors(name, (), resolving=False):
        _run(work(), cancelled)


def tool() -> str:
    """The requirement that installs a lock elsewhere: the version that is here, where it is."""
    try:
        return f"py-rattler=={version('py-rattler')}"
    except PackageNotFoundError:
        return "py-rattler"


def mirrors() -> dict[str, list[str]]:
    """Where the user's own settings of rattler's tools send who asks for a channel, by its address."""
    try:
        return {str(channel): [str(one) for one in places] for channel, places in (_config().mirrors or {}).items()}
    except ModuleNotFoundError:
        return {}


def _rattler(name: str) -> Any:
    try:
        import rattler  # noqa: PLC0415 - 80 MB that few need
    except ModuleNotFoundError as error:
        raise EnvironmentError_(
            f"Environment {name!r} asks for packages of conda, which this installation cannot solve.",
            mend="pip install 'jupyter-mltrain[conda]', or list the packages below `pip:`.",
        ) from error
    return rattler


def _config() -> Config:
    """The user's own settings of rattler's tools (mirrors, proxies), with no links between environments."""
    from rattler import Config  # noqa: PLC0415 - see above

    return (
        Config.from_toml('tls-root-certs = "system"')
        .merge(Config.load_from_default_locations("rattler"))
        .merge(Config.from_toml("allow-hard-links = false\nallow-symbolic-links = false"))
    )


def _folder() -> Path:
    folder = cache_root() / "conda"
    with disk_errors(folder, "fetching conda packages"):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _python(wanted: str | None) -> str:
    if wanted is None:
        return "python >=3.8"
    return f"python ={wanted}" if wanted[:1].isdigit() else f"python {wanted}"


def _python_packages(records: Sequence[RepoDataRecord]) -> tuple[str, ...]:
    """Conda says of no package what PyPI calls it; nearly all that need Python have the same name there."""
    found: list[str] = []
    for record in records:
        if any(depends.split(" ")[0] == "python" for depends in record.depends):
            with contextlib.suppress(InvalidVersion):
                found.append(f"{record.name.normalized}=={Version(str(record.version))}")
    return tuple(sorted(found))


def _dumps(records: Sequence[RepoDataRecord], channels: Sequence[str]) -> str:
    from rattler import LockChannel, LockFile, LockPlatform, Subdir  # noqa: PLC0415 - see above

    platform = LockPlatform(str(Subdir.current()))
    file = LockFile([platform])
    for record in sorted(records, key=lambda one: one.name.normalized):
        file.add_conda_package("default", platform, record)
    file.set_channels("default", [LockChannel(redact(channel)) for channel in channels])
    with tempfile.TemporaryDirectory(dir=_folder()) as folder:
        file.to_path(Path(folder) / "conda.lock")
        return (Path(folder) / "conda.lock").read_text(encoding="utf-8")


def _loads(text: str) -> list[RepoDataRecord]:
    from rattler import LockFile  # noqa: PLC0415 - see above

    with tempfile.TemporaryDirectory(dir=_folder()) as folder:
        (Path(folder) / "conda.lock").write_text(text, encoding="utf-8")
        file = LockFile.from_path(Path(folder) / "conda.lock")
    environment = file.default_environment()
    assert environment is not None, "written by _dumps"
    return environment.conda_repodata_records_for_platform(file.platforms()[0]) or []


def _run(work: Coroutine[Any, Any, T], cancelled: threading.Event | None) -> T:
    async def watched() -> T:
        task = asyncio.ensure_future(work)
        while not (await asyncio.wait({task}, timeout=POLL_SECONDS))[0]:
            if cancelled is not None and cancelled.is_set():
                task.cancel()
                await asyncio.wait({task})
                raise Stopped
        return task.result()

    return asyncio.run(watched())


@contextlib.contextmanager
def _errors(name: str, channels: Sequence[str], *, resolving: bool) -> Any:
    """rattler's errors as ours, with its own words in one line."""
    from rattler import exceptions  # noqa: PLC0415 - see above

    try:
        yield
    except exceptions.InvalidChannelError as error:
        raise UsageError(f"Environment {name!r}: {_line(error)}.", mend="Correct the conda specification.") from error
    except exceptions.SolverError as error:
        cause = _line(error).removeprefix("Cannot solve the request because of: ")
        raise ResolveError(
            f"The conda packages of environment {name!r} do not fit together: {cause}",
            mend="Change the versions asked for, the Python version, or the channels.",
            output=redact(str(error)),
        ) from error
    except (
        exceptions.GatewayError,
        exceptions.FetchRepoDataError,
        exceptions.InstallerError,
        exceptions.IoError,
    ) as error:
        raise _foreign(name, channels, redact(str(error)), resolving=resolving) from error


def _foreign(name: str, channels: Sequence[str], said: str, *, resolving: bool) -> MLTrainError:
    doing = f"{'solving' if resolving else 'building'} the environment {name!r}"
    if "No space left" in said or "os error 28" in said:
        return disk_full(cache_root(), doing)
    if "could not find subdir" in said or "404" in said:
        missing = next((c for c in channels if c.rstrip("/") in said), ", ".join(channels))
        return UsageError(
            f"There is no conda channel {redact(missing)!r}: {_line(said)}.",
            mend="Correct `channels`: a name such as conda-forge, an address, or a folder.",
        )
    if resolving or "error sending request" in said:
        return Unreachable(
            f"No answer from the conda channels ({', '.join(map(redact, channels)) or 'of the lock'}) while {doing}.",
            mend="Check the network, the proxy, and the mirrors in rattler's settings; or list the packages below `pip:`.",
            output=said,
        )
    return BuildFailed(
        f"Environment {name!r} could not be built: {_line(said)}",
        mend=f"The whole log: `%mltrain env show {name}`. Nothing of the failed build is used again.",
        output=said,
    )


def _line(error: object, limit: int = 400) -> str:
    text = " ".join(redact(str(error)).split()).rstrip(".")
    return text if len(text) <= limit else text[: limit - 1] + "…"
