"""The process that holds MLflow: its import takes seconds and its calls block, so the service keeps it apart.

    python -m jupyter_mltrain.tracking.child --root <.mltrain folder> [--uri URI]

Standard input and output carry one JSON object per line, and nothing else: anything that prints to standard output
goes to standard error.

    → {"id": 1, "op": "publish", "args": {…}}      ← {"id": 1, "ok": result}   or   {"id": 1, "error": an error's wire form}

The first line comes unasked, with id 0, once MLflow is open. One request at a time, in order. It ends when its
standard input does, so it never outlives the service.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from jupyter_mltrain.errors import DiskFull, MLTrainError, NotWritable, TrackingError

Operations: TypeAlias = Mapping[str, Callable[..., Any]]

NICENESS = 10
"""Training runs beside it: under full load it gets a tenth of a core; on a free machine nothing changes."""

_LAST_SECONDS = 5.0


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="jupyter_mltrain.tracking.child")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--uri", default=None)
    given = parser.parse_args(arguments)
    replies = _own_output()
    _give_way()
    # Whatever MLflow writes beside its database is for this user only.
    os.umask(0o077)
    requests: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    try:
        operations, about = _open(given.root.resolve(), given.uri)
    except Exception as error:  # noqa: BLE001 - told to the service, which shows it
        _reply(replies, {"id": 0, "error": _wire(error)})
        return
    _reply(replies, {"id": 0, "ok": about})
    while (line := requests.get()) is not None:
        _reply(replies, _answer(operations, line))


def _own_output() -> int:
    """A descriptor for replies; from here on standard output is standard error, also for libraries and children."""
    replies = os.dup(1)
    os.dup2(2, 1)
    return replies


def _give_way() -> None:
    """Take the processor when nobody else wants it."""
    os.nice(NICENESS)
    # Where Linux shares the processor out by session (autogroup), niceness counts only within one: so a session of its
    # own, that is nice as a whole.
    with contextlib.suppress(OSError):
        os.setsid()
        Path("/proc/self/autogroup").write_text(str(NICENESS), encoding="ascii")


def _read(requests: queue.Queue[str | None]) -> None:
    # Binary and unbuffered: a reader that holds the lock of `sys.stdin` would keep the interpreter from ending.
    with os.fdopen(os.dup(0), "rb") as lines:
        for line in lines:
            requests.put(line.decode())
    requests.put(None)
    # The service is gone. What is under way may end; a hanging server must not keep this process alive.
    time.sleep(_LAST_SECONDS)
    os._exit(0)


def _open(root: Path, uri: str | None) -> tuple[Operations, dict[str, Any]]:
    started = time.monotonic()
    # Here, not above: a broken MLflow is told to the service like any other error.
    import mlflow  # noqa: PLC0415

    from jupyter_mltrain.tracking.operations import OPERATIONS, open_store, tidy  # noqa: PLC0415

    store = open_store(root, uri)
    tidy(store)
    about = {
        "mlflow": mlflow.__version__,
        "uri": store.uri,
        "embedded": store.embedded,
        "backup": store.backup,
        "pid": os.getpid(),
        "seconds": round(time.monotonic() - started, 3),
    }
    return {name: partial(operation, store) for name, operation in OPERATIONS.items()}, about


def _answer(operations: Operations, line: str) -> dict[str, Any]:
    request: dict[str, Any] = {}
    try:
        request = json.loads(line)
        return {"id": request["id"], "ok": operations[request["op"]](**request["args"])}
    except Exception as error:  # noqa: BLE001 - told to the service; its trace is in this process's log
        if not isinstance(error, MLTrainError):
            traceback.print_exc()
        return {"id": request.get("id"), "error": _wire(error)}


def _reply(replies: int, reply: dict[str, Any]) -> None:
    data = json.dumps(reply).encode() + b"\n"
    try:
        while data:
            data = data[os.write(replies, data) :]
    except BrokenPipeError:
        os._exit(0)


def _wire(error: Exception) -> dict[str, Any]:
    """The one place where MLflow's and the system's errors become ours. `details.transient`: worth another try."""
    return (error if isinstance(error, MLTrainError) else _storage_error(error) or _tracking_error(error)).to_wire()


def _storage_error(error: Exception) -> MLTrainError | None:
    cause: BaseException | None = error
    while cause is not None:
        code = cause.errno if isinstance(cause, OSError) else None
        if code in {errno.ENOSPC, errno.EDQUOT} or "database or disk is full" in str(cause):
            return DiskFull("No space left for MLflow's copy of the run.", mend="Free some space; it is tried again.")
        if code in {errno.EROFS, errno.EACCES, errno.EPERM} or "readonly database" in str(cause):
            return NotWritable("MLflow's copy of the run cannot be written: the folder is read-only.")
        cause = cause.__cause__ or cause.__context__
    return None


def _tracking_error(error: Exception) -> TrackingError:
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0][:400] if lines else ''}"
    if "out-of-date database schema" in text:
        return TrackingError(
            "The database behind tracking.uri has another schema than this MLflow.",
            mend="Upgrade the older side (`mlflow db upgrade` after a backup, or `pip install -U mlflow-skinny`).",
        )
    return TrackingError(f"MLflow: {text}", mend="It is tried again.", transient=True)


if __name__ == "__main__":
    main()
    # MLflow's own threads must not keep a finished process.
    sys.stderr.flush()
    os._exit(0)
