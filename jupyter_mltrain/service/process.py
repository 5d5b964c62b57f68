"""The service as a process: its lock, its socket, its end."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import gc
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import uvicorn

from jupyter_mltrain.client.starter import LOST_RACE, new_socket_path
from jupyter_mltrain.client.workspaces import read_config
from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.errors import MLTrainError
from jupyter_mltrain.service.app import create_app
from jupyter_mltrain.service.service import Service

IDLE_SECONDS = 15 * 60
"""A service without live runs and without requests for this long ends. `JUPYTER_MLTRAIN_IDLE_SECONDS` overrides."""


def run(root: str, ready: Callable[[], None]) -> int:
    """Serve the workspace at `root` until idle, told to hand over, or TERM. Returns the exit code."""
    layout = Layout(Path(root))
    os.umask(0o077)
    with layout.lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return LOST_RACE
        try:
            asyncio.run(_serve(layout, ready))
        except MLTrainError as error:
            _say(f"{error.message} {error.mend}".strip())
            return 1
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}:
                raise
            free = shutil.disk_usage(layout.root).free / 1e6
            _say(f"{error.strerror}: {error.filename or layout.folder} ({free:.0f} MB free)")
            return 1
    return 0


async def _serve(layout: Layout, ready: Callable[[], None]) -> None:
    config = read_config(layout.root)
    path = new_socket_path(layout, config.id)
    service = Service(layout, config)
    listener = _listen(path)
    await service.open()
    server = _Server(
        uvicorn.Config(
            create_app(service),
            lifespan="off",
            ws="none",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=1,
        ),
        ready=lambda: _announce(layout, path, ready),
    )
    service.on_end = lambda: setattr(server, "should_exit", True)
    idle = asyncio.create_task(_end_when_idle(service))
    gc.freeze()  # what start-up made lives as long as the process: no need to walk it, ever (see `__main__`)
    gc.enable()
    try:
        await server.serve(sockets=[listener])
    finally:
        idle.cancel()
        await service.close()
        _remove(path, layout.address)


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # A socket that is there without the lock belongs to a service that was killed.
        _remove(path)
        listener.bind(path)
    except OSError as error:
        message = f"The socket {path} cannot be made: {error.strerror}"
        raise MLTrainError(message, mend="Remove what lies in its way.") from error
    Path(path).chmod(0o600)
    listener.listen(256)
    return listener


def _remove(*paths: str | Path) -> None:
    for path in paths:
        with suppress(FileNotFoundError):
            Path(path).unlink()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def _announce(layout: Layout, path: str, ready: Callable[[], None]) -> None:
    draft = layout.address.with_suffix(".new")
    draft.write_text(json.dumps({"socket": path, "pid": os.getpid(), "started": time.time()}), encoding="utf-8")
    draft.replace(layout.address)
    ready()


async def _end_when_idle(service: Service) -> None:
    limit = float(os.environ.get("JUPYTER_MLTRAIN_IDLE_SECONDS", IDLE_SECONDS))
    while True:
        await asyncio.sleep(min(30.0, limit / 4))
        if service.idle_seconds() >= limit:
            _say(f"idle for {limit:.0f} s: ends")
            service.end()


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
    sys.stderr.flush()
