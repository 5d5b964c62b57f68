"""A run's log on a notebook's standard output: as it comes, but never more than a notebook can hold."""

from __future__ import annotations

import codecs
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.api.logs import follow_run

if TYPE_CHECKING:
    from jupyter_mltrain.api.run import Run

MOST_BYTES = 1_000_000
"""Printed as they come; beyond this only the end of the log is shown."""

LAST_BYTES = 32_000

_BEAT = 0.5


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
    heading = ""
    for name, data in follow_run(run.workspace.connection, run.id, beat=_BEAT):
        if data:
            if name != heading:
                heading = name
                printer.line(f"\nStreaming {name}\n{'=' * (len(name) + 10)}\n")
            printer.feed(data)
    printer.close()
