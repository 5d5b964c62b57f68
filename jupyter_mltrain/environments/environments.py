"""From an environment's name to an interpreter that can run: look up, resolve once, build once.

All calls block; the service makes them in a thread. Only `prepare` may take long.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from jupyter_mltrain.cache import POLL_SECONDS, Stopped
from jupyter_mltrain.core.compute import PreparedEnvironment
from jupyter_mltrain.core.environment import CURRENT, EnvironmentDefinition, EnvironmentLock, this_platform
from jupyter_mltrain.core.wire_catalog import EnvironmentStateName
from jupyter_mltrain.environments.build import build, find_built
from jupyter_mltrain.environments.interpreters import find_interpreter, inspect_interpreter
from jupyter_mltrain.environments.progress import BuildProgress
from jupyter_mltrain.environments.resolve import resolve
from jupyter_mltrain.environments.store import EnvironmentStore
from jupyter_mltrain.environments.uv import Log
from jupyter_mltrain.errors import UsageError


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
class EnvironmentState:
    """What `prepare` would find now: `state` is "ready", "to build" (resolved) or "to resolve"."""

    name: str
    version: int | None
    state: EnvironmentStateName
    key: str = ""
    packages: tuple[str, ...] = ()


class Environments:
    """The environments of a workspace; `folder` is its `.mltrain/environments`. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self.store = EnvironmentStore(folder)
        self._resolving = threading.Lock()

    def prepare(
        self,
        reference: str,
        *,
        log: Log,
        gpu: bool = False,
        kernel_python: str | None = None,
        cancelled: threading.Event | None = None,
        progress: BuildProgress | None = None,
    ) -> ReadyEnvironment:
        """The environment `name[:version]`, ready to run on this machine; for GPUs if `gpu`.

        `kernel_python`: the interpreter that "current" means. `log` gets the build's lines, `progress` its figures;
        both in this thread. Raises `EnvironmentNotFound`, `ResolveError`, `Unreachable`, `BuildFailed`,
        `PythonNotFound`, `PathNotFound`, `DiskFull`, `NotWritable`, `UsageError`, or `cache.Stopped` if `cancelled`.
        A ready one takes a few milliseconds and asks nothing outside this machine.
        """
        definition = self.store.get(reference)
        if definition.name == CURRENT or definition.user_managed:
            return _as_it_is(definition, kernel_python)
        lock = self._lock(definition, gpu, log, cancelled)
        built = build(definition, lock, log, cancelled=cancelled, progress=progress)
        return ReadyEnvironment(
            PreparedEnvironment(
                definition.name, definition.version, lock.key, built.python, dict(definition.environment_variables)
            ),
            python_version=built.python_version,
            packages=built.packages,
            lock=lock.dumps(),
            cached=built.cached,
            seconds=built.seconds,
            bytes=built.bytes,
        )

    def state(self, reference: str, *, gpu: bool = False, kernel_python: str | None = None) -> EnvironmentState:
        """How much `prepare` would have to do; builds and resolves nothing."""
        definition = self.store.get(reference)
        if definition.name == CURRENT or definition.user_managed:
            ready = _as_it_is(definition, kernel_python)
            return EnvironmentState(definition.name, definition.version, "ready", ready.prepared.key, ready.packages)
        lock = self._stored_lock(definition, gpu)
        if lock is None:
            return EnvironmentState(definition.name, definition.version, "to resolve")
        state = "ready" if find_built(lock.key) else "to build"
        return EnvironmentState(definition.name, definition.version, state, lock.key, lock.packages)

    def register(
        self,
        definition: EnvironmentDefinition,
        *,
        log: Log,
        gpu: bool = False,
        renew: bool = False,
        cancelled: threading.Event | None = None,
    ) -> EnvironmentDefinition:
        """Store a definition as a version and resolve it, so that a submit never has to. `renew` with a name that
        exists makes a version of today's packages. Errors of `EnvironmentStore.register` and `prepare`; a version
        whose resolution fails stays, without a lock, and is resolved when it is first used."""
        stored = self.store.register(definition, renew=renew)
        if not stored.user_managed:
            self._lock(stored, gpu, log, cancelled)
        return stored

    def _lock(
        self, definition: EnvironmentDefinition, gpu: bool, log: Log, cancelled: threading.Event | None
    ) -> EnvironmentLock:
        # Two runs that come first at once get one lock.
        while not self._resolving.acquire(timeout=POLL_SECONDS):
            if cancelled is not None and cancelled.is_set():
                raise Stopped
        try:
            stored = self._stored_lock(definition, gpu)
            if stored is not None:
                return stored
            lock = resolve(definition, find_interpreter(definition.python), log, gpu=gpu, cancelled=cancelled)
            self.store.save_lock(definition, lock)
            return lock
        finally:
            self._resolving.release()

    def _stored_lock(self, definition: EnvironmentDefinition, gpu: bool) -> EnvironmentLock | None:
        return self.store.lock(definition, None, this_platform(), gpu)


def _as_it_is(definition: EnvironmentDefinition, kernel_python: str | None) -> ReadyEnvironment:
    place = definition.interpreter or kernel_python
    if place is None:
        raise UsageError(
            "The environment 'current' is the kernel's own Python, and no kernel asks here.",
            mend="Name another environment, for example `-e tensorflow`.",
        )
    found = inspect_interpreter(place, definition.name)
    return ReadyEnvironment(
        PreparedEnvironment(
            definition.name, definition.version, found.key, found.path, dict(definition.environment_variables)
        ),
        python_version=found.version,
        packages=found.distributions,
    )
