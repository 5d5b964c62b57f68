"""The shims of several ranks in one container, whose main process starts them and ends with the last of them."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from typing import Any, Callable, Sequence

from .supervise import supervise


def several(launch_files: Sequence[str], ready: Callable[[], None]) -> None:
    """Run what each of `launch_files` describes, in a process of its own; `ready` is called once all are there.

    TERM is passed on to them. Where one cannot even write its records, the others are ended, and this raises SystemExit.
    """
    children: dict[int, int] = {}
    for file in launch_files:
        pid, reader = _start(file, list(children.values()))
        children[pid] = reader

    def end(*_: Any) -> None:
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    there = [_said(reader) for reader in children.values()]
    if all(there):
        ready()
    else:
        end()
    for pid in list(children):
        os.waitpid(pid, 0)
        del children[pid]  # the number may be another's soon
    if not all(there):
        sys.exit(1)


def _start(file: str, others: Sequence[int]) -> tuple[int, int]:
    """The process of a shim, and where it says that its rank is there."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    code = 1
    try:
        for fd in (reader, *others):
            os.close(fd)
        supervise(file, lambda: _say(writer))
        code = 0
    except BaseException:  # noqa: BLE001 - it is told; nothing of the parent's may go on in the child
        traceback.print_exc()
    finally:
        os._exit(code)


def _say(writer: int) -> None:
    # Called more than once, and the pipe stays open to the end of the process.
    with contextlib.suppress(OSError):
        os.write(writer, b"+")


def _said(reader: int) -> bool:
    try:
        return bool(os.read(reader, 1))
    finally:
        os.close(reader)
