"""Data that a process may read and not change: a mount namespace of its own, in which those paths are read-only.

It takes root, or user namespaces. What is below the run's own folder stays as it is, also where the data holds it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Iterator, Sequence

_NEWNS, _NEWUSER = 0x20000, 0x10000000
_RDONLY, _REMOUNT, _BIND, _REC, _PRIVATE = 0x1, 0x20, 0x1000, 0x4000, 0x40000
_KEPT = {os.ST_NOSUID: 0x2, os.ST_NODEV: 0x4, os.ST_NOEXEC: 0x8, os.ST_NOATIME: 0x400, os.ST_NODIRATIME: 0x800}
"""Of a mount's flags: those that a namespace without root must keep, as statvfs and as mount name them."""
_RELATIME = {4096: 0x200000}


class Shield:
    """Made before the fork (it loads the C library), raised in the child: `up` is for a process of one thread."""

    def __init__(self, paths: Sequence[str], own: str) -> None:
        self._paths = sorted({os.path.realpath(path) for path in paths})
        self._own = os.path.realpath(own)
        self._libc = ctypes.CDLL(None, use_errno=True) if paths and sys.platform == "linux" else None

    def up(self) -> str:
        """Make the paths read-only for this process and all that it starts; returns why that cannot be, or nothing."""
        if not self._paths:
            return ""
        if self._libc is None:
            return "no Linux"
        try:
            self._leave()
            self._mount("", "/", _REC | _PRIVATE)
            if any(_holds(path, self._own) for path in self._paths):
                self._mount(self._own, self._own, _BIND | _REC)
            for path in self._paths:
                self._mount(path, path, _BIND | _REC)
            for place in _mounted():
                if any(_holds(path, place) for path in self._paths) and not _holds(self._own, place):
                    self._mount("", place, _BIND | _REMOUNT | _RDONLY | _flags(place))
        except OSError as error:
            return "{}: {}".format(error.filename or "namespace", error.strerror)
        return ""

    def _leave(self) -> None:
        user, group = os.getuid(), os.getgid()
        if self._unshare(_NEWNS) == 0:
            return
        if self._unshare(_NEWNS | _NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "namespace")
        # Who it is outside it is inside, so that files are whose they were.
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)

    def _unshare(self, flags: int) -> int:
        assert self._libc is not None
        return int(self._libc.unshare(flags))

    def _mount(self, source: str, target: str, flags: int) -> None:
        assert self._libc is not None
        if self._libc.mount(os.fsencode(source) or None, os.fsencode(target), None, ctypes.c_ulong(flags), None) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), target)


def _holds(path: str, inner: str) -> bool:
    return inner == path or inner.startswith(path.rstrip("/") + "/")


def _mounted() -> Iterator[str]:
    """Where something is mounted."""
    with open("/proc/self/mountinfo", "rb") as file:
        places = [line.split()[4] for line in file.read().splitlines()]
    for place in places:
        yield os.fsdecode(
            place.replace(b"\\040", b" ").replace(b"\\011", b"\t").replace(b"\\012", b"\n").replace(b"\\134", b"\\")
        )


def _flags(place: str) -> int:
    there = os.statvfs(place).f_flag
    return sum(flag for bit, flag in {**_KEPT, **_RELATIME}.items() if there & bit)
