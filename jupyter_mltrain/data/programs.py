"""Running another program that fetches: ended with all it started when the caller wants no more."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from jupyter_mltrain.cache import POLL_SECONDS, Stopped
from jupyter_mltrain.data.sources import NotReached

LIMIT_SECONDS = 600.0


def run_program(
    arguments: Sequence[str],
    folder: Path,
    cancelled: threading.Event,
    environment: Mapping[str, str] | None = None,
    output: Path | None = None,
) -> tuple[int, str]:
    """Run a program in `folder`; its exit code and all it printed; `output` is a file for its standard output, if that
    is data. Raises `Stopped` if `cancelled`, `NotReached` if it takes more than ten minutes or cannot be started."""
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(output.open("wb")) if output else subprocess.PIPE
        try:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.PIPE if output else subprocess.STDOUT,
                env=environment,
                cwd=folder,
                start_new_session=True,
            )
        except OSError as error:
            raise NotReached(f"{Path(arguments[0]).name} cannot be started: {error.strerror}") from error
        stack.callback(_end, process)
        return _wait(process, cancelled)


def _wait(process: subprocess.Popen[bytes], cancelled: threading.Event) -> tuple[int, str]:
    left = LIMIT_SECONDS
    while True:
        try:
            said = process.communicate(timeout=POLL_SECONDS)
            return process.returncode, b"".join(part or b"" for part in said).decode(errors="replace")
        except subprocess.TimeoutExpired:
            left -= POLL_SECONDS
        if cancelled.is_set():
            raise Stopped
        if left < 0:
            raise NotReached(f"took more than {LIMIT_SECONDS:.0f} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
