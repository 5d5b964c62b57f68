"""Starts the service of a workspace, detached from whoever asked for it. Many may ask at once; one service results."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.errors import NoFileLocks, NotWritable, ServiceUnavailable, StorageError

LOST_RACE = 75
"""Exit code of a service that found another one holding the lock (EX_TEMPFAIL)."""

_BY_SIGNAL = 128
_KILLED_TRIES = 3
"""How often a service that is killed while it starts is started again."""

_LONGEST_SOCKET = 100
"""`sun_path` holds 108 bytes on Linux; a longer workspace path has its socket elsewhere."""

_NOT_FOR_SERVICE = frozenset({"JPY_PARENT_PID", "PYTHONSTARTUP", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"})


def start(layout: Layout, *, patience: float = 60) -> None:
    """Return once a service answers; start one if needed. Raises `ServiceUnavailable` with the service's own last words."""
    check_locks(layout)
    deadline = time.monotonic() + patience
    killed = 0
    while (left := deadline - time.monotonic()) > 0:
        try:
            # The process that is spawned only waits until its child, the service, is ready; see `service.__main__`.
            code = subprocess.run(**_command(layout), timeout=left, check=False).returncode
        except subprocess.TimeoutExpired:
            break
        if (code < 0 or code > _BY_SIGNAL) and killed < _KILLED_TRIES:
            killed += 1  # that says nothing about the next one
            continue
        if code not in {0, LOST_RACE}:
            raise _failed(layout, code)
        while _locked(layout) and time.monotonic() < deadline:
            if answers(layout):
                return
            time.sleep(0.01)
        # The winner of the race ended (a hand-over, a kill) before it answered: try again.
    raise ServiceUnavailable(
        f"The service of {layout.root} did not answer within {patience:.0f} s.", mend=f"Its log: {layout.log}"
    )


def answers(layout: Layout) -> bool:
    """Whether something accepts connections on the workspace's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect(socket_path(layout))
        except OSError:
            return False
    return True


def wait_until_gone(layout: Layout, patience: float = 60) -> None:
    """Return once no service holds the lock."""
    deadline = time.monotonic() + patience
    while _locked(layout):
        if time.monotonic() > deadline:
            raise ServiceUnavailable("The older service did not hand over.", mend=f"Its log: {layout.log}")
        time.sleep(0.02)


def socket_path(layout: Layout) -> str:
    """Where the service listens: in the workspace, or, where that path is too long, in the user's runtime folder.

    Raises `FileNotFoundError` where the path is too long and no service has said yet where it listens.
    """
    path = str(layout.folder / "service.sock")
    if len(os.fsencode(path)) <= _LONGEST_SOCKET:
        return path
    try:
        # The service has written where it listens; that is right also when the environments of both differ.
        return str(json.loads(layout.address.read_text(encoding="utf-8"))["socket"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileNotFoundError(errno.ENOENT, "no service listens yet", str(layout.address)) from error


def new_socket_path(layout: Layout, workspace_id: str) -> str:
    """Where a service that starts now is to listen."""
    path = str(layout.folder / "service.sock")
    if len(os.fsencode(path)) <= _LONGEST_SOCKET:
        return path
    return str(_runtime_folder() / f"{workspace_id[:13]}.sock")


def check_locks(layout: Layout) -> None:
    """Raise `NoFileLocks` where the file system has none, `NotWritable` where the workspace cannot be written."""
    try:
        with layout.lock.open("a"):
            pass
        with tempfile.TemporaryFile(dir=layout.folder) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except PermissionError as error:
        raise NotWritable(f"{layout.folder} cannot be written.", mend="Mend its permissions, or use a copy.") from error
    except IsADirectoryError as error:
        raise StorageError(
            f"{layout.lock} is a folder.", mend="Remove it: the service's lock belongs there."
        ) from error
    except OSError as error:
        if error.errno in {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}:
            raise NoFileLocks(
                f"{layout.root} lies on a file system without file locks.",
                mend="Move the workspace to a local disk; data and outputs may stay where they are.",
            ) from error
        if error.errno == errno.EROFS:
            raise NotWritable(
                f"{layout.folder} is read-only.", mend="Use a copy on a disk that can be written."
            ) from error
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return  # the service says it better, with figures, and reading still works
        raise


def _locked(layout: Layout) -> bool:
    try:
        with layout.lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _command(layout: Layout) -> dict[str, Any]:
    # -P: a `json.py` in the workspace must not stand in for the library's.
    args = [*_scope(), sys.executable, "-P", "-m", "jupyter_mltrain.service", "--root", str(layout.root)]
    # A service is nobody's child: of neither the kernel nor, where a script submits runs, of that script's run.
    env = {k: v for k, v in os.environ.items() if k not in _NOT_FOR_SERVICE and not k.startswith("MLTRAIN_")}
    null = subprocess.DEVNULL
    return {"args": args, "stdin": null, "stdout": null, "stderr": null, "cwd": layout.root, "env": env}


def _scope() -> list[str]:
    """`systemd-run` where a user's systemd would otherwise end the service with the login session."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    program = shutil.which("systemd-run")
    if not runtime or not program or not Path(runtime, "systemd", "private").exists():
        return []
    return [program, "--user", "--scope", "--quiet", "--collect", "--"]


def _failed(layout: Layout, code: int) -> ServiceUnavailable:
    try:
        lines = layout.log.read_text(encoding="utf-8", errors="replace")[-4000:].strip().splitlines()
    except OSError:
        lines = []
    last = lines[-1] if lines else "it said nothing"
    return ServiceUnavailable(
        f"The service of this workspace did not start (exit code {code}): {last}", mend=f"Its log: {layout.log}"
    )


def _runtime_folder() -> Path:
    base = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(base, "jupyter-mltrain") if base else Path(tempfile.gettempdir(), f"jupyter-mltrain-{os.getuid()}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StorageError(f"{folder} is not a private folder of yours.", mend="Remove it, or set XDG_RUNTIME_DIR.")
    return folder
