"""A run's log as it grows, read by offset: each byte once, also when the service restarts meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Protocol

from jupyter_mltrain.core.status import Status
from jupyter_mltrain.errors import NotFoundError

LOG = "user_logs/std_log.txt"
BUILD_LOG = "build.log"
CHUNK = 1 << 20
_BEFORE = frozenset({Status.NOT_STARTED, Status.PREPARING})


class Reads(Protocol):
    """What is read of a `client.connection.Connection`."""

    def get(self, path: str, /, *, timeout: float = 30, **params: Any) -> dict[str, Any]: ...
    def bytes(self, path: str, /, *, timeout: float = 60, **params: Any) -> tuple[bytes, dict[str, str]]: ...


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
