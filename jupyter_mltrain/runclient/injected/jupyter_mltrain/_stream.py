"""The file that this process's records go to: one `O_APPEND` write each, and never an exception.

A file per process (a forked one opens its own), because the offset in a file is its sequence number, and two writers that
are cut short by a full disk could not mend one file.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import os
import sys
import threading
import weakref

_FAR = 900
"""Descriptors from here on: out of the way of scripts that close all low ones, and of what then takes their numbers."""


class Stream:
    """Appends records to `<folder>/<prefix>r<rank>-<pid>.metrics`. Safe in threads, signal handlers and after a fork."""

    def __init__(self, folder: str, rank: str, prefix: str = "") -> None:
        self._folder = folder
        self._start = f"{prefix}r{rank}"
        self._fd = -1
        self._rest = b""  # the end of a record that did not fit on the disk; goes first when there is room
        self._lost = 0
        self._problem = ""
        self._lock = threading.RLock()
        _streams.add(self)

    def write(self, record: bytes) -> None:
        """Append a record (a line with its end). What cannot be written is counted and said once."""
        try:
            with self._lock:
                if self._rest or self._fd < 0:
                    self._write_slowly(record)
                else:
                    written = os.write(self._fd, record)
                    if written != len(record):
                        self._cut(record[written:])
        except OSError as error:
            self._after(error, record)

    def flush(self) -> None:
        """Write the end of a record that was cut, if there is room now. Everything else is written already."""
        with self._lock:
            if self._rest and self._fd >= 0:
                try:
                    self._complete(self._rest)
                except OSError:
                    return  # said when it happened

    def forked(self) -> None:
        """In a child: leave the parent's file to the parent."""
        self._lock = threading.RLock()
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
        self._rest = b""
        self._lost = 0

    def closing(self) -> None:
        self.flush()
        if self._lost:
            # The log may lie on the same full disk, so that nobody read the warning.
            _say(f"{self._lost} records of this run could not be written and are lost: {self._problem}.")

    def _write_slowly(self, record: bytes) -> None:
        if self._fd < 0:
            self._open()
        if self._rest:
            self._complete(self._rest)
        written = os.write(self._fd, record)
        if written != len(record):
            self._cut(record[written:])

    def _cut(self, rest: bytes) -> None:
        """Write the rest of a record; where there is no room it is not lost yet: it goes first when there is some."""
        try:
            self._complete(rest)
        except OSError as error:
            _warn(error)

    def _complete(self, rest: bytes) -> None:
        """Write the rest of a record whose beginning is in the file; keep what does not fit, so that what comes after it
        is a line of its own."""
        while rest:
            self._rest = rest
            rest = rest[os.write(self._fd, rest) :]
        self._rest = b""

    def _open(self) -> None:
        path = os.path.join(self._folder, f"{self._start}-{os.getpid()}.metrics")
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            far = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FAR)
        except OSError:  # fewer descriptors are allowed here
            far = fd
        else:
            os.close(fd)
        self._fd = far
        size = os.fstat(far).st_size
        if size and os.pread(far, 1, size - 1) != b"\n":
            self._complete(b"\n")  # a process of the same number was killed in the middle of a record

    def _after(self, error: OSError, record: bytes) -> None:
        if error.errno == errno.EBADF:
            # The script closed our descriptor (a daemon's habit): open the file again, once.
            self._fd = -1
            try:
                with self._lock:
                    self._write_slowly(record)
            except OSError as again:
                error = again
            else:
                return
        self._lost += 1
        self._problem = str(error)
        _warn(error)


def _warn(error: OSError) -> None:
    warn_once("stream", f"what this run logs cannot be written: {error}")


def warn_once(key: str, message: str) -> None:
    """Say `message` on standard error, once per process and `key`; never raises (`warnings` could: `-W error`)."""
    if key not in _said:
        _said.add(key)
        _say(f"{message}; training goes on (this is said once).")


def _say(message: str) -> None:
    try:
        sys.stderr.write(f"jupyter_mltrain: {message}\n")
        sys.stderr.flush()
    except Exception:  # noqa: BLE001, S110 - standard error may be closed, or anything a script put there
        pass


_said: set = set()
_streams: weakref.WeakSet = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for stream in list(_streams):
        stream.forked()


def _at_exit() -> None:
    for stream in list(_streams):
        stream.closing()


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
