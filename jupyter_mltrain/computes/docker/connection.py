"""The way to an engine: opened when it is first needed, every call in a thread, every foreign error told in our words."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import docker.errors
import requests.exceptions
import urllib3.exceptions

from jupyter_mltrain.computes.docker import address as addresses
from jupyter_mltrain.computes.docker.address import Address
from jupyter_mltrain.computes.docker.dialling import Client, SSHError, client
from jupyter_mltrain.errors import DiskFull, EngineError, EngineUnreachable

T = TypeVar("T")

NEWEST = (1, 44)
"""Of the engine's API: what this package was written against. Newer engines still speak it."""
OLDEST = (1, 40)
"""The first with requests for devices (GPUs)."""
_THREADS = 16
_LOST = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
    socket.gaierror,
)


class Connection:
    """An engine, by the settings of `address.find`. Making one asks nobody.

    A connection that was lost is opened again by the next call. Settings that can be none raise `UsageError` here.
    """

    def __init__(
        self, *, url: str = "", context: str = "", tls_ca: str = "", tls_cert: str = "", tls_key: str = ""
    ) -> None:
        self.address: Address = addresses.find(url, context, ca=tls_ca, cert=tls_cert, key=tls_key)
        self.workspace = ""
        """The id of the workspace that what is made here belongs to; to be said before the first call."""
        self._client: Client | None = None
        self._opening = threading.Lock()
        self._failure: tuple[float, EngineUnreachable] | None = None
        """When the engine was last not to be reached, and why."""
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="docker")

    async def call(self, ask: Callable[[Client], T]) -> T:
        """What `ask` makes of the client, in a thread. Raises `EngineUnreachable`, `DiskFull` and `EngineError` (with the
        HTTP status in `details["status"]`, where the engine answered) for what the SDK raises."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.do, ask)

    def do(self, ask: Callable[[Client], T]) -> T:
        """`call` for who is in a thread already."""
        with self.translated():
            return ask(self._open())

    @contextlib.contextmanager
    def translated(self) -> Generator[None]:
        """Foreign errors in our words."""
        try:
            yield
        except (docker.errors.DockerException, requests.exceptions.RequestException, *_LOST) as error:
            told = translate(error, self.address)
            if told is None:
                raise
            if isinstance(told, EngineUnreachable):
                self._client = None  # a new one finds out again what it speaks with
            raise told from error

    def _open(self) -> Client:
        asked = time.monotonic()
        with self._opening:
            if self._client is None:
                if self._failure is not None and self._failure[0] >= asked:
                    raise self._failure[
                        1
                    ]  # who tried while this one waited found nobody: it need not be found out again
                try:
                    with self.translated():
                        self._client = self._greeted()
                        self._client.workspace = self.workspace
                except EngineUnreachable as error:
                    self._failure = time.monotonic(), error
                    raise
            return self._client

    def _greeted(self) -> Client:
        """A client that speaks as this engine does."""
        said: dict[str, Any] = client(self.address, _text(OLDEST)).version(api_version=False)
        newest, oldest = _number(said.get("ApiVersion", "")), _number(said.get("MinAPIVersion", ""))
        if newest < OLDEST:
            raise EngineError(
                _sentence(f"{self.address.words} is too old: its API is {_text(newest)}, {_text(OLDEST)} is needed."),
                mend="Update Docker there (19.03 or newer).",
            )
        return client(self.address, _text(max(min(newest, NEWEST), oldest)))


def _number(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _text(number: tuple[int, int]) -> str:
    return f"{number[0]}.{number[1]}"


def status_of(error: EngineError) -> int:
    """The HTTP status with which the engine refused; 0 where it was no answer of the engine's."""
    return int(error.details.get("status", 0))


def translate(error: BaseException, address: Address) -> EngineError | DiskFull | None:
    """What a foreign error means, told so that a person can act on it; None for one that is none of the engine's."""
    if isinstance(error, docker.errors.APIError):
        return _answered(error, address)
    chain = list(_chain(error))
    for one in chain:
        told = _told(one, address)
        if told is not None:
            return EngineUnreachable(_sentence(told[0]), mend=told[1])
    if isinstance(error, _LOST):
        return EngineUnreachable(
            f"The connection to {address.words} was lost: {_words(chain[-1])}.", mend="It is tried again."
        )
    if isinstance(error, docker.errors.DockerException | requests.exceptions.RequestException):
        return EngineError(_sentence(f"{address.words} could not be asked: {_words(error)}."))
    return None


def _answered(error: docker.errors.APIError, address: Address) -> EngineError | DiskFull:
    said = str(error.explanation or error).strip().rstrip(".")
    status = int(error.status_code or 0)
    if "no space left on device" in said.lower():
        return DiskFull(f"The disk of {address.words} is full: {said}.", mend="`%mltrain compute prune`, or free some.")
    if "select device driver" in said or "nvidia-container" in said or "could not find GPU" in said:
        return EngineError(
            _sentence(f"{address.words} has no GPU runtime: {said}."),
            mend="Install the NVIDIA driver and the NVIDIA Container Toolkit there, restart Docker; or ask for no GPUs.",
            status=status,
        )
    return EngineError(_sentence(f"{address.words} refused: {said}."), status=status)


def _told(error: BaseException, address: Address) -> tuple[str, str] | None:
    """Message and mend for one error of a chain."""
    if isinstance(error, SSHError):
        return _ssh(str(error), address)
    if isinstance(error, ssl.SSLError):
        return _tls(error, address.words)
    if isinstance(error, socket.gaierror):
        return f"The host {address.host!r} is not known here: {error.strerror}.", "Check its name and the network."
    for kind, message, mend in (
        (PermissionError, f"No permission to use {address.words}.", _JOIN),
        (FileNotFoundError, f"There is no Docker engine at {address.path}.", f"Install Docker, or start it: {_START}."),
        (ConnectionRefusedError, f"No Docker engine listens at {address.url}.", f"Start it: {_START}."),
    ):
        if isinstance(error, kind):
            return message, mend
    return None


_START = "sudo systemctl start docker"
_JOIN = "Add yourself to the group `docker` (sudo usermod -aG docker $USER) and log in anew."


def _tls(error: ssl.SSLError, where: str) -> tuple[str, str] | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"The certificate of {where} is not to be trusted: {error.verify_message or error.reason}.",
            "Give the tls_ca that signed it, and the host name that stands in it.",
        )
    if isinstance(error, ssl.SSLEOFError):
        # With TLS 1.3 it says what it thinks of a certificate after the handshake, and closes: its word may be lost.
        return (
            f"{where} closed the connection; if it never was open, this client's certificate is not taken there.",
            "It is tried again. Check tls_cert and tls_key.",
        )
    if "ALERT" in str(error).upper():
        return f"{where} does not take this client's certificate: {error.reason}.", "Check tls_cert and tls_key."
    return None


def _ssh(said: str, address: Address) -> tuple[str, str]:
    last = said.splitlines()[-1] if said else "no reason"
    port = f"-p {address.port} " if address.port != addresses.SSH_PORT else ""
    terminal = f"ssh {port}{address.user + '@' if address.user else ''}{address.host}"
    host = address.host
    for sign, message, mend in (
        (
            "IDENTIFICATION HAS CHANGED",
            f"The host key of {host} is not the one that is known.",
            f"If that host was set up anew: `ssh-keygen -R {host}`, then `{terminal}` once in a terminal.",
        ),
        (
            "HOST KEY VERIFICATION FAILED",
            f"The host key of {host} is not known here.",
            f"Run `{terminal}` once in a terminal, compare the key's fingerprint, and accept it.",
        ),
        (
            "PERMISSION DENIED (",
            f"{host} does not let {address.user or 'this user'} in: {last}",
            f"Make `{terminal}` work without a password: ssh-copy-id, and ssh-agent for a key with a passphrase.",
        ),
        ("NOT FOUND", f"There is no `docker` command on {host}: {last}", "Install Docker there (18.09 or newer)."),
        ("PERMISSION DENIED", f"No permission to use Docker on {host}: {last}", "Add that user to the group `docker`."),
        ("DOCKER DAEMON", f"Docker does not run on {host}: {last}", f"Start it there: {_START}."),
        ("DOCKER.SOCK", f"Docker does not run on {host}: {last}", f"Start it there: {_START}."),
    ):
        if sign in said.upper():
            return message, mend
    return f"{host} cannot be reached by ssh: {last}", f"Try `{terminal}` in a terminal."


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from, the outermost first."""
    seen: set[int] = set()
    todo: list[BaseException] = [error]
    while todo:
        one = todo.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
        todo += [each for each in inner if isinstance(each, BaseException)]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _words(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return re.sub(r"\s+", " ", text)[:300].rstrip(".")
