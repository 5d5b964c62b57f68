"""What is asked of a helper container: its files, its state, its lines. Blocking."""

from __future__ import annotations

import calendar
import contextlib
import tarfile
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

import docker.errors

from jupyter_mltrain.cache import Stopped
from jupyter_mltrain.computes.docker import seeing
from jupyter_mltrain.computes.docker.connection import Connection, status_of
from jupyter_mltrain.computes.docker.dialling import Client
from jupyter_mltrain.computes.docker.removing import remove
from jupyter_mltrain.errors import EngineError, EngineUnreachable

__all__ = ["ALIVE", "age", "follow", "has", "inspect", "read", "remove", "state", "unprivileged"]

ALIVE = "@alive"
"""A line that says only that the container goes on: a stream that is silent for long counts as lost."""

_LOST_SECONDS = 60.0
_SMALL = 1 << 20
_GONE = 404
_HEADER = 8


def unprivileged(client: Any, **more: Any) -> dict[str, Any]:
    """Settings of a helper's container: root of its own files, and nothing beyond."""
    return client.create_host_config(
        cap_drop=["ALL"], security_opt=["no-new-privileges"], init=True, pids_limit=4096, **more
    )


def read(connection: Connection, container: str, path: str) -> bytes:
    """A small file in a container, which need not run; empty where there is none."""

    def ask(client: Any) -> bytes:
        with seeing.taken(client, container, path) as source, tarfile.open(fileobj=source, mode="r|") as archive:
            file = archive.extractfile(next(iter(archive)))
            return file.read(_SMALL) if file else b""

    return _unless_gone(lambda: connection.do(ask)) or b""


def has(connection: Connection, container: str, path: str) -> bool:
    """Whether there is a file or folder `path` in a container, which need not run."""

    def ask(client: Any) -> bool:
        answer = client.head(client._url("/containers/{0}/archive", container), params={"path": path})  # noqa: SLF001
        if answer.status_code == _GONE:
            return False
        client._raise_for_status(answer)  # noqa: SLF001
        return True

    return connection.do(ask)


def state(connection: Connection, container: str) -> dict[str, Any] | None:
    """Its state as the engine tells it; None where there is no such container."""
    found = inspect(connection, container)
    return found["State"] if found else None


def inspect(connection: Connection, container: str) -> dict[str, Any] | None:
    """What the engine says of it; None where there is no such container."""
    return _unless_gone(lambda: connection.do(lambda client: client.inspect_container(container)))


def follow(
    connection: Connection,
    container: str,
    said: list[str],
    stop: threading.Event,
    log: Callable[[str], None],
    lost: Callable[[], None],
) -> None:
    """Pass on the lines of a container, and add them to `said`, until it has ended or is gone. A connection that is lost
    is picked up again where it broke, for a minute; `lost` is told. Raises `Stopped`, `EngineUnreachable`."""
    since: float | None = None
    while True:
        try:
            connection.do(lambda client: _read_lines(client, container, said, stop, log))
            now = state(connection, container)
            if now is None or not now["Running"]:
                return
            since = None
        except EngineUnreachable:
            since = since or time.monotonic()
            if time.monotonic() - since > _LOST_SECONDS or stop.is_set():
                raise
            lost()
            stop.wait(1.0)


def _read_lines(
    client: Client, container: str, said: list[str], stop: threading.Event, log: Callable[[str], None]
) -> None:
    seen, rest = 0, b""
    try:
        with contextlib.closing(_output(client, container)) as output:
            for data in output:
                if stop.is_set():
                    raise Stopped
                *lines, rest = (rest + data).split(b"\n")
                for raw in lines:
                    line = raw.decode(errors="replace").rstrip()
                    if not line or line == ALIVE:
                        continue
                    seen += 1
                    if seen > len(said):
                        said.append(line)
                        log(line)
    except docker.errors.APIError as error:
        if error.status_code not in (_GONE, 409):  # it is not there (any more)
            raise


def _output(client: Client, container: str) -> Generator[bytes]:
    """What a container has said and says, both outputs in one. (The SDK's own reader keeps the connection for ever.)"""
    response = client.open("GET", f"/containers/{container}/logs", params={"stdout": 1, "stderr": 1, "follow": 1})
    with contextlib.closing(response):
        while len(header := response.raw.read(_HEADER)) == _HEADER:
            yield response.raw.read(int.from_bytes(header[4:], "big"))


def age(created: str) -> float:
    """Seconds since a time as an engine tells it, by this machine's clock."""
    return time.time() - calendar.timegm(time.strptime(created[:19], "%Y-%m-%dT%H:%M:%S"))


def _unless_gone(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except EngineError as error:
        if status_of(error) == _GONE:
            return None
        raise
