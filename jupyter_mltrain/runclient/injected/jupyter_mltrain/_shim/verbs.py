"""The verbs of the shim's command line (see the package's docstring)."""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys

PATIENCE = 60.0
"""Seconds to wait for what comes by standard input."""


def main(arguments: list[str]) -> None:
    verb, rest = arguments[0], arguments[1:]
    if verb == "launch":
        if "--secrets" in rest:
            os.environ.update(json.loads(_line()))
        files = [one for one in rest if not one.startswith("--")]
        if len(files) > 1:
            from .several import several

            several(files, _say_ready)
            return
        _launch(files[0], detach="--wait" not in rest)
    elif verb == "mpi":
        from .mpi import stand_in

        stand_in(rest[0])
    elif verb == "observe":
        from .observe import observe

        print(json.dumps(observe(rest[0])))
    elif verb == "follow":
        from .follow import follow

        follow(rest[0], json.loads(rest[1]), _write_all, leash=0 if "--leash" in rest else -1)
    elif verb == "stop":
        from .stop import stop

        print(json.dumps(stop(rest[0], rest[1], float(rest[2]))))
    elif verb in ("pack", "unpack", "remove"):
        from . import files

        getattr(files, verb)(*rest)
    else:
        sys.exit(f"The shim has no verb {verb!r}.")


def _launch(launch_file: str, detach: bool) -> None:
    from .supervise import supervise

    if not detach:
        supervise(launch_file, _say_ready)
        return
    reader, writer = os.pipe()
    if os.fork():
        # The one who asked waits for a word; what it started lives on without it.
        os.close(writer)
        said = b""
        while True:
            part = os.read(reader, 4096)
            if not part:
                break
            said += part
        if said != b"ready":
            sys.exit(said.decode("utf-8", "replace") or "The shim ended before the process was there.")
        return
    os.close(reader)
    os.setsid()
    _leave_terminal(launch_file)
    told: list[bool] = []

    def tell(message: bytes) -> None:
        if not told:
            told.append(True)
            os.write(writer, message)
            os.close(writer)

    try:
        supervise(launch_file, lambda: tell(b"ready"))
    except OSError as error:
        tell(str(error).encode("utf-8", "replace"))
        raise


def _leave_terminal(launch_file: str) -> None:
    errors = os.open(launch_file[: -len("launch.json")] + "err", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    os.chdir("/")


def _say_ready() -> None:
    with contextlib.suppress(OSError):  # nobody has to listen
        os.write(1, b"ready\n")


def _line() -> bytes:
    """The first line of standard input, whose other end may stay open."""
    if not select.select([0], [], [], PATIENCE)[0]:
        sys.exit("Nobody told the run's secrets.")
    return sys.stdin.buffer.readline()


def _write_all(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]
