"""A run's log on a notebook's standard output: as it comes, but never more than a notebook can hold."""

from __future__ import annotations

import codecs
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_mltrain.api.run import Run

MOST_BYTES = 1_000_000
"""Printed as they come; beyond this only the end of the log is shown."""

LAST_BYTES = 32_000

_ENDED = frozenset({"Completed", "Failed", "Canceled"})
_CHUNK = 256 << 10
_WAIT = 20.0


class LogPrinter:
    """Prints bytes of a log as text: at most `MOST_BYTES` as they come, and of what is beyond it the last `LAST_BYTES`."""

    def __init__(self, out: Any = None) -> None:
        self._out = out or sys.stdout
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._printed = 0
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._left_out = 0

    def line(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()

    def feed(self, data: bytes) -> None:
        room = max(0, MOST_BYTES - self._printed)
        if room:
            self._print(data[:room])
        if len(data) <= room:
            return
        self._held.append(data[room:])
        self._held_bytes += len(data) - room
        while self._held_bytes - len(self._held[0]) >= LAST_BYTES:
            dropped = self._held.popleft()
            self._held_bytes -= len(dropped)
            self._left_out += len(dropped)

    def close(self) -> None:
        rest = b"".join(self._held)
        if rest:
            left_out = self._left_out + max(0, len(rest) - LAST_BYTES)
            if left_out:
                self.line(f"\n… {left_out / 1e6:.1f} MB left out here; `%mltrain logs` and the run's files have all …")
            self._print(rest[-LAST_BYTES:])
        self._out.write(self._decoder.decode(b"", final=True))
        self._out.flush()

    def _print(self, data: bytes) -> None:
        self._printed += len(data)
        self._out.write(self._decoder.decode(data))
        self._out.flush()


def stream_log(run: Run, printer: LogPrinter) -> None:
    """Print the build log while there is one and then the script's, until the run has ended and all of it is shown."""
    connection = run.workspace.connection
    build, std = 0, 0
    headings: set[str] = set()

    def heading(name: str) -> None:
        if name not in headings:
            headings.add(name)
            printer.line(f"\nStreaming {name}\n{'=' * (len(name) + 10)}\n")

    while True:
        state = run.refresh()
        ended = state["status"] in _ENDED
        if state["status"] in {"NotStarted", "Preparing"} and not ended:
            data, headers = connection.bytes(
                f"/v1/runs/{run.id}/log", name="build.log", offset=build, limit=_CHUNK, wait=2, timeout=60
            )
            if data:
                heading("build.log")
                printer.feed(data)
            build = int(headers["x-next-offset"])
            continue
        logs = [entry["name"] for entry in connection.get(f"/v1/runs/{run.id}/logs")["logs"] if entry["rank"] is not None]
        if not logs:
            if ended:
                break
            run.refresh(wait=2)
            continue
        heading(logs[0])
        data, headers = connection.bytes(
            f"/v1/runs/{run.id}/log", name=logs[0], offset=std, limit=_CHUNK, wait=0 if ended else _WAIT, timeout=60
        )
        printer.feed(data)
        std = int(headers["x-next-offset"])
        if headers["x-complete"] == "1":
            break
    printer.close()
