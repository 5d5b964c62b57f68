"""Environments where containers are: one volume per engine holds all of them, uv's cache and the uv that makes them.

<volume>/envs/<20 hex>/         an environment, made of a lock and an image, by the image's Python; scripts name it by this
                                path, so it is made here; `ready.json`, renamed into place last, says that it is whole
<volume>/cache/                 uv's; files of environments are links to it, so that what they share is there once
<volume>/uv/<version>/uv        this package's own uv
<volume>/wheels/<20 hex>/       what was compiled for an image (`inside/compiling.py`)
<volume>/python/                Pythons that uv fetched for images without one
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from posixpath import basename, join
from typing import Any

from jupyter_mltrain.cache import Stopped
from jupyter_mltrain.computes.docker import containers
from jupyter_mltrain.computes.docker import image as images
from jupyter_mltrain.computes.docker.connection import Connection
from jupyter_mltrain.computes.docker.foreseeing import IN_IMAGE, foresee, volume_folder
from jupyter_mltrain.computes.docker.labels import labels
from jupyter_mltrain.computes.docker.maker import READY, Maker
from jupyter_mltrain.computes.docker.plan import ENVIRONMENTS_PLACE
from jupyter_mltrain.computes.docker.registry import Registry
from jupyter_mltrain.core.compute import EnvironmentOrder, ForeseenEnvironment, ReadyEnvironment
from jupyter_mltrain.core.environment import BUILD, default_image
from jupyter_mltrain.errors import BuildFailed, EngineError, EnvironmentError_, UsageError

Say = Callable[[str], None]


class DockerEnvironments:
    """The environments of an engine. `base_image`: what those are made on that name no image, where it is not the public
    one of Python (or, with GPUs, of CUDA). `image`: `BUILD` where every one becomes an image. `registry`: where images
    that are built here are shared with other hosts (`registry.check`)."""

    def __init__(self, connection: Connection, *, base_image: str = "", image: str = "", registry: str = "") -> None:
        self._connection = connection
        self._base_image = base_image
        if image not in ("", BUILD):
            raise UsageError(f"The setting image is {image!r}.", mend=f"Give {BUILD!r}, or nothing.")
        self._built = image == BUILD
        self._registry = Registry(connection, registry) if registry else None
        self._threads = ThreadPoolExecutor(64, thread_name_prefix="docker-environment")
        self._known: dict[tuple[str, str], dict[str, Any]] = {}
        self._platform = ""

    async def platform(self) -> str:
        """As `core.environment.this_platform` writes it. Its images are taken to be of glibc: one that is not is refused
        when an environment is made on it."""
        if not self._platform:
            info: dict[str, Any] = await self._connection.call(lambda client: client.info())
            self._platform = f"{info.get('OSType', 'linux')}-{info['Architecture']}-glibc"
        return self._platform

    async def prepare(self, order: EnvironmentOrder, log: Say, progress: Say) -> ReadyEnvironment:
        """The environment of `order` on this engine, made unless it is there. A cancelled call ends the making.

        Raises `EngineError` for an image that cannot be had, `BuildFailed` with what was said in `details["output"]`,
        `PythonNotFound`, `EnvironmentError_` for an image that no environment can stand in, `EngineUnreachable`.
        """
        work = _Work(
            self._connection, self._settled(order), self._image(order), self._registry, log, progress, self._known
        )
        task = asyncio.get_running_loop().run_in_executor(self._threads, work.run)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            work.stop.set()
            with contextlib.suppress(EngineError):
                await self._connection.call(work.end)
            task.add_done_callback(_looked_at)
            await asyncio.wait({task}, timeout=5)
            raise

    async def foresee(self, order: EnvironmentOrder) -> ForeseenEnvironment:
        """What `prepare` would come to now."""
        loop, settled = asyncio.get_running_loop(), self._settled(order)
        return await loop.run_in_executor(
            self._threads, foresee, self._connection, settled, self._image(order), self._registry
        )

    def _settled(self, order: EnvironmentOrder) -> EnvironmentOrder:
        return dataclasses.replace(order, built=order.built or self._built or bool(order.dockerfile))

    def _image(self, order: EnvironmentOrder) -> str:
        return order.image or self._base_image or default_image(order.python, gpu=order.gpu)


def _looked_at(task: asyncio.Future[Any]) -> None:
    """Whatever a call that was given up comes to is nobody's business."""
    if not task.cancelled():
        task.exception()


class _Work:
    """One call of `prepare`, in a thread of its own."""

    def __init__(
        self,
        connection: Connection,
        order: EnvironmentOrder,
        base: str,
        registry: Registry | None,
        log: Say,
        progress: Say,
        known: dict[tuple[str, str], dict[str, Any]],
    ) -> None:
        self.stop = threading.Event()
        self._connection = connection
        self._order = order
        self._base = base
        self._registry = registry
        self._log = log
        self._progress = progress
        self._known = known
        self._maker: Maker | None = None

    def run(self) -> ReadyEnvironment:
        order, started = self._order, time.monotonic()
        image = self._of_dockerfile() if order.dockerfile else images.pulled(self._connection, self._base, *self._ask)
        if order.interpreter:
            return self._as_it_is(image)
        if order.built:
            return self._in_image(image, started)
        return self._in_volume(image, started)

    def end(self, client: Any) -> None:
        """Remove the container that is at work for this call, if there is one. Idempotent."""
        if self._maker is not None:
            self._maker.end(client)

    @property
    def _ask(self) -> tuple[Say, Say, threading.Event]:
        return self._log, self._progress, self.stop

    def _of_dockerfile(self) -> dict[str, Any]:
        tag = images.tag("base", self._order.dockerfile)
        found = images.find(self._connection, tag) or (self._registry and self._registry.fetch(tag, *self._ask))
        found = found or images.built(self._connection, tag, self._order.dockerfile, *self._ask)
        if self._registry:
            self._registry.share(tag, *self._ask)
        return found

    def _in_volume(self, image: Mapping[str, Any], started: float) -> ReadyEnvironment:
        folder = volume_folder(self._order, image)
        maker = self._new(
            f"mltrain-environment-{basename(folder)}", image, folder, "hardlink", join(ENVIRONMENTS_PLACE, "python")
        )
        self._create(maker)
        try:
            ready = maker.ready()
            cached = ready is not None
            if ready is None:
                maker.make()
                ready = maker.ready()
            if ready is None:
                raise BuildFailed(f"Environment {self._order.name!r} was installed, but is not there.")
        finally:
            self._connection.do(maker.end)
        return self._result(ready, join(folder, "bin/python"), str(image["Id"]), cached=cached, started=started)

    def _in_image(self, image: Mapping[str, Any], started: float) -> ReadyEnvironment:
        """The environment as the last layer of an image: made in a container, which is then kept as an image."""
        tag = images.tag("environment", str(image["Id"]), self._order.key)
        repository, _, key = tag.partition(":")
        maker = self._new(f"mltrain-image-{key}", image, IN_IMAGE, "copy", "/opt/python")
        found = images.find(self._connection, tag)
        if found is None and self._registry:
            found = self._registry.fetch(tag, *self._ask)
        cached = found is not None
        if found is None:
            self._create(maker)
            try:
                found = images.find(self._connection, tag)
                if found is None:
                    maker.make()
                    maker.keep(repository, key)
            finally:
                self._connection.do(maker.end)
            found = found or images.find(self._connection, tag)
        if found is None:
            raise BuildFailed(f"The image of environment {self._order.name!r} was built, but is not there.")
        if self._registry:
            self._registry.share(tag, *self._ask)
        ready: dict[str, Any] = json.loads(found["Config"]["Labels"].get(READY, "{}"))
        return self._result(ready, join(IN_IMAGE, "bin/python"), str(found["Id"]), cached=cached, started=started)

    def _new(self, name: str, image: Mapping[str, Any], folder: str, link: str, pythons: str) -> Maker:
        self._maker = Maker(
            self._connection,
            self._order,
            image,
            self._order.image or self._base,
            name,
            folder,
            link,
            pythons,
            self._log,
            self._progress,
            self.stop,
        )
        return self._maker

    def _create(self, maker: Maker) -> None:
        while not maker.create():
            maker.watch_other()
            if self.stop.is_set():
                raise Stopped

    def _result(
        self, ready: Mapping[str, Any], python: str, image: str, *, cached: bool, started: float
    ) -> ReadyEnvironment:
        order = self._order
        return ReadyEnvironment(
            order.prepared(python, image),
            python_version=str(ready.get("python_version", "")),
            packages=order.packages,
            lock=order.lock,
            cached=cached,
            seconds=round(time.monotonic() - started, 2),
            bytes=int(ready.get("bytes", 0)),
        )

    def _as_it_is(self, image: Mapping[str, Any]) -> ReadyEnvironment:
        """What the user looks after in the image: its Python is asked once where and what it is."""
        order, started, known = self._order, time.monotonic(), (str(image["Id"]), self._order.interpreter)
        if known not in self._known:
            self._known[known] = self._looked_into(image)
        answer = self._known[known]
        self._order = dataclasses.replace(order, key=str(image["Id"]), packages=tuple(answer["packages"]))
        return self._result(answer, answer["python"], str(image["Id"]), cached=True, started=started)

    def _looked_into(self, image: Mapping[str, Any]) -> dict[str, Any]:
        order = self._order
        try:
            return _ask_python(self._connection, image, order, self.stop)
        except EnvironmentError_:
            if order.interpreter != "python":
                raise
            # What nobody named: some systems have only this one.
            return _ask_python(self._connection, image, dataclasses.replace(order, interpreter="python3"), self.stop)


_QUESTION = """
import importlib.metadata, json, sys
found = sorted({"%s==%s" % (d.metadata["Name"], d.version) for d in importlib.metadata.distributions()})
print(json.dumps({"python": sys.executable, "python_version": "%d.%d.%d" % sys.version_info[:3], "packages": found}))
"""


def _ask_python(
    connection: Connection, image: Mapping[str, Any], order: EnvironmentOrder, stop: threading.Event
) -> dict[str, Any]:
    name, said = f"mltrain-look-{secrets.token_hex(10)}", list[str]()
    asked = [order.interpreter, "-I", "-c", _QUESTION]

    def create(client: Any) -> None:
        host = containers.unprivileged(client, network_mode="none")
        client.create_container(
            image["Id"], name=name, entrypoint=asked, command=[], host_config=host, labels=labels("helper")
        )
        client.start(name)

    state: Mapping[str, Any] = {}
    try:
        connection.do(create)
        containers.follow(connection, name, said, stop, lambda _: None, lambda: None)
        state = containers.state(connection, name) or {}
    except EngineError as error:
        if "status" not in error.details:
            raise
        said = [error.message]  # no such program in the image
    finally:
        connection.do(lambda client: containers.remove(client, name))
    try:
        if state.get("ExitCode") == 0:
            return json.loads(said[-1])
    except (ValueError, IndexError):
        pass
    raise EnvironmentError_(
        f"The image of environment {order.name!r} has no Python {order.interpreter!r} that starts:"
        f" {said[-1][:300] if said else 'no answer'}",
        mend="Name the interpreter that is in the image (python.interpreter_path).",
    )
