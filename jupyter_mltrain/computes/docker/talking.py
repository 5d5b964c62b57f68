"""Conversations with what runs in a container: bytes both ways, and an end that is noticed.

The SDK's own reader may lose what came with the engine's first answer, waits without end for what TLS has decrypted
already, and has no timeout.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from jupyter_mltrain.computes.docker.connection import Connection
from jupyter_mltrain.computes.docker.dialling import SILENCE, Client
from jupyter_mltrain.errors import EngineError, EngineUnreachable

T = TypeVar("T")

OUT, ERR = 1, 2
_HEADER = 8
_CHUNK = 1 << 16
_AHEAD = 8
"""Pieces that wait for a reader who is slower than the engine."""


class Talk:
    """A connection that was taken over after a request: `pieces` come out of the container, `send` goes in."""

    def __init__(self, response: Any) -> None:
        self._response = response
        # What came together with the head of the answer is in this buffer, and nowhere else.
        self._reader: Any = response.raw._fp.fp  # noqa: SLF001
        self._socket: socket.socket = self._reader.raw._sock  # noqa: SLF001
        self._socket.settimeout(SILENCE)

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Which output (`OUT`, `ERR`) and what it said, until there is no more."""
        while True:
            header = self._exactly(_HEADER)
            if len(header) < _HEADER:
                return
            left = int.from_bytes(header[4:], "big")
            while left:
                data = self._reader.read1(min(left, _CHUNK))
                if not data:
                    raise EngineUnreachable("The connection to the container was lost.")
                left -= len(data)
                yield header[0], data

    def flow(self, source: socket.socket) -> Iterator[bytes]:
        """Send what comes from `source`, until it ends, and yield what the container says on its first output, until it
        says no more. However long both are silent. Raises OSError."""
        frames = _Frames()
        while True:
            self._socket.settimeout(0)
            try:
                data = self._reader.read1(_CHUNK)
            except (ssl.SSLWantReadError, BlockingIOError):
                data = None
            self._socket.settimeout(SILENCE)
            if data is not None:
                if not data:
                    return
                yield from frames.out(data)
            elif source in select.select([source, self._socket], [], [])[0]:
                given = source.recv(_CHUNK)
                if not given:
                    return
                self._socket.sendall(given)

    def waits(self, seconds: float) -> bool:
        """Whether there is something to read within so many seconds."""
        return bool(select.select([self._socket], [], [], seconds)[0])

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def close(self) -> None:
        """From any thread; who reads then finds the end."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def leave(self) -> None:
        """Give the connection back; by the thread that read."""
        self.close()
        with contextlib.suppress(OSError):
            self._reader.close()
            self._socket.close()
        with contextlib.suppress(ValueError):  # an answer that was never read flushes what is closed
            self._response.close()

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._reader.read1(count - len(data))
            if not more:
                break
            data += more
        return data


class _Frames:
    """What an engine sends of both outputs in one, in whatever pieces it comes."""

    def __init__(self) -> None:
        self._header = b""
        self._left = 0
        self._which = OUT

    def out(self, data: bytes) -> Iterator[bytes]:
        """What of it the first output said."""
        while data:
            if not self._left:
                missing = _HEADER - len(self._header)
                self._header, data = self._header + data[:missing], data[missing:]
                if len(self._header) < _HEADER:
                    return
                self._left = int.from_bytes(self._header[4:], "big")
                self._which = self._header[0]
                self._header = b""
                continue
            piece, data = data[: self._left], data[self._left :]
            self._left -= len(piece)
            if self._which == OUT:
                yield piece


def execute(client: Client, container: str, command: Sequence[str], *, stdin: bool = False) -> tuple[Talk, str]:
    """Run `command` in the container as its own user. Returns the conversation and the id to ask for the exit code."""
    made: str = client.exec_create(container, list(command), stdin=stdin)["Id"]
    data = {"Tty": False, "Detach": False}
    return Talk(client.open("POST", f"/exec/{made}/start", json=data, headers=_UPGRADE)), made


def attach(client: Client, container: str) -> Talk:
    """The main process of a container that has not started yet, so that nothing is lost of what it says."""
    asked = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    return Talk(client.open("POST", f"/containers/{container}/attach", params=asked, headers=_UPGRADE))


_UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}


async def pumped(connection: Connection, source: Callable[[Pump[T]], None]) -> AsyncGenerator[T]:
    """What `source` puts into its pump, from a thread of its own, as it comes; a slow reader slows it down.

    Raises what `source` raises, in our words. An iterator that is left ends the thread.
    """
    pump: Pump[T] = Pump(asyncio.get_running_loop())
    thread = threading.Thread(target=pump.run, args=(connection, source), daemon=True, name="docker-stream")
    thread.start()
    try:
        while True:
            piece, error = await pump.queue.get()
            if error is not None:
                raise error
            if piece is None:
                return
            yield piece
    finally:
        pump.leave()


class Left(Exception):  # noqa: N818 - it is no error
    """Nobody reads any more."""


class Pump(Generic[T]):
    """Between a thread that reads a blocking source and a coroutine."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.queue: asyncio.Queue[tuple[T | None, BaseException | None]] = asyncio.Queue(_AHEAD)
        self._loop = loop
        self._left = threading.Event()
        self._hang_up: Callable[[], None] = lambda: None

    def put(self, piece: T) -> None:
        self._say((piece, None))

    def owns(self, hang_up: Callable[[], None]) -> None:
        """What to call when the reader leaves, so that a source that is waited for ends."""
        self._hang_up = hang_up
        if self._left.is_set():
            hang_up()

    def break_off(self) -> None:
        """End what the source waits for now; it goes on with what there is without."""
        self._hang_up()

    def leave(self) -> None:
        self._left.set()
        self._hang_up()
        while not self.queue.empty():  # somebody may wait for room
            self.queue.get_nowait()

    def run(self, connection: Connection, source: Callable[[Pump[T]], None]) -> None:
        last: tuple[T | None, BaseException | None] = (None, None)
        try:
            with connection.translated():
                source(self)
        except Left:
            return
        except (EngineError, OSError) as error:
            last = (None, error)
        except Exception as error:  # noqa: BLE001 - a bug is the reader's to tell
            last = (None, error)
        with contextlib.suppress(Left):
            self._say(last)

    def _say(self, what: tuple[T | None, BaseException | None]) -> None:
        if self._left.is_set():
            raise Left
        try:
            told = asyncio.run_coroutine_threadsafe(self.queue.put(what), self._loop)
        except RuntimeError:  # the loop is closed
            raise Left from None
        while True:
            try:
                told.result(1)
            except TimeoutError:
                if self._left.is_set() or self._loop.is_closed():
                    told.cancel()
                    raise Left from None
            except asyncio.CancelledError:
                raise Left from None
            else:
                return
