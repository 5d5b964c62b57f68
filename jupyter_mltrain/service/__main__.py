"""`python -m jupyter_mltrain.service --root FOLDER`: becomes the workspace's service, or ends at once if there is one.

The process that was started forks before it imports anything: the child, in a session of its own, is the service; the
parent ends with 0 once the child is ready to answer, or with the child's exit code. So whoever starts a service waits
for one process, keeps no child, and cannot take the service down with it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys

LOG_LIMIT = 5_000_000
"""Bytes of `service.log` after which a new one is begun."""


def main(argv: list[str]) -> int:
    if len(argv) != 2 or argv[0] != "--root":
        sys.stderr.write("usage: python -m jupyter_mltrain.service --root FOLDER\n")
        return 2
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        if os.read(reader, 1):
            return 0
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return code if code >= 0 else 128 - code
    os.close(reader)
    os.setsid()
    _log_to(os.path.join(argv[1], ".mltrain", "service.log"))  # noqa: PTH118 - nothing is imported yet

    def ready() -> None:
        # Whoever waited may have been killed meanwhile; the service is there for the next one.
        with contextlib.suppress(BrokenPipeError):
            os.write(writer, b"1")
        os.close(writer)

    # What imports make lives as long as the process: the collector would walk it again and again (a quarter of the
    # start). `process` takes it up again once everything is loaded.
    gc.disable()
    from jupyter_mltrain.service.process import run  # noqa: PLC0415 - only the child pays for the imports

    return run(argv[1], ready)


def _log_to(path: str) -> None:
    """Send output to the log, whose older half is kept when it has grown large."""
    try:
        if os.path.exists(path) and os.path.getsize(path) > LOG_LIMIT:  # noqa: PTH110, PTH202
            os.replace(path, path + ".1")  # noqa: PTH105
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:
        return  # a full or read-only disk: what follows fails with a better message
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
