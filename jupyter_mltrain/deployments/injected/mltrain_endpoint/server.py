"""The process: loads, tries, and then serves until it is drained or told to end."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import files

FAILED = 3
"""Exit code when the model cannot be served; why stands in `failure.json`."""

DRAIN_SECONDS = 15.0
"""How long connections that say nothing are kept open after another process took over: closing one in the instant that
its client uses it again would fail that request."""
_SETTLE_SECONDS = 0.5
_KEEP_ALIVE = 75


def main(serve: str, start: str) -> int:
    """Serve what the file `serve` says. Returns the exit code."""
    with open(serve, encoding="utf-8") as file:
        about = json.load(file)
    # Behind all that the environment has itself: only what it lacks comes from there.
    sys.path += about["overlay"]
    began = time.monotonic()
    try:
        application, threads = _prepare(about)
    except BaseException as error:  # noqa: BLE001 - whatever it is (SystemExit of a script, too), it is the user's to see
        _write(start, "failure.json", _failure(error))
        return FAILED
    # What loading made lives as long as the process: the collector need not walk TensorFlow's million objects again.
    gc.collect()
    gc.freeze()
    return _run(_serve(application, threads, start, time.monotonic() - began))


def _failure(error: BaseException) -> dict[str, Any]:
    """`final`: that starting again would end the same way."""
    if isinstance(error, files.Changed):
        print(error, file=sys.stderr, flush=True)
        return {"title": _title(error), "traceback": None, "mend": error.mend, "final": True}
    traceback.print_exc()
    return {"title": _title(error), "traceback": traceback.format_exc()[-20_000:]}


def _prepare(about: dict[str, Any]) -> Any:
    for model in about["models"]:
        files.check(model)

    from .app import Application, Keys
    from .script import Script
    from .signatures import load

    loaded = script = None
    tried = 1.0
    models = about["models"]
    model, version = (models[0]["name"], str(models[0]["version"])) if models else (about["name"], "1")
    if about["script"] is not None:
        threads = ThreadPoolExecutor(1, "script")
        script = threads.submit(Script, about["script"]["path"]).result()
    else:
        threads = ThreadPoolExecutor(max(2, len(os.sched_getaffinity(0))), "model")
        from .trial import warm_up

        loaded = load(models[0]["path"], models[0]["format"])
        tried = warm_up(loaded.signatures[loaded.default])
    return Application(
        about["name"], model, version, loaded, script, Keys(about["keys"]), about["max_body"], threads, tried
    ), threads


class _Acceptor:
    """A uvicorn server whose connections come from a socket that other processes accept from too."""

    def __init__(self, application: Any, listening: int) -> None:
        import uvicorn

        config = uvicorn.Config(
            application, lifespan="off", ws="none", log_level="warning", access_log=False, server_header=False,
            timeout_keep_alive=_KEEP_ALIVE, timeout_graceful_shutdown=10, backlog=2048,
        )  # fmt: skip
        config.load()
        self.server = uvicorn.Server(config)
        self.server.lifespan = config.lifespan_class(config)
        self.server.servers = []
        self._application, self._listening = application, listening
        self.over = asyncio.Event()

    async def accept(self) -> None:
        if not self.server.servers:
            # A duplicate: closing it ends our accepting, and not the socket that the next process holds too.
            await self.server.startup(sockets=[socket.socket(fileno=os.dup(self._listening))])

    async def pause(self) -> None:
        loop = asyncio.get_running_loop()
        if isinstance(loop, asyncio.SelectorEventLoop):
            # Until Python 3.12 a server of asyncio that is closed forgets the connections it accepted in the last turn.
            for each in self.server.servers:
                for listener in each.sockets:
                    loop.remove_reader(listener.fileno())
            await asyncio.sleep(0.01)
        for each in self.server.servers:
            each.close()
        self.server.servers = []

    async def drain(self) -> None:
        await self.pause()
        self._application.draining = True
        self.over.set()

    async def health(self) -> Any:
        return {"draining": self._application.draining, **self._application.measure.summary()}

    async def end(self) -> None:
        """Return when the last connections are done with."""
        # What was accepted in the last instant may not be among the connections yet.
        await asyncio.sleep(_SETTLE_SECONDS)
        deadline = time.monotonic() + DRAIN_SECONDS
        connections = self.server.server_state.connections
        while connections and time.monotonic() < deadline:  # noqa: ASYNC110 - uvicorn tells of no event
            await asyncio.sleep(0.05)
        await self.server.shutdown(sockets=[])


async def _serve(application: Any, threads: Any, start: str, seconds: float) -> int:
    from .control import Control

    alone = os.environ.get("MLTRAIN_LISTEN")
    listening = int(os.environ["MLTRAIN_LISTEN_FD"]) if alone is None else _listen(alone)
    acceptor = _Acceptor(application, listening)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: asyncio.ensure_future(acceptor.drain()))
    commands = {word: getattr(acceptor, word) for word in ("accept", "pause", "drain", "health")}
    Control(start, commands, listening, loop)
    if alone is not None:
        await acceptor.accept()
    _write(start, "ready.json", {"pid": os.getpid(), "seconds": round(seconds, 3), **_about(application)})
    ticking = asyncio.ensure_future(_tick(acceptor.server))
    await acceptor.over.wait()
    await acceptor.end()
    ticking.cancel()
    threads.shutdown(wait=False)
    return 0


def _listen(address: str) -> int:
    """In a container there is no keeper to share a socket with: one of its own, at `host:port`."""
    host, _, port = address.rpartition(":")
    listening = socket.create_server((host, int(port)), backlog=2048)
    return listening.detach()


async def _tick(server: Any) -> None:
    """What `uvicorn.Server.main_loop` does beside waiting: the date of answers."""
    counter = 0
    while True:
        await server.on_tick(counter)
        counter += 10
        await asyncio.sleep(1)


def _about(application: Any) -> dict[str, Any]:
    if application.loaded is None:
        schema = {"input": application.script.input_schema, "output": application.script.output_schema}
        return {"signatures": None, "default": None, "framework": None, "schema": schema}
    signatures = {
        name: {
            side: {
                key: {"dtype": t.dtype, "shape": None if t.shape is None else list(t.shape)}
                for key, t in tensors.items()
            }
            for side, tensors in (("inputs", signature.inputs), ("outputs", signature.outputs))
        }
        for name, signature in application.loaded.signatures.items()
    }
    return {
        "signatures": signatures,
        "default": application.loaded.default,
        "framework": application.loaded.framework,
        "schema": None,
    }


def _run(work: Any) -> int:
    try:
        import uvloop
    except ImportError:  # an environment with a server of its own, and without it
        return asyncio.run(work)
    if sys.version_info >= (3, 12):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return int(runner.run(work))
    uvloop.install()
    return asyncio.run(work)


def _write(folder: str, name: str, document: dict[str, Any]) -> None:
    """Write so that a reader sees all of it or nothing."""
    draft = os.path.join(folder, name + ".tmp")
    with open(draft, "w", encoding="utf-8") as file:
        json.dump(document, file)
    os.replace(draft, os.path.join(folder, name))


def _title(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    said = lines[0][:300] if lines else ""
    if type(error).__name__ in ("Unusable", "Refused", "Changed"):
        return said
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
