"""A server whose model is in a container: to the endpoint's keeper a server like any other (`control.py` has the words).

It brings the container up, says what the server in it says (`ready.json`, `failure.json`, its lines), takes connections
of the listening socket and passes their bytes on. When the container ends it ends, with the cause; when it ends it
takes the container along. One that was killed leaves a container behind, which the next one removes.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jupyter_mltrain.core.serving import KEYS, Ended, Serving, ServingHost, ServingOrder
from jupyter_mltrain.deployments import stock
from jupyter_mltrain.deployments.causes import FAILED, cause
from jupyter_mltrain.deployments.injected.mltrain_endpoint.control import Control
from jupyter_mltrain.deployments.place import Place
from jupyter_mltrain.deployments.starting import MEMORY, living
from jupyter_mltrain.errors import EngineError, EngineUnreachable, MLTrainError
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import records

_LOOK = 0.2
_LOOK_SECONDS = 5.0
_AGAIN = 1.0
"""Seconds between tries to reach an engine that does not answer."""
_ASK_SECONDS = 4.0
_FIRST_SECONDS = 60.0
"""The same of a new connection, which may be a process that has to start in the container."""
_CHUNK = 1 << 18
_AT_ONCE = 64
_LINGER = 2.0
"""Seconds that a client has to read the last answer, and to end its side."""
_DRAIN_SECONDS = 25.0
_THREADS = 64


def main(start: str, load: Callable[[str, Mapping[str, Any]], Any]) -> int:
    """Serve what the plan of the start's revision says, until it is drained or told to end. `load`: makes an engine of
    its kind and settings. Returns the exit code."""
    folder = Path(start)
    place = Place(folder.parents[1])
    revision = int(folder.name.partition("-")[0])
    plan = json.loads((place.revision(revision) / "plan.json").read_text("utf-8"))
    order = ServingOrder.from_json(plan["container"])
    try:
        host: ServingHost = load(order.engine, order.settings)
        host.belongs_to(order.workspace)
        return asyncio.run(_Relay(folder, place, order, host).run())
    except MLTrainError as error:
        return _failed(folder, {"title": error.message, "mend": error.mend})


class _Relay:
    def __init__(self, folder: Path, place: Place, order: ServingOrder, host: ServingHost) -> None:
        self._folder, self._place, self._order, self._host = folder, place, order, host
        self._serving: Serving = host.serving(order, folder.name)
        self._threads = ThreadPoolExecutor(_THREADS, "relay")
        self._dials = ThreadPoolExecutor(_THREADS, "dial")  # of their own: clients do not hold up who asks for health
        self._listening = socket.socket(fileno=os.dup(int(os.environ["MLTRAIN_LISTEN_FD"])))
        self._listening.setblocking(False)
        self._open: set[asyncio.Task[None]] = set()
        self._dialling = 0
        self._draining = False
        self._lost = False
        self._measuring = False
        self._keys_seen: Any = None
        self._asking = threading.Lock()
        self._line: http.client.HTTPConnection | None = None
        self._over = threading.Event()
        self._quiet = threading.Event()
        self._saying = threading.Thread(target=self._pass_lines, daemon=True, name="lines")

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        asked = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, asked.set)
        ending = asyncio.ensure_future(asked.wait())
        working = asyncio.ensure_future(self._work(loop))
        await asyncio.wait({ending, working}, return_when=asyncio.FIRST_COMPLETED)
        self._over.set()
        self._quiet.set()
        self._pause_now(loop)
        ending.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
        for task in self._open:
            task.cancel()
        with contextlib.suppress(EngineError):  # who comes next removes it
            await self._do(self._serving.end)
        self._threads.shutdown(wait=False, cancel_futures=True)
        return 0 if working.cancelled() else working.result()

    async def _work(self, loop: asyncio.AbstractEventLoop) -> int:
        try:
            about = await self._do(self._begin)
        except _Failed as error:
            return _failed(self._folder, error.why)
        if about is None:
            return 0
        commands: dict[str, Callable[[], Awaitable[Any]]] = {
            "accept": self._accept, "pause": self._pause, "drain": self._drain, "health": self._health, "keys": self._keys,
        }  # fmt: skip
        Control(str(self._folder), commands, self._listening.fileno(), loop)
        records.write(str(self._folder / "ready.json"), {**about, "pid": os.getpid(), "container": self._serving.name})
        ended = await self._do(self._watch)
        if ended is None:
            return 0
        if self._draining:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*self._open, return_exceptions=True), _LINGER)
            return 0
        return _failed(self._folder, await self._do(lambda: self._why(ended)))

    async def _do(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    # -- the container, in threads ---------------------------------------------------------------------------------

    def _begin(self) -> dict[str, Any] | None:
        """What the server says of itself once it can answer; None when this process is to end. Raises `_Failed`."""
        keep = {start.folder.name for start in living(self._place)}
        self._patiently(lambda: self._host.clear_endpoint(self._order.endpoint, {*keep, self._folder.name}))
        self._keys_seen = self._keys_now()
        keys = self._place.keys.read_bytes()
        self._patiently(lambda: self._serving.begin(keys, _say))
        self._saying.start()
        while not self._over.wait(_LOOK):
            about: dict[str, Any] | None = self._patiently(self._ready)
            if about and self._reached():
                return about
            ended: Ended | None = self._patiently(self._serving.ended)
            if ended is not None:
                raise _Failed(self._why(ended))
        return None

    def _reached(self) -> bool:
        """Whether it answers: then the way there is open when the keeper asks."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            self._patiently(self._asked)
            return True
        return False

    def _ready(self) -> dict[str, Any] | None:
        if not self._order.stock:
            return json.loads(self._serving.read("ready.json") or b"null")
        with contextlib.suppress(OSError, http.client.HTTPException):  # it does not listen yet
            return stock.about(self._order.stock, lambda path: self._get(path, ""))
        return None

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        """What `ask` returns, however long the engine does not answer; None when this process is to end meanwhile."""
        while not self._over.is_set():
            try:
                found = ask()
            except EngineUnreachable as error:
                self._note_loss(error)
                self._over.wait(_AGAIN)
            except EngineError as error:
                raise _Failed({"title": error.message, "mend": error.mend}) from error
            else:
                self._note_back()
                return found
        return None

    def _watch(self) -> Ended | None:
        """How the container ended; None when this process is to end."""
        while not self._over.is_set():
            ended: Ended | None = self._patiently(self._serving.ended)
            if ended is not None:
                return ended
            # Its lines end with it: that is noticed at once, and by looking alone only after a while.
            self._quiet.wait(_LOOK_SECONDS)
            self._quiet.clear()
        return None

    def _pass_lines(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(EngineError):  # the watch tells of an engine that is gone
                self._serving.follow(_say)
            self._quiet.set()
            self._over.wait(_AGAIN)

    def _why(self, ended: Ended) -> dict[str, Any]:
        self._over.set()
        self._saying.join(_LINGER)  # its last words
        said: dict[str, Any] | None = None
        with contextlib.suppress(EngineError, ValueError):
            said = json.loads(self._serving.read("failure.json") or b"null")
        if ended.gone:
            return {"title": "Its container was removed by somebody else.", "evidence": ["container gone"]}
        code = ended.code or 0
        record = {
            "code": code,
            "signal": code - 128 if code > 128 else None,
            "oom_kills": int(ended.out_of_memory),
            "limit_bytes": self._order.memory_bytes,
            "peak_bytes": self._order.memory_bytes if ended.out_of_memory else 0,
        }
        why = cause(record, said)
        return {**why, "evidence": [f"container exit code {code}", *(["out of memory"] if ended.out_of_memory else [])]}

    def _note_loss(self, error: EngineUnreachable) -> None:
        self._write_failure({"title": error.message, "mend": error.mend, "evidence": []})

    def _write_failure(self, why: dict[str, Any]) -> None:
        """For the keeper, should it lose patience."""
        if not self._lost:
            _say(f"[relay] {why['title']} It is tried again.")
            records.write(str(self._folder / "failure.json"), why)
        self._lost = True

    def _note_back(self) -> None:
        if self._lost:
            _say("[relay] It answers again.")
            (self._folder / "failure.json").unlink(missing_ok=True)
            self._lost = False

    # -- what the keeper tells -------------------------------------------------------------------------------------

    async def _accept(self) -> None:
        asyncio.get_running_loop().add_reader(self._listening.fileno(), self._take)

    async def _pause(self) -> None:
        self._pause_now(asyncio.get_running_loop())

    def _pause_now(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._listening.fileno())

    async def _drain(self) -> None:
        await self._pause()
        self._draining = True
        asyncio.ensure_future(self._drained())  # noqa: RUF006 - it ends with the process

    async def _drained(self) -> None:
        until = time.monotonic() + _DRAIN_SECONDS
        while self._dialling and time.monotonic() < until:  # noqa: ASYNC110 - they are few and soon through
            await asyncio.sleep(0.01)
        await self._do(self._hang_up)
        with contextlib.suppress(EngineError):
            await self._do(self._serving.drain)

    async def _health(self) -> dict[str, Any]:
        try:
            await self._keys()
            found: dict[str, Any] = await self._do(self._asked)
        except (OSError, EngineError, http.client.HTTPException) as error:
            title = f"Its server on {self._serving.where} does not answer."
            self._write_failure({"title": title, "mend": "", "evidence": [f"{type(error).__name__}: {error}"[:200]]})
            raise
        self._note_back()
        if not self._measuring:
            self._measuring = True
            self._threads.submit(self._measure)
        return {"draining": self._draining, **found}

    def _measure(self) -> None:
        try:
            with contextlib.suppress(EngineError, OSError):
                (self._folder / MEMORY).write_text(str(self._serving.memory()))
        finally:
            self._measuring = False

    async def _keys(self) -> None:
        """Give the server the keys that hold now."""
        seen = self._keys_now()
        if seen != self._keys_seen:
            data = self._place.keys.read_bytes()
            await self._do(lambda: self._serving.write(KEYS, data))
            self._keys_seen = seen

    def _keys_now(self) -> Any:
        found = self._place.keys.stat()
        return found.st_mtime_ns, found.st_ino

    def _asked(self) -> dict[str, Any]:
        """The server's counts. Raises where it does not answer."""
        keys = json.loads(self._place.keys.read_bytes())
        status, data = self._get(self._order.ready, keys["primary"])
        if status != http.client.OK:
            raise ConnectionError(f"the server in the container answers {status}")
        found: Any = json.loads(data) if data.startswith(b"{") else {}
        return found if "requests" in found else {}

    def _get(self, path: str, key: str) -> tuple[int, bytes]:
        """Over one connection that is kept: a new one may cost seconds on a busy host."""
        with self._asking:
            if self._line is None or self._line.sock is None:
                self._line = http.client.HTTPConnection("localhost", timeout=_ASK_SECONDS)
                self._line.sock = self._serving.dial()
                self._line.sock.settimeout(_FIRST_SECONDS)
            try:
                self._line.request("GET", path, headers={"Authorization": f"Bearer {key}"})
                response = self._line.getresponse()
                found = response.status, response.read(1 << 20)
            except (OSError, http.client.HTTPException):
                self._line.close()
                raise
            if self._line.sock is not None:
                self._line.sock.settimeout(_ASK_SECONDS)
            return found

    def _hang_up(self) -> None:
        with self._asking:
            if self._line is not None:
                self._line.close()

    # -- connections -----------------------------------------------------------------------------------------------

    def _take(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                client, _address = self._listening.accept()
            except (BlockingIOError, ConnectionError):
                return
            task = asyncio.ensure_future(self._one(client))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def _one(self, client: socket.socket) -> None:
        with client:
            client.setblocking(False)
            self._dialling += 1
            try:
                loop = asyncio.get_running_loop()
                there: socket.socket = await loop.run_in_executor(self._dials, self._serving.dial)
            except (OSError, EngineError):
                await _refuse(client)
                return
            finally:
                self._dialling -= 1
            with there:
                there.setblocking(False)
                await _passed(client, there)


async def _passed(client: socket.socket, there: socket.socket) -> None:
    """Until the server ends its side; a client that ends its own may still be answered."""
    for each in (client, there):
        with contextlib.suppress(OSError):  # a pair of sockets has no such thing
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    up = asyncio.ensure_future(_pump(client, there))
    try:
        await _pump(there, client)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(up), _LINGER)
    finally:
        up.cancel()
        await asyncio.wait({up})


async def _pump(source: socket.socket, sink: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while data := await loop.sock_recv(source, _CHUNK):
            await loop.sock_sendall(sink, data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


async def _refuse(client: socket.socket) -> None:
    body = b'{"error": "The engine with this endpoint\'s container does not answer. Try again in some seconds."}'
    head = (
        f"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 5\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError, TimeoutError):
        await loop.sock_sendall(client, head.encode() + body)
        client.shutdown(socket.SHUT_WR)
        await asyncio.wait_for(loop.sock_recv(client, _CHUNK), _LINGER)


class _Failed(Exception):  # noqa: N818 - it carries the cause
    def __init__(self, why: dict[str, Any]) -> None:
        super().__init__(why["title"])
        self.why = why


def _failed(folder: Path, why: Mapping[str, Any]) -> int:
    records.write(str(folder / "failure.json"), dict(why))
    return FAILED


def _say(line: str) -> None:
    """To the endpoint's log, which this process's output is."""
    print(line, flush=True)  # noqa: T201
