"""From a lock to an interpreter, once per key for all workspaces, threads and processes of a user.

<cache>/envs/<20 hex of the key>/
    venv/           the environment; scripts name it by this path, so it is built here and never moved
    lock.txt        what was installed
    build.log       the log of the build, without secrets; grows while it runs
    failed.json     the error of the last build, if it failed
    ready.json      written last: without it the rest is the leavings of a killed build
<cache>/envs/<20 hex>.lock       held by the builder, and by its uv, until the build is over
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from uv import find_uv_bin

from jupyter_mltrain.cache import POLL_SECONDS, Stopped, cache_root, disk_errors, exclusive, remove_tree, write_whole
from jupyter_mltrain.core.environment import EnvironmentDefinition, EnvironmentLock
from jupyter_mltrain.environments import compiled, conda
from jupyter_mltrain.environments.adaptations import adapt
from jupyter_mltrain.environments.indexes import index_settings
from jupyter_mltrain.environments.interpreters import find_interpreter
from jupyter_mltrain.environments.progress import BuildProgress, ProgressReader
from jupyter_mltrain.environments.uv import Log, Uv, failure, is_unreachable, uv_environment
from jupyter_mltrain.errors import BuildFailed, MLTrainError, from_wire

FORMAT = 1


@dataclass(frozen=True)
class Built:
    """A finished build. `bytes` on disk, `seconds` of its building; `cached` if it was there already."""

    key: str
    python: str
    python_version: str
    packages: tuple[str, ...]
    bytes: int
    seconds: float
    cached: bool = False


def folder_of(key: str) -> Path:
    """Where the environment of `key` is built. Twenty hex digits: longer paths do not fit a script's first line."""
    return cache_root() / "envs" / key[:20]


def build_log(key: str) -> Path:
    """The log of the build of `key`; grows while it runs. May not exist."""
    return folder_of(key) / "build.log"


def find_built(key: str) -> Built | None:
    """The finished build of `key`, marked as used now; None if there is none. A few system calls."""
    folder = folder_of(key)
    try:
        raw: dict[str, Any] = json.loads((folder / "ready.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    python = folder / "venv" / "bin" / "python"
    if raw.get("key") != key or not os.access(python, os.X_OK):  # the Python it was made of is gone
        return None
    with contextlib.suppress(PermissionError):
        os.utime(folder / "ready.json")
    packages = tuple(raw["packages"])
    return Built(key, str(python), raw["python_version"], packages, raw["bytes"], raw["seconds"], cached=True)


def build(
    definition: EnvironmentDefinition,
    lock: EnvironmentLock,
    log: Log,
    *,
    cancelled: threading.Event | None = None,
    progress: BuildProgress | None = None,
) -> Built:
    """The environment of `lock`, built now unless it is there. Blocks; whoever asks meanwhile waits and sees the log.

    Raises `BuildFailed`, `Unreachable`, `DiskFull`, `PythonNotFound` or `Stopped`; one who waited for a build that
    failed gets its error, one who asks later starts a new build.
    """
    if found := find_built(lock.key):
        return found
    folder = folder_of(lock.key)
    doing = f"building the environment {definition.name!r}"
    asked = time.time()
    with disk_errors(folder, doing):
        folder.mkdir(parents=True, exist_ok=True)
        tail = _Tail(folder / "build.log", log)
        with exclusive(folder.with_suffix(".lock"), cancelled, tail.read_on) as descriptor:
            if found := find_built(lock.key):
                tail.read_on()
                return found
            if tail.waited and (error := _failure_since(folder, asked)):
                raise error
            return _Build(definition, lock, folder, descriptor, cancelled).run(log, progress)


@dataclass(frozen=True)
class _Build:
    """One build, made by the holder of its lock (`descriptor`)."""

    definition: EnvironmentDefinition
    lock: EnvironmentLock
    folder: Path
    descriptor: int
    cancelled: threading.Event | None

    def run(self, log: Log, progress: BuildProgress | None) -> Built:
        started = time.monotonic()
        for leaving in ("ready.json", "failed.json"):
            (self.folder / leaving).unlink(missing_ok=True)
        remove_tree(self.folder / "venv")
        with _logged(self.folder / "build.log", log) as both:
            try:
                (self.folder / "lock.txt").write_text(self.lock.dumps(), encoding="utf-8")
                self._make(both, progress)
                adapt(
                    self.folder / "venv" / "lib" / f"python{self.lock.python}" / "site-packages", self.lock.adaptations
                )
                version = _check(self.definition, self.lock, self.folder, both, self.cancelled)
            except Stopped:
                both("Build stopped on request")
                remove_tree(self.folder / "venv")
                raise
            except MLTrainError as error:
                both(f"Build failed: {error.message}")
                remove_tree(self.folder / "venv")
                failed = {"time": time.time(), **error.to_wire()}
                write_whole(self.folder / "failed.json", json.dumps(failed).encode())
                raise
            built = Built(
                key=self.lock.key,
                python=str(self.folder / "venv" / "bin" / "python"),
                python_version=version,
                packages=self.lock.packages,
                bytes=disk_usage(self.folder),
                seconds=round(time.monotonic() - started, 2),
            )
            both(f"Ready: {len(built.packages)} packages, {built.bytes / 1e6:.0f} MB, {built.seconds:.1f} s")
        record = {"format": FORMAT, **asdict(built), "name": self.definition.name, "built": time.time()}
        write_whole(self.folder / "ready.json", json.dumps(record, indent=1).encode())
        return built

    def _make(self, log: Log, progress: BuildProgress | None) -> None:
        """The empty environment, then what is in it."""
        name, venv = self.definition.name, self.folder / "venv"
        uv = Uv(index_settings(), self.folder, self.cancelled)
        if self.lock.conda:
            log(f"Building {name}: {len(self.lock.packages)} packages, with Python {self.lock.python} of conda")
            conda.install(name, self.lock.conda, venv, log, self.cancelled)
            if self.lock.requirement_lines:
                # Beside what conda brought; its versions are in the lock.
                self._install(uv, ["pip", "install", "--no-deps", "--requirement", "lock.txt"], log, progress)
            return
        requirements, sources = compiled.split(self.lock)
        for source in sources:
            source.check(name)
        interpreter = find_interpreter(self.lock.python)
        log(f"Building {name}: {len(self.lock.packages)} packages for Python {interpreter.version}")
        made = ["venv", "--quiet", "--no-project", "--python", interpreter.path, str(venv)]
        code, output = uv.run(made, log, pass_fds=self._held)
        if code != 0:
            raise failure(output, name=name, resolving=False, folder=self.folder)
        (self.folder / "wheels.txt").write_text(requirements, encoding="utf-8")
        self._install(uv, ["pip", "sync", "wheels.txt", "--allow-empty-requirements"], log, progress)
        for source in sources:
            self._compile(uv, source, log)

    def _compile(self, uv: Uv, source: compiled.Compiled, log: Log) -> None:
        """A package that is compiled against those that are installed, or what an earlier build made of it."""
        log(f"Compiling {source.name}, unless that was done before; it takes minutes")
        (self.folder / "source.txt").write_text(source.requirement, encoding="utf-8")
        settings = replace(
            uv.settings, variables={**uv.settings.variables, **source.variables_in(self.folder / "venv")}
        )
        command = self._installing(uv, source.arguments)
        with exclusive(source.folder.with_suffix(".lock"), self.cancelled):
            code, output = replace(uv, settings=settings).run(
                command, compiled.Percent(source.name, log), pass_fds=self._held
            )
            if code == 0:
                source.tidy()
        if code != 0:
            raise failure(compiled.words(output), name=self.definition.name, resolving=False, folder=self.folder)

    @property
    def _held(self) -> tuple[int, ...]:
        """With the lock's descriptor uv holds the lock as well: should this process be killed, nobody else starts to build
        here before uv is gone."""
        return (self.descriptor,)

    def _installing(self, uv: Uv, command: list[str]) -> list[str]:
        """`command` with what every installation here has."""
        return [
            *(*command, "--python", str(self.folder / "venv" / "bin" / "python"), "--compile-bytecode"),
            *("--link-mode", _link_mode(self.folder), *uv.settings.flags),
        ]

    def _install(self, uv: Uv, command: list[str], log: Log, progress: BuildProgress | None) -> None:
        name = self.definition.name
        reader = ProgressReader(len(self.lock.requirement_lines), log, progress)
        sync = self._installing(uv, command)
        code, output = uv.run(sync, reader.line, pass_fds=self._held, while_running=reader.look)
        if code != 0 and is_unreachable(output):
            # The lock says exactly what is needed, with hashes: if uv has it all in its cache, no index is.
            log("No answer from the package index; trying with what uv has in its cache")
            if uv.run([*sync, "--offline"], lambda _: None, pass_fds=self._held)[0] == 0:
                log("Everything was in uv's cache")
                return
        if code != 0:
            raise failure(output, name=name, resolving=False, folder=self.folder)


def _link_mode(folder: Path) -> str:
    """`clone` where the file system shares blocks until one side is changed, else `copy`. Never `hardlink`: editing a
    file in one environment would change all others; and uv falls back to just that when a clone is not possible."""
    ficlone = 0x40049409  # ioctl of linux/fs.h
    cache = subprocess.run(
        [find_uv_bin(), "cache", "dir"], capture_output=True, text=True, check=False, env=uv_environment({}), cwd=folder
    ).stdout.strip()
    try:
        Path(cache).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache) as source, tempfile.TemporaryFile(dir=folder) as target:
            source.write(b"x" * 4096)
            source.flush()
            fcntl.ioctl(target.fileno(), ficlone, source.fileno())
    except OSError:
        return "copy"
    return "clone"


def _check(
    definition: EnvironmentDefinition, lock: EnvironmentLock, folder: Path, log: Log, cancelled: threading.Event | None
) -> str:
    """The environment starts, has every package of the lock, and imports what it is for; else `BuildFailed`. Its version
    of Python."""
    question = (
        "import importlib, importlib.metadata, json, re, sys\n"
        "names = [re.sub('[-_.]+', '-', d.metadata['Name']).lower() for d in importlib.metadata.distributions()]\n"
        "[importlib.import_module(name) for name in sys.argv[1:]]\n"
        "print(json.dumps(['%d.%d.%d' % sys.version_info[:3], names]))\n"
    )
    if definition.imports:
        log(f"Checking that {', '.join(definition.imports)} can be imported")
    # -B: a check that outlives its killed builder must not write into what the next one removes.
    process = subprocess.Popen(
        [str(folder / "venv" / "bin" / "python"), "-B", "-c", question, *definition.imports],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=uv_environment(definition.environment_variables),
        cwd=folder,
    )
    said, complaint = _communicate(process, cancelled)
    if process.returncode != 0:
        lines = complaint.strip().splitlines() or [f"exit code {process.returncode}"]
        for line in lines:
            log(line)
        raise BuildFailed(
            f"Environment {definition.name!r} was installed, but does not work: {lines[-1][:300]}",
            mend="Change its packages or its Python version.",
            output=complaint[-20_000:],
        )
    version, names = json.loads(said.splitlines()[-1])
    wanted = {_normal(package.partition("==")[0]) for package in lock.requirement_lines if "==" in package}
    if missing := sorted(wanted - set(names)):
        raise BuildFailed(
            f"Environment {definition.name!r} was installed, but lacks {', '.join(missing[:5])}.",
            mend="Build it again; if it happens again, this is a bug.",
        )
    return version


def _communicate(process: subprocess.Popen[bytes], cancelled: threading.Event | None) -> tuple[str, str]:
    while True:
        try:
            out, complaint = process.communicate(timeout=POLL_SECONDS)
            return out.decode(errors="replace"), complaint.decode(errors="replace")
        except subprocess.TimeoutExpired:
            if cancelled is not None and cancelled.is_set():
                process.kill()
                process.communicate()
                raise Stopped from None


def _normal(name: str) -> str:
    return "-".join(
        part for part in name.partition("[")[0].replace("_", "-").replace(".", "-").lower().split("-") if part
    )


def _failure_since(folder: Path, since: float) -> MLTrainError | None:
    try:
        raw = json.loads((folder / "failed.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return from_wire(raw) if raw.get("time", 0) >= since else None


@contextlib.contextmanager
def _logged(path: Path, log: Log) -> Generator[Log, None, None]:
    # A new file each time: whoever waits for this build tails it from the start.
    path.unlink(missing_ok=True)
    with path.open("w", encoding="utf-8", buffering=1) as file:

        def both(line: str) -> None:
            file.write(f"{line}\n")
            log(line)

        yield both


class _Tail:
    """Passes on the lines that another builder writes."""

    def __init__(self, path: Path, log: Log) -> None:
        self.waited = False
        self._path = path
        self._log = log
        self._inode = -1
        self._offset = 0

    def read_on(self) -> None:
        if not self.waited:
            self._log("Someone else is building this environment; waiting, with their log:")
        self.waited = True
        try:
            with self._path.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                if inode != self._inode:
                    self._inode, self._offset = inode, 0
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            self._log(line)


def disk_usage(folder: Path) -> int:
    """Bytes that a folder takes on disk."""
    total = 0
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                total += disk_usage(Path(entry.path))
            else:
                total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total
