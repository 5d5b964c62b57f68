"""What a shim is to the kernel: the parent of whatever its process leaves behind, woken by signals."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Callable

PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    # Without it (no Linux) orphans go to init; the run's id in their environment still finds them.
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def wake_on_signals(on_term: Callable[[], None]) -> int:
    """A descriptor that becomes readable when a signal arrives."""
    reader, writer = os.pipe()
    for fd in (reader, writer):
        os.set_blocking(fd, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: on_term())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    return reader


def drain(fd: int) -> None:
    try:
        while os.read(fd, 4096):
            pass
    except BlockingIOError:
        pass
