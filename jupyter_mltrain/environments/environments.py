"""From an environment's name to an interpreter that can run: look up, resolve once, build once.

All calls block; the service makes them in a thread. Only `prepare` may take long.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jupyter_mltrain.cache import POLL_SECONDS, Stopped
from jupyter_mltrain.core import container_arguments
from jupyter_mltrain.core.compute import EnvironmentOrder, PreparedEnvironment, ReadyEnvironment
from jupyter_mltrain.core.environment import CURRENT, EnvironmentDefinition, EnvironmentLock, this_platform
from jupyter_mltrain.core.spec import Substitution
from jupyter_mltrain.core.wire_catalog import EnvironmentStateName
from jupyter_mltrain.environments.build import build, find_built
from jupyter_mltrain.environments.compiled import is_to_compile_here
from jupyter_mltrain.environments.interpreters import inspect_interpreter
from jupyter_mltrain.environments.orders import order_of
from jupyter_mltrain.environments.progress import BuildProgress
from jupyter_mltrain.environments.resolve import resolve
from jupyter_mltrain.environments.store import EnvironmentStore
from jupyter_mltrain.environments.substitutions import Substituted, for_target, with_image
from jupyter_mltrain.environments.uv import Log
from jupyter_mltrain.errors import (
    BuildFailed,
    MLTrainError,
    PythonNotFound,
    ResolveError,
    SubstitutionRefused,
    UsageError,
)


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

    def __init__(self, folder: Path, *, strict: bool = False) -> None:
        """`strict`: what would be substituted is refused."""
        self.store = EnvironmentStore(folder)
        self._strict = strict
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
        definition = self.get(reference)
        if definition.name == CURRENT or definition.user_managed:
            return _as_it_is(definition, kernel_python)
        lock = self._locked(definition, gpu, log, cancelled)
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

    def order(
        self,
        reference: str,
        platform: str,
        *,
        log: Log,
        gpu: bool = False,
        cancelled: threading.Event | None = None,
    ) -> EnvironmentOrder:
        """The environment `name[:version]` as an engine whose containers are of `platform` is asked for it; resolved now if
        it never was for that. Errors of `prepare` up to the build, and those of `order_of`."""
        definition = self.get(reference)
        if definition.name == CURRENT or definition.user_managed:
            lock = None
        else:
            lock = self._locked(definition, gpu, log, cancelled, platform)
            self._compile(definition, lock, log, cancelled)
        return order_of(definition, lock, self.store.table, gpu=gpu)

    def known_order(self, reference: str, platform: str, *, gpu: bool = False) -> EnvironmentOrder | None:
        """`order` without asking anybody: None for what was not resolved for that platform yet."""
        definition = self.get(reference)
        lock = None if definition.user_managed else self.store.lock(definition, None, platform, gpu)
        if lock is None and not definition.user_managed:
            return None
        return order_of(definition, lock, self.store.table, gpu=gpu)

    def state(self, reference: str, *, gpu: bool = False, kernel_python: str | None = None) -> EnvironmentState:
        """How much `prepare` would have to do; builds and resolves nothing."""
        definition = self.store.get(reference)
        return self.state_of(definition, gpu=gpu, kernel_python=kernel_python)

    def state_of(
        self, definition: EnvironmentDefinition, *, gpu: bool = False, kernel_python: str | None = None
    ) -> EnvironmentState:
        """The same of a definition that is stored, or could be."""
        if definition.name == CURRENT or definition.user_managed:
            ready = _as_it_is(definition, kernel_python)
            return EnvironmentState(definition.name, definition.version, "ready", ready.prepared.key, ready.packages)
        lock = self.lock(definition, gpu=gpu)
        if lock is None:
            return EnvironmentState(definition.name, definition.version, "to resolve")
        state = "ready" if find_built(lock.key) else "to build"
        return EnvironmentState(definition.name, definition.version, state, lock.key, lock.packages)

    def lock(self, definition: EnvironmentDefinition, *, gpu: bool = False) -> EnvironmentLock | None:
        """What a stored definition was resolved to on this machine; None if it was not yet."""
        return self.store.lock(definition, None, this_platform(), gpu)

    def get(self, reference: str) -> EnvironmentDefinition:
        """The definition of `name[:version]`, to be used. Errors of `EnvironmentStore.get`, and `SubstitutionRefused`."""
        definition = self.store.get(reference)
        self._allow(definition.name, definition.substitutions)
        return definition

    def for_target(self, definition: EnvironmentDefinition, *, containers: bool) -> tuple[Substitution, ...]:
        """What a run in `definition` records as substituted on a target that runs `containers`, or none. Raises
        `SubstitutionRefused`, and `UsageError` for arguments of its container that no run is given."""
        if containers:
            container_arguments.read(definition.docker.arguments)
        found = for_target(definition, containers=containers)
        self._allow(definition.name, found)
        return found

    def register(
        self,
        definition: EnvironmentDefinition,
        *,
        log: Log,
        gpu: bool = False,
        renew: bool = False,
        cancelled: threading.Event | None = None,
    ) -> EnvironmentDefinition:
        """Store a definition as a version and resolve it, so that a submit never has to. What no longer resolves is given
        as what the table says, and the version records it. `renew` with a name that exists makes a version of today's
        packages. Errors of `EnvironmentStore.register`, `resolve_asked` and `prepare`; a version whose resolution fails
        stays, without a lock, and is resolved when it is first used."""
        self.store.check(definition, renew=renew)
        if definition.user_managed:
            return self.store.register(definition, renew=renew)
        same = None if renew else self._same(definition)
        if same is not None and self.lock(same, gpu=gpu) is not None:
            return same
        with self._resolve_alone(cancelled):
            try:
                settled, lock = self.resolve_asked(definition, log=log, gpu=gpu, cancelled=cancelled)
            except SubstitutionRefused:
                raise
            except MLTrainError:
                self.store.register(definition, renew=renew)
                raise
            stored = self.store.register(settled, renew=renew)
            self.store.save_lock(stored, lock)
        return stored

    def resolve_asked(
        self,
        definition: EnvironmentDefinition,
        *,
        log: Log,
        gpu: bool = False,
        cancelled: threading.Event | None = None,
    ) -> tuple[EnvironmentDefinition, EnvironmentLock]:
        """What `definition` comes to: with what is given in place of what does not resolve, and its lock. Stores nothing.

        Raises `SubstitutionRefused` if `strict`, `ResolveError` with the resolver's words for what was asked, or, where
        something is given in its place, for that.
        """
        table = self.store.table
        named = tuple(one for one in definition.substitutions if one.kind == "environment")
        definition = with_image(dataclasses.replace(definition, given=None, substitutions=named), table)
        asked, legacy = table.settled(definition.asked), table.legacy(definition.asked)
        try:
            settled = self._settled(definition, asked)
            return settled, resolve(settled, log, gpu=gpu, wheels=asked.wheels, cancelled=cancelled)
        except (ResolveError, PythonNotFound) as error:
            if legacy.packages == asked.packages:
                raise
            log(f"Not to be had as asked: {error.message}")
        settled = self._settled(definition, legacy)
        for one in settled.substitutions:
            log(f"Given in its place: {one.asked} -> {one.given} ({one.reason})")
        return settled, resolve(settled, log, gpu=gpu, cancelled=cancelled)

    def _settled(self, definition: EnvironmentDefinition, made: Substituted) -> EnvironmentDefinition:
        """`definition` with what is given in its place, if that is something else."""
        self._allow(definition.name, (*definition.substitutions, *made.substitutions))
        return dataclasses.replace(
            definition,
            given=None if made.packages == definition.asked else made.packages,
            substitutions=(*definition.substitutions, *made.substitutions),
        )

    def _same(self, definition: EnvironmentDefinition) -> EnvironmentDefinition | None:
        """The newest version of that name, if it asks for the same and the table has not changed about it since."""
        versions = self.store.versions(definition.name)
        newest = self.store.get(f"{definition.name}:{versions[-1]}") if versions else None
        table = self.store.table
        if newest is None or newest.asked_key != definition.asked_key:
            return None
        could_be = (None, table.settled(definition.asked).packages, table.legacy(definition.asked).packages)
        return newest if newest.given in could_be else None

    def _allow(self, name: str, substitutions: Sequence[Substitution]) -> None:
        if self._strict and substitutions:
            asked = ", ".join(one.asked for one in substitutions[:4])
            raise SubstitutionRefused(
                f"Environment {name!r} cannot be had as asked ({asked}), and `strict = true` refuses what is given instead.",
                mend="Ask for what exists, or take `strict` out of .mltrain/config.toml.",
                substitutions=[dataclasses.asdict(one) for one in substitutions],
            )

    @contextlib.contextmanager
    def _resolve_alone(self, cancelled: threading.Event | None) -> Generator[None, None, None]:
        """Two runs that come first at once get one lock."""
        while not self._resolving.acquire(timeout=POLL_SECONDS):
            if cancelled is not None and cancelled.is_set():
                raise Stopped
        try:
            yield
        finally:
            self._resolving.release()

    def _compile(
        self, definition: EnvironmentDefinition, lock: EnvironmentLock, log: Log, cancelled: threading.Event | None
    ) -> None:
        """The wheels that containers are to get, compiled on this machine where it can."""
        if not is_to_compile_here(lock):
            return
        try:
            build(definition, lock, log, cancelled=cancelled)
        except (BuildFailed, PythonNotFound) as error:
            log(f"Not on this machine, but in the container: {error.message}")

    def _locked(
        self,
        definition: EnvironmentDefinition,
        gpu: bool,
        log: Log,
        cancelled: threading.Event | None,
        platform: str | None = None,
    ) -> EnvironmentLock:
        with self._resolve_alone(cancelled):
            stored = self.store.lock(definition, None, platform or this_platform(), gpu)
            if stored is not None:
                return stored
            lock = resolve(definition, log, gpu=gpu, cancelled=cancelled, platform=platform)
            self.store.save_lock(definition, lock)
            return lock


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
