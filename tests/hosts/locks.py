"""Locks between test sessions on one machine. They end with the process that holds them, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self


class Lock:
    """A lock on a file, held by one (`exclusive`) or by many at once (`shared`)."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def shared(self) -> Self:
        fcntl.flock(self._file, fcntl.LOCK_SH)
        return self

    def exclusive(self) -> Self:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return self

    def nobody_else(self) -> bool:
        """Take it alone if no other holds it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        os.close(self._file)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    lock = Lock(path).exclusive()
    try:
        yield
    finally:
        lock.close()
