"""An endpoint's log, which several processes append to."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

LIMIT = 20 << 20
"""Bytes after which it is begun anew."""


def append(log: Path, text: str) -> None:
    """A line of the keeper's."""
    line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} [keeper] {text}\n"
    with contextlib.suppress(OSError):  # a full disk: the endpoint matters more than its log
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.write(descriptor, line.encode())
        os.close(descriptor)


def trim(log: Path) -> None:
    """Begin it anew when it has grown large; the last one stays beside it. Its writers append, so they go on."""
    with contextlib.suppress(OSError):
        if log.stat().st_size > LIMIT:
            with log.open("r+b") as file:
                log.with_suffix(".log.1").write_bytes(file.read())
                file.truncate(0)
