"""The one way to the service: HTTP over its Unix socket, with `http.client` (httpx would cost a kernel 140 ms)."""

from __future__ import annotations

import http.client
import json
import secrets
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from jupyter_mltrain._version import PROTOCOL, __version__
from jupyter_mltrain.client import starter, workspaces
from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.errors import ProtocolMismatch, ServiceUnavailable, from_wire

T = TypeVar("T")


class Connection:
    """Requests to the service of one workspace. Thread-safe: each request has a socket of its own.

    A request that finds no service starts one and is sent again; every request that changes something carries what
    makes a second sending harmless (a run's id is made by the client).
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._layout = Layout(root)

    @classmethod
    def open(cls, root: Path) -> Connection:
        """Connect, starting the service if none runs, and agree on the protocol.

        Raises `ServiceUnavailable` when it does not start, `ProtocolMismatch` when it is newer than this client.
        """
        connection = cls(root)
        workspaces.register(workspaces.read_config(root).id, root)
        connection.greet()
        return connection

    @classmethod
    def running(cls, root: Path, *, patience: float = 10) -> Connection | None:
        """A connection if a service is there already; never starts one."""
        connection = cls(root)
        try:
            connection._send("GET", "/v1/hello", None, patience, _whole)
        except (OSError, http.client.HTTPException, ServiceUnavailable):
            return None
        return connection

    def greet(self) -> dict[str, Any]:
        """What the service says of itself. An older service is asked to hand over and a new one is started."""
        hello = self.get("/v1/hello")
        theirs = int(hello.get("protocol", 0))
        if theirs < PROTOCOL:
            self.post("/v1/handover")
            starter.wait_until_gone(self._layout)
            hello = self.get("/v1/hello")
        elif theirs > PROTOCOL:
            raise ProtocolMismatch(
                f"The service of this workspace is newer ({hello.get('version')}) than this kernel's jupyter_mltrain"
                f" ({__version__}).",
                mend="Upgrade with `pip install -U jupyter-mltrain` and restart the kernel.",
            )
        return hello

    def get(self, path: str, /, *, timeout: float = 60, **params: Any) -> Any:
        """What the service answers: a document of `core.wire`."""
        return self._json("GET", path, None, params, timeout)

    def post(self, path: str, /, body: Mapping[str, Any] | None = None, *, timeout: float = 120, **params: Any) -> Any:
        return self._json("POST", path, body or {}, params, timeout)

    def patch(self, path: str, /, body: Mapping[str, Any], *, timeout: float = 30) -> Any:
        return self._json("PATCH", path, body, {}, timeout)

    def delete(self, path: str, /, *, timeout: float = 120, **params: Any) -> Any:
        return self._json("DELETE", path, None, params, timeout)

    def bytes(
        self, path: str, /, *, timeout: float = 60, byte_range: str | None = None, **params: Any
    ) -> tuple[bytes, dict[str, str]]:
        """The body as it is (with `byte_range`, such as `bytes=0-99`, that part of it), and the headers (names in lower
        case)."""
        span = {"Range": byte_range} if byte_range else {}
        status, headers, body = self._exchange("GET", path, None, params, timeout, _whole, span)
        if status >= 400:
            raise _error(status, body)
        return body, headers

    def download(self, path: str, /, into: Path, *, timeout: float = 600, **params: Any) -> None:
        """Write the body to the file `into`, in bounded memory; the whole of it or nothing."""
        part = into.with_name(f".{secrets.token_hex(8)}.part")

        def keep(response: http.client.HTTPResponse) -> None:
            if response.status >= 400:
                raise _error(response.status, response.read())
            with part.open("wb") as file:
                while chunk := response.read(1 << 20):
                    file.write(chunk)
            if (
                response.length
            ):  # reading piece by piece, `http.client` takes the end of the connection for that of the body
                raise http.client.IncompleteRead(b"", response.length)
            part.replace(into)

        try:
            self._exchange("GET", path, None, params, timeout, keep)
        finally:
            part.unlink(missing_ok=True)

    def _json(
        self, method: str, path: str, body: Mapping[str, Any] | None, params: Mapping[str, Any], timeout: float
    ) -> Any:
        status, _, raw = self._request(method, path, body, params, timeout)
        if status >= 400:
            raise _error(status, raw)
        return json.loads(raw) if raw else {}

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None, params: Mapping[str, Any], timeout: float
    ) -> tuple[int, dict[str, str], bytes]:
        return self._exchange(method, path, body, params, timeout, _whole)

    def _exchange(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        params: Mapping[str, Any],
        timeout: float,
        take: Callable[[http.client.HTTPResponse], T],
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> T:
        """What `take` makes of the answer; a service that is not there, or goes away meanwhile, is started."""
        target = _target(path, params)
        tries = 0
        while True:
            try:
                return self._send(method, target, body, timeout, take, headers)
            except TimeoutError as error:
                raise ServiceUnavailable(
                    f"The service did not answer {method} {path} within {timeout:.0f} s.",
                    mend=f"Its log: {self._layout.log}",
                ) from error
            except (ConnectionError, http.client.HTTPException) as error:
                # None there, or it ended (idle, killed) between two requests or in the midst of this one.
                tries += 1
                if tries > _TRIES:
                    raise self._unreachable(error) from error
                if isinstance(error, _EndingError):
                    starter.wait_until_gone(self._layout)
                starter.start(self._layout)

    def _send(
        self,
        method: str,
        target: str,
        body: Mapping[str, Any] | None,
        timeout: float,
        take: Callable[[http.client.HTTPResponse], T],
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> T:
        connection = http.client.HTTPConnection("localhost", timeout=timeout)
        connection.sock = self._connect(timeout)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, target, body=data, headers={**_headers(), **headers})
            response = connection.getresponse()
            if response.status == ServiceUnavailable.http_status:
                raise _EndingError("it is ending")
            return take(response)
        finally:
            connection.close()

    def _connect(self, timeout: float) -> socket.socket:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.settimeout(timeout)
            connected.connect(starter.socket_path(self._layout))
        except FileNotFoundError as error:
            connected.close()
            raise ConnectionRefusedError(str(error)) from error
        except BaseException as error:
            connected.close()
            if isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError):
                raise self._unreachable(error) from error
            raise
        return connected

    def _unreachable(self, error: Exception) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"The service of {self.root} cannot be reached: {error}.", mend=f"Its log: {self._layout.log}"
        )


class _EndingError(ConnectionError):
    """The service answers that it is about to end."""


_TRIES = 3


def _whole(response: http.client.HTTPResponse) -> tuple[int, dict[str, str], bytes]:
    return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()


def _headers() -> dict[str, str]:
    return {"Content-Type": "application/json", "X-MLTrain-Protocol": str(PROTOCOL)}


def _target(path: str, params: Mapping[str, Any]) -> str:
    given = {k: v for k, v in params.items() if v is not None}
    target = quote(path, safe="/%:@")
    return f"{target}?{urlencode(given, doseq=True)}" if given else target


def _error(status: int, body: bytes) -> Exception:
    try:
        return from_wire(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        text = body.decode(errors="replace")[:500]
        return ServiceUnavailable(f"The service answered {status}: {text}", mend="This is a bug: its log says more.")
