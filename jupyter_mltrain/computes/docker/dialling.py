"""Connections to an engine that the SDK does not make well enough: over sockets, and over `ssh`.

The SDK's own ssh transport has no timeouts (a network that is cut hangs it for ever), starts a process per request and
needs a second ssh implementation; here the user's own `ssh` gets one end of a socket pair, and all else is as on a local
socket.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from typing import Any

import docker.errors
import requests
from docker import APIClient
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from jupyter_mltrain.computes.docker import podman
from jupyter_mltrain.computes.docker.address import Address
from jupyter_mltrain.computes.docker.labels import owned

SILENCE = 30
"""Seconds after which a stream that says nothing counts as lost. (Streams of ours say that they live every 5 s.)"""
PATIENCE = 20
"""Seconds that connecting may take."""
ANSWER = 90
"""Seconds that an engine which is there may take to answer: a busy one needs many to start a container."""
DEAD = 15
"""Seconds after which a host that acknowledges nothing counts as gone."""
_CONNECTIONS = 16
_DIAL_STDIO = "docker system dial-stdio"
_LEFT_OUT = frozenset({"LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONPATH", "DISPLAY", "SSH_ASKPASS"})


class Client(APIClient):
    """The SDK's low-level client, whose streams have an end when nothing comes any more. What is made of ours by it says
    whose it is."""

    workspace = ""
    """The id of the workspace that asks."""
    is_podman = False
    """Whether Podman has answered."""

    def create_container_from_config(self, config: Any, *given: Any, **named: Any) -> Any:
        config = {**config, "Labels": owned(config.get("Labels") or {}, self.workspace)}
        return super().create_container_from_config(config, *given, **named)

    def create_volume(self, *given: Any, labels: Mapping[str, str] | None = None, **named: Any) -> Any:
        return super().create_volume(*given, labels=owned(labels or {}, self.workspace), **named)

    def create_network(self, *given: Any, labels: Mapping[str, str] | None = None, **named: Any) -> Any:
        return super().create_network(*given, labels=owned(labels or {}, self.workspace), **named)

    def build(self, *given: Any, labels: Mapping[str, str] | None = None, **named: Any) -> Any:
        return super().build(*given, labels=owned(labels or {}, self.workspace), **named)

    def send(self, request: requests.PreparedRequest, **given: Any) -> requests.Response:
        send = super().send
        response = podman.asked(lambda: send(request, **given))
        self.is_podman = self.is_podman or podman.answered(response)
        return response

    def _disable_socket_timeout(self, socket: Any) -> None:
        for one in (socket, getattr(socket, "_sock", None)):
            if one is not None and hasattr(one, "settimeout"):
                one.settimeout(SILENCE)

    def _set_request_timeout(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        kwargs.setdefault("timeout", (PATIENCE, ANSWER))
        return kwargs

    def open(self, method: str, path: str, **given: Any) -> requests.Response:
        """The answer to a request of the engine's API, its body unread. Raises what the SDK raises."""
        url = f"{self.base_url}/v{self.api_version}{path}"
        response = self.request(method, url, stream=True, timeout=(PATIENCE, ANSWER), **given)
        try:
            response.raise_for_status()
        except requests.exceptions.HTTPError as error:
            docker.errors.create_api_error_from_http_exception(error)
        return response


def client(address: Address, version: str) -> Client:
    """A client for the engine; asks nobody yet. `version`: of the API."""
    if address.scheme == "tcp":
        made = _over_tcp(address, version)
    else:
        made = Client(base_url=f"unix://{address.path or '/ssh'}", version=version, timeout=PATIENCE)
        dial = (lambda: _unix(address.path)) if address.scheme == "unix" else (lambda: _ssh(address))
        made.mount("http+docker://", _Dialled(dial))
    # Proxies and certificates of the environment are for the web.
    made.trust_env = False
    return made


def _over_tcp(address: Address, version: str) -> Client:
    scheme = "https" if address.tls else "http"
    host = f"[{address.host}]" if ":" in address.host else address.host
    made = Client(base_url=f"{scheme}://{host}:{address.port}", version=version, timeout=PATIENCE)
    made.mount(f"{scheme}://", _Kept())
    if address.tls:
        made.verify = address.ca or True
        made.cert = (address.cert, address.key) if address.cert else None
    return made


class _Kept(HTTPAdapter):
    """TCP that notices when the other side is gone, also while it waits for an answer."""

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:  # noqa: ARG002
        each = [
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        ]
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            each += [
                (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
                (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
                (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD * 1000),
            ]
        super().init_poolmanager(connections, _CONNECTIONS, block, socket_options=each, **options)


class _Dialled(HTTPAdapter):
    """HTTP over the sockets that `dial` makes; one pool for all requests."""

    def __init__(self, dial: Callable[[], socket.socket]) -> None:
        self._pool = _Pool(dial)
        super().__init__()

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> Any:
        return self._pool

    def get_connection(self, *_: Any, **__: Any) -> Any:
        return self._pool

    def request_url(self, request: requests.PreparedRequest, proxies: Mapping[str, str] | None) -> str:  # noqa: ARG002
        return request.path_url

    def close(self) -> None:
        self._pool.close()
        super().close()


class _Pool(HTTPConnectionPool):
    def __init__(self, dial: Callable[[], socket.socket]) -> None:
        super().__init__("localhost", timeout=PATIENCE, maxsize=_CONNECTIONS)
        self._dial = dial

    def _new_conn(self) -> Any:
        return _Connection(self._dial)


class _Connection(HTTPConnection):
    def __init__(self, dial: Callable[[], socket.socket]) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._dial = dial

    def connect(self) -> None:
        self.sock = self._dial()
        self.sock.settimeout(PATIENCE)


def _unix(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.settimeout(PATIENCE)
        made.connect(path)
    except OSError:
        made.close()
        raise
    return made


def ssh_command(address: Address) -> list[str]:
    """How `ssh` is called: it asks nobody, and notices when the other side is gone."""
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": str(DEAD),
        "ServerAliveInterval": "5",
        "ServerAliveCountMax": str(DEAD // 5),
    }
    user = ["-l", address.user] if address.user else []
    named = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    return ["ssh", "-T", *named, *user, "-p", str(address.port), "--", address.host]


def ssh_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}


class SSHError(ConnectionError):
    """`ssh` ended before it was through; its own words."""


def _ssh(address: Address) -> socket.socket:
    ours, theirs = socket.socketpair()
    with theirs, tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                [*ssh_command(address), _DIAL_STDIO], stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=said,
                env=ssh_environment(), start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError as error:
            ours.close()
            raise SSHError("ssh: not found on this machine") from error
        made = _Piped(ours.family, ours.type, ours.proto, ours.detach())
        made.hold(process, os.dup(said.fileno()))
        return made


class _Piped(socket.socket):
    """A socket whose other end is an `ssh`, which ends with it."""

    def hold(self, process: subprocess.Popen[bytes], said: int) -> None:
        self._process = process
        self._said = said

    def recv_into(self, *given: Any, **named: Any) -> int:
        try:
            got = super().recv_into(*given, **named)
        except ConnectionResetError:
            self._tell()
            raise
        if got == 0:
            self._tell()
        return got

    def sendall(self, *given: Any, **named: Any) -> None:
        try:
            super().sendall(*given, **named)
        except (BrokenPipeError, ConnectionResetError):
            self._tell()
            raise

    def _tell(self) -> None:
        """Raise what `ssh` said, where it ended without an answer."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        if self._process.returncode:
            words = os.pread(self._said, 4096, 0).decode("utf-8", "replace").strip()
            raise SSHError(words or f"ssh ended with {self._process.returncode}")

    def close(self) -> None:
        super().close()
        # Readers of `makefile` hold the socket open a little longer: only its last user ends the process.
        if self.fileno() < 0 and self._said >= 0:
            os.close(self._said)
            self._said = -1
            self._process.terminate()
            threading.Thread(target=self._process.wait, daemon=True).start()
