"""The end of a log as a terminal would show it."""

from __future__ import annotations

import codecs
from collections import deque

_LONGEST_LINE = 4000


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
