"""`python -m jupyter_mltrain.service --root FOLDER`: becomes the workspace's service, or ends at once if there is one.

The process that was started forks before it imports anything: the child, in a session of its own, is the service; the
parent ends with 0 once the child is ready to answer, or with the child's exit code. So whoever starts a service waits
for one process, keeps no child, and cannot take the service down with it.
"""

from __future__ import annotations

import os
import sys


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
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(reader)
    os.setsid()

    def ready() -> None:
        os.write(writer, b"1")
        os.close(writer)

    from jupyter_mltrain.service.process import run  # noqa: PLC0415 - only the child pays for the imports

    return run(argv[1], ready)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
