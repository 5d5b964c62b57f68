"""A build of an environment that was asked for, followed to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.client.connection import Connection
from jupyter_mltrain.errors import from_wire


class EnvironmentBuild:
    """The build of the environment `reference` (NAME:VERSION) in the service; goes on without this object."""

    def __init__(self, workspace: Workspace, reference: str) -> None:
        self.reference = reference
        self._connection = workspace.connection
        self._path = f"/v1/environments/{quote(reference, safe='')}"

    def start(self) -> EnvironmentBuild:
        """Start it unless it is under way. Raises `EnvironmentNotFound`."""
        self._connection.post(f"{self._path}/build")
        return self

    @property
    def status(self) -> str:
        """The SDK's words: Running, Succeeded, Failed; NotStarted where none was asked for."""
        state: str = self._connection.get(f"{self._path}/build")["state"]
        return {"building": "Running", "ready": "Succeeded", "failed": "Failed"}.get(state, "NotStarted")

    def wait_for_completion(
        self, show_output: bool = True, raise_on_error: bool = True, say: Callable[[str], None] = print
    ) -> dict[str, Any]:
        """Return when it is over: state, key, python, seconds, cached. `show_output` says the log line by line.

        Raises what the build failed with (`BuildFailed`, `ResolveError`, `Unreachable` …) unless `raise_on_error` is
        false.
        """
        tell = _lines(say if show_output else lambda _: None)
        for data in log(self._connection, self.reference, wait=5):
            tell(data)
        tell(b"\n")
        state: dict[str, Any] = self._connection.get(f"{self._path}/build")
        if raise_on_error and state["state"] == "failed":
            raise from_wire(state["error"])
        return state

    def __repr__(self) -> str:
        return f"EnvironmentBuild({self.reference})"


def log(connection: Connection, reference: str, *, wait: float = 0) -> Iterator[bytes]:
    """The log of the last build that was asked for: with `wait` (seconds) to its end, as it grows; else what there is."""
    offset, complete = 0, False
    path = f"/v1/environments/{quote(reference, safe='')}/log"
    while not complete:
        data, headers = connection.bytes(path, offset=offset, wait=wait)
        yield data
        offset, complete = int(headers["x-next-offset"]), headers["x-complete"] == "1" or not (data or wait)


def _lines(say: Callable[[str], None]) -> Callable[[bytes], None]:
    """Says whole lines of the bytes it is given."""
    rest = b""

    def feed(data: bytes) -> None:
        nonlocal rest
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            if line.strip():
                say(line.decode(errors="replace"))

    return feed
