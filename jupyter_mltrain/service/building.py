"""Environments built on request, outside any run: one build per environment at a time, its log kept for who watches."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from jupyter_mltrain.core import wire_catalog as catalog
from jupyter_mltrain.core.compute import ReadyEnvironment
from jupyter_mltrain.core.environment import EnvironmentDefinition
from jupyter_mltrain.core.wire import WireError
from jupyter_mltrain.environments.dockerfile import dockerfile
from jupyter_mltrain.errors import MLTrainError
from jupyter_mltrain.service.long_work import in_thread

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service


class _Build:
    def __init__(self) -> None:
        self.log = bytearray()
        self.task: asyncio.Task[Any] | None = None
        self.error: WireError | None = None
        self.ready: ReadyEnvironment | None = None
        self._loop = asyncio.get_running_loop()
        self._grown = asyncio.Event()

    def line(self, text: str) -> None:
        """Add a line, from any thread."""
        self.log += text.rstrip("\n").encode() + b"\n"
        self._loop.call_soon_threadsafe(self.wake)

    def wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()

    async def grown(self, seconds: float) -> None:
        """Return when there is more to read, or after `seconds`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._grown.wait(), seconds)

    @property
    def over(self) -> bool:
        return self.task is None or self.task.done()


class Builds:
    """Builds that were asked for by name. Their logs live as long as the service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._builds: dict[str, _Build] = {}

    async def register(self, definition: EnvironmentDefinition) -> catalog.EnvironmentDefinition:
        """Store and resolve. What the resolver said is in the error, and in the environment's log."""
        build = _Build()
        stored = await in_thread(lambda _: self._service.environments.register(definition, log=build.line))
        self._builds[self._one_name(f"{stored.name}:{stored.version}")] = build
        return stored.to_json()

    async def preview(self, definition: EnvironmentDefinition) -> catalog.EnvironmentPreview:
        """What `definition` would come to. Errors of `Environments.resolve_asked`; what it said is in `log`."""
        environments, said = self._service.environments, list[str]()
        environments.store.check(definition)
        if definition.user_managed:
            settled, lock = definition, None
        else:
            settled, lock = await in_thread(lambda _: environments.resolve_asked(definition, log=said.append))
        return {
            **settled.to_json(),
            "packages": list(lock.packages) if lock else [],
            "lock": lock.dumps() if lock else "",
            "dockerfile": dockerfile(settled, lock, environments.store.table),
            "log": said,
        }

    async def start(self, name: str, *, gpu: bool) -> catalog.Build:
        """Build `name` unless that is under way. Raises `EnvironmentNotFound`."""
        definition = await asyncio.to_thread(self._service.environments.get, name)
        name = f"{definition.name}:{definition.version}" if definition.version else definition.name
        build = self._builds.get(name)
        if build is None or build.over:
            build = self._builds[name] = _Build()
            build.task = self._service.working(self._run(name, build, gpu))
            build.task.add_done_callback(lambda _: build.wake())
        return self.state(name)

    def state(self, name: str) -> catalog.Build:
        """`building`, `ready`, `failed` (with the error) or `idle`."""
        build = self._builds.get(self._one_name(name))
        if build is None or build.task is None:
            return {"name": name, "state": "idle"}
        if not build.over:
            return {"name": name, "state": "building"}
        if build.error is not None:
            return {"name": name, "state": "failed", "error": build.error}
        assert build.ready is not None, "neither error nor result"
        ready = build.ready
        return {
            "name": name,
            "state": "ready",
            "key": ready.prepared.key,
            "python": ready.prepared.python,
            "seconds": ready.seconds,
            "cached": ready.cached,
        }

    async def log(self, name: str, offset: int, wait: float) -> tuple[bytes, bool]:
        """The log's bytes from `offset`, and whether nothing more will come; waits for the first new one."""
        deadline = time.monotonic() + wait
        build = self._builds.get(self._one_name(name))
        if build is None:
            return b"", True
        while len(build.log) <= offset and not build.over and (left := deadline - time.monotonic()) > 0:
            await build.grown(left)
        data = bytes(build.log[offset : offset + (1 << 20)])
        return data, build.over and offset + len(data) >= len(build.log)

    def _one_name(self, name: str) -> str:
        """`tensorflow` and `tensorflow:1` are one build where 1 is the newest version."""
        asked, _, version = name.partition(":")
        store = self._service.environments.store
        plain = store.spelled(asked)
        versions = store.versions(plain)
        return f"{plain}:{version or max(versions)}" if versions else plain

    async def _run(self, name: str, build: _Build, gpu: bool) -> None:
        try:
            build.ready = await in_thread(
                lambda stop: self._service.environments.prepare(name, log=build.line, gpu=gpu, cancelled=stop)
            )
            if build.ready.cached:
                build.line(f"{name} was built already: {len(build.ready.packages)} packages")
        except MLTrainError as error:
            build.error = cast("WireError", error.to_wire())
            build.line(str(error))
