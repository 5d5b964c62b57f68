"""The files in a run folder's `shim/`: where they are, how they are written, and the lock that tells a living shim.

r<rank>.launch.json   what to run (written by the engine)
r<rank>.lock          held (flock) by the shim for its whole life; a free lock means that the shim is gone
r<rank>.start.json    pid, start_ticks, shim_pid, shim_start_ticks, boot_id, time
r<rank>.beat          `<counter> <bytes of the tree>`, rewritten every second
r<rank>.stop.json     {"grace": seconds}: somebody wants the run to end
r<rank>.refusal.json  why its script was not begun (`gpu_check.py`): "error", "stopped"
r<rank>.exit.json     how it ended (`core.compute.Exit`), with "stop_signals", "ended" and "remaining"
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from typing import Any, Iterator

RESERVED = 16384
"""Bytes set aside at the start for the exit record, so that it can be written on a full disk."""


class Rank:
    """The paths of one rank's records in the run folder `folder`."""

    def __init__(self, folder: str, rank: int) -> None:
        base = os.path.join(folder, "shim", f"r{rank}.")
        self.folder = folder
        self.rank = rank
        self.launch = base + "launch.json"
        self.lock = base + "lock"
        self.start = base + "start.json"
        self.beat = base + "beat"
        self.stop = base + "stop.json"
        self.exit = base + "exit.json"
        self.refusal = base + "refusal.json"
        self.errors = base + "err"


def ranks(folder: str) -> list[Rank]:
    """The ranks that were launched in `folder`, in order."""
    try:
        names = os.listdir(os.path.join(folder, "shim"))
    except FileNotFoundError:
        return []
    numbers = [n[1 : -len(".launch.json")] for n in names if n.startswith("r") and n.endswith(".launch.json")]
    return [Rank(folder, n) for n in sorted(int(n) for n in numbers if n.isdigit())]


def launched(rank: Rank) -> bool:
    """Whether the rank's process was started, or could not be."""
    return os.path.exists(rank.start) or os.path.exists(rank.exit)


def read(path: str) -> dict[str, Any] | None:
    """The JSON object at `path`; None where there is none, or a power failure left an empty file."""
    try:
        with open(path, "rb") as file:
            data = file.read()
            return json.loads(data) if data.strip(b"\0 ") else None
    except (FileNotFoundError, NotADirectoryError):
        return None


def write(path: str, record: dict[str, Any]) -> None:
    """Write `record` so that a reader sees all of it or nothing. It is not forced to the disk: of what a run says before
    its end nothing matters after a power failure, which the boot's id tells."""
    temporary = f"{path}.{os.getpid()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    data = json.dumps(record).encode()
    try:
        if os.write(fd, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    finally:
        os.close(fd)
    os.replace(temporary, path)


class Reserved:
    """A record whose space is taken now and whose content is known at the end; forced to the disk then."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._temporary = path + ".tmp"
        self._fd = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        if os.write(self._fd, b" " * RESERVED) < RESERVED:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    def write(self, record: dict[str, Any]) -> None:
        data = json.dumps(record).encode()
        os.pwrite(self._fd, data, 0)
        os.ftruncate(self._fd, len(data))
        os.fsync(self._fd)
        os.replace(self._temporary, self._path)
        with contextlib.suppress(OSError):  # the rename is visible now; this only hurries it to the disk
            fd = os.open(os.path.dirname(self._path), os.O_RDONLY | os.O_CLOEXEC)
            os.fsync(fd)
            os.close(fd)


def take_lock(path: str, patience: float) -> int | None:
    """Take the shim's lock and return its descriptor; None if somebody holds it for longer than `patience` seconds.

    A reader that asks `is_held` holds the lock for an instant; that is what the patience is for.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # noqa: PERF203 - it is a wait
            if time.monotonic() > until:
                os.close(fd)
                return None
            time.sleep(0.01)
        else:
            return fd


def is_held(path: str) -> bool:
    """Whether a living shim holds the lock at `path`."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def boot_id() -> str:
    """The kernel's id of this boot; empty where there is none to read."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def wait_for(condition: Any, seconds: float, step: float = 0.02) -> bool:
    """Whether `condition()` became true within `seconds`."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(step)
    return True


def entries(folder: str) -> Iterator[str]:
    """Names in `folder`, none where it does not exist."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        yield from os.listdir(folder)
