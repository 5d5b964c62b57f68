"""A run's log as it grows, and the end of a log as a terminal would show it."""

from __future__ import annotations

import codecs
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

from jupyter_mltrain.core.status import Status
from jupyter_mltrain.errors import NotFoundError

LOG = "user_logs/std_log.txt"
BUILD_LOG = "build.log"
CHUNK = 1 << 20
_LONGEST_LINE = 4000
_BEFORE = frozenset({Status.NOT_STARTED, Status.PREPARING})


class Reads(Protocol):
    """What is read of a `client.connection.Connection`."""

    def get(self, path: str, *, timeout: float = 30, **params: Any) -> dict[str, Any]: ...
    def bytes(self, path: str, *, timeout: float = 60, **params: Any) -> tuple[bytes, dict[str, str]]: ...


def follow_run(connection: Reads, run_id: str, *, beat: float = 0.25) -> Iterator[tuple[str, bytes]]:
    """What a run writes, from the build of its environment to its end: (name of the log, bytes), each byte once.

    Yields b"" about every `beat` seconds while nothing comes.
    """
    offset = 0
    while Status(connection.get(f"/v1/runs/{run_id}")["status"]) in _BEFORE:
        before = time.monotonic()
        data, offset, _ = _read(connection, run_id, BUILD_LOG, offset, wait=beat)
        yield BUILD_LOG, data
        if not data:
            time.sleep(max(0.0, beat - (time.monotonic() - before)))
    for data in follow(connection, run_id, beat=beat):
        yield LOG, data


def follow(connection: Reads, run_id: str, *, name: str = LOG, offset: int = 0, beat: float = 0.25) -> Iterator[bytes]:
    """The log's bytes from `offset` on, each once and in order, until the run has ended and all of it is read.

    A negative `offset` counts from the end. Yields b"" about every `beat` seconds while nothing comes, so that the
    caller can do something else. Asks again where the service was restarted meanwhile.
    """
    while True:
        before = time.monotonic()
        data, at, complete = _read(connection, run_id, name, offset, wait=beat)
        yield data
        offset = at
        if not data:
            if complete:
                return
            # A service that answers at once although nothing came is not to be stormed.
            time.sleep(max(0.0, beat - (time.monotonic() - before)))


def read(connection: Reads, run_id: str, *, name: str = LOG, offset: int = 0) -> tuple[bytes, int]:
    """All of the log that is there now from `offset` on (negative: from the end), and where it ends."""
    pieces: list[bytes] = []
    while True:
        data, offset, _ = _read(connection, run_id, name, offset, wait=0)
        if not data:
            return b"".join(pieces), offset
        pieces.append(data)


def _read(connection: Reads, run_id: str, name: str, offset: int, *, wait: float) -> tuple[bytes, int, bool]:
    try:
        data, headers = connection.bytes(f"/v1/runs/{run_id}/log", name=name, offset=offset, limit=CHUNK, wait=wait)
    except NotFoundError:
        # Not there yet; or it never will be, as the run ended before its first process.
        state = connection.get(f"/v1/runs/{run_id}")
        return b"", offset, Status(state["status"]).terminal
    start = int(headers.get("x-offset", max(offset, 0)))
    return data, int(headers.get("x-next-offset", start + len(data))), headers.get("x-complete") == "1"


class Tail:
    """The last lines of a log in bounded memory. A line that is written over after a carriage return (a progress bar) counts once."""

    def __init__(self, lines: int) -> None:
        self._lines: deque[str] = deque(maxlen=lines)
        self._line = ""
        self._overwrite = False
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.dropped = 0

    def feed(self, data: bytes) -> None:
        pieces = self._decoder.decode(data).split("\n")
        for piece in pieces[:-1]:
            self._extend(piece)
            self._end_line()
        self._extend(pieces[-1])

    @property
    def lines(self) -> str:
        """The lines, the last one perhaps unfinished."""
        return "\n".join([*self._lines, *([self._line] if self._line else [])])

    @property
    def text(self) -> str:
        """`lines`, with a first line that tells of those left out."""
        return f"… {self.dropped:,} earlier lines\n{self.lines}" if self.dropped else self.lines

    def _extend(self, piece: str) -> None:
        for i, part in enumerate(piece.split("\r")):
            if i:
                self._overwrite = True
            if part:
                # What was there is gone only once something is written over it: `\\r\\n` ends a line as it is.
                self._line = part if self._overwrite else self._line + part
                self._overwrite = False
                if len(self._line) > _LONGEST_LINE:
                    self._line = f"{self._line[:_LONGEST_LINE]}…"

    def _end_line(self) -> None:
        if len(self._lines) == self._lines.maxlen:
            self.dropped += 1
        self._lines.append(self._line)
        self._line, self._overwrite = "", False
