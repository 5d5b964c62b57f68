"""Reading the stream files of a run as they grow, from any offsets, in bounded memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import sys
import time
from typing import Callable, Iterator, Mapping

from . import observe, records
from .frames import ALIVE, CHUNK, END, KEEPALIVE, Piece, encode

SLOW = 1.0
"""Seconds between looks where a doorbell rings for changes."""
QUICK = 0.2
"""Seconds between looks where there is none."""
GATHER = 0.1
"""Least seconds between two looks: a run that logs every step rings all the time, and each look costs processor time that
is the training's. After a rest the bell is answered at once."""


class Tail:
    """The stream files of the run in `folder`, read on from `offsets` (file name to byte; missing: 0).

    `fd` is readable when something may have changed (-1 where the system has no such bell); `pause` is the longest time to
    wait without looking. Close it, or use it with `with`.
    """

    def __init__(self, folder: str, offsets: Mapping[str, int]) -> None:
        self._folder = folder
        self._streams = os.path.join(folder, "streams")
        self._offsets: dict[str, int] = dict(offsets)
        self._over = False
        self._looked = -GATHER
        self.fd = _doorbell(self._streams, os.path.join(folder, "shim"))
        self.pause = SLOW if self.fd >= 0 else QUICK

    def __enter__(self) -> Tail:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def read(self) -> Iterator[Piece]:
        """What is new now. Files take turns, a chunk each."""
        self._looked = time.monotonic()
        # Asked first: what was written before the end is then all there to be read.
        over = observe.ended(self._folder)
        while True:
            found = False
            for name in sorted(records.entries(self._streams)):
                piece = self._chunk(name)
                if piece is not None:
                    found = True
                    yield piece
            if not found:
                break
        self._over = over

    @property
    def over(self) -> bool:
        """Whether the run had ended before the last `read` began, so that nothing will follow."""
        return self._over

    def rest(self) -> float:
        """Seconds to wait after the bell before the next `read`."""
        return max(0.0, self._looked + GATHER - time.monotonic())

    def hush(self) -> None:
        """Take notice of the bell."""
        if self.fd >= 0:
            with contextlib.suppress(BlockingIOError):
                while os.read(self.fd, 1 << 16):
                    pass

    def _chunk(self, name: str) -> Piece | None:
        offset = self._offsets.get(name, 0)
        try:
            fd = os.open(os.path.join(self._streams, name), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            data = os.pread(fd, CHUNK, offset)
        finally:
            os.close(fd)
        if not data:
            return None
        self._offsets[name] = offset + len(data)
        return Piece(name, offset, data)


def follow(folder: str, offsets: Mapping[str, int], write: Callable[[bytes], object], leash: int = -1) -> None:
    """Write the run's streams, framed, by `write`, until the run has ended and all is sent, or the descriptor `leash`
    has come to its end: nobody reads any more, where no signal or broken pipe would tell."""
    held = [leash] if leash >= 0 else []
    with Tail(folder, offsets) as tail:
        spoke = time.monotonic()
        while True:
            tail.hush()
            for piece in tail.read():
                write(encode(piece))
                spoke = time.monotonic()
            if tail.over:
                write(END)
                return
            if time.monotonic() - spoke > KEEPALIVE:
                write(ALIVE)
                spoke = time.monotonic()
            rung = select.select([tail.fd, *held] if tail.fd >= 0 else held, [], [], tail.pause)[0]
            if leash in rung and not os.read(leash, 4096):
                return
            if tail.fd in rung:
                time.sleep(tail.rest())


_IN_MODIFY, _IN_CLOSE_WRITE, _IN_MOVED_TO, _IN_CREATE = 0x2, 0x8, 0x80, 0x100


def _doorbell(streams: str, shim: str) -> int:
    """An inotify descriptor for growing streams, new records and a shim that is gone (it closes its lock); -1 where the system has none (left)."""
    if sys.platform != "linux":
        return -1
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        return -1
    for folder, events in ((streams, _IN_MODIFY | _IN_CREATE), (shim, _IN_MOVED_TO | _IN_CLOSE_WRITE)):
        if libc.inotify_add_watch(fd, os.fsencode(folder), events) < 0:
            os.close(fd)
            return -1
    return fd
