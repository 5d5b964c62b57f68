"""Where an engine is: the rules of Docker's command line, and what is refused."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyter_mltrain.errors import UsageError

DEFAULT = "unix:///var/run/docker.sock"
SSH_PORT = 22
_SSH_USER = re.compile(r"[A-Za-z0-9_.][-A-Za-z0-9_.@]*")
_HOST = re.compile(r"[A-Za-z0-9_:.][-A-Za-z0-9_:.%]*")


@dataclass(frozen=True)
class Address:
    """An engine's address. `scheme`: `unix` (a path), `ssh` or `tcp` (a host). `ca`, `cert`, `key`: paths of TLS files;
    `source`: who named it."""

    scheme: str
    path: str = ""
    user: str = ""
    host: str = ""
    port: int = 0
    ca: str = ""
    cert: str = ""
    key: str = ""
    source: str = ""

    @property
    def tls(self) -> bool:
        return bool(self.ca or self.cert)

    @property
    def url(self) -> str:
        if self.scheme == "unix":
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port and (self.scheme, self.port) != ("ssh", SSH_PORT) else ""
        return f"{self.scheme}://{user}{host}{port}"

    @property
    def words(self) -> str:
        """Which engine, for people."""
        return f"the Docker engine at {self.url}" + (f" ({self.source})" if self.source else "")


def find(
    url: str = "",
    context: str = "",
    *,
    ca: str = "",
    cert: str = "",
    key: str = "",
    environment: Mapping[str, str] | None = None,
) -> Address:
    """The engine that is meant: `url`; else the Docker context of that name; else what Docker's command line would take
    (`DOCKER_HOST`, `DOCKER_CONTEXT`, the current context); else the first socket of this machine that is there, Podman's
    included.

    Raises `UsageError` for an address that cannot be or is refused.
    """
    environment = os.environ if environment is None else environment
    if url and context:
        raise UsageError("An engine is named by its url or by a context, not by both.")
    if url:
        return parse(url, ca=ca, cert=cert, key=key)
    if context:
        return _of_context(context, environment)
    if environment.get("DOCKER_HOST"):
        files: dict[str, str] = {}
        if environment.get("DOCKER_TLS_VERIFY") or environment.get("DOCKER_TLS"):
            folder = Path(environment.get("DOCKER_CERT_PATH") or _config(environment))
            files = {name: str(folder / f"{name}.pem") for name in ("ca", "cert", "key")}
        return parse(environment["DOCKER_HOST"], source="DOCKER_HOST", **files)
    current = environment.get("DOCKER_CONTEXT") or _current_context(environment)
    if current and current != "default":
        return _of_context(current, environment)
    return parse(_socket(environment))


def parse(url: str, *, ca: str = "", cert: str = "", key: str = "", source: str = "") -> Address:
    """The address that `url` is. Raises `UsageError`, also for a host that would be spoken to in the clear."""
    try:
        parts = urlsplit(url)
        port = parts.port or 0
    except ValueError as error:
        raise _no_address(url) from error
    host, user = parts.hostname or "", parts.username or ""
    if parts.password or parts.query or parts.fragment:
        raise UsageError(
            f"The engine's address {_safe(url)!r} holds more than an address.",
            mend="Passwords are not taken: use keys.",
        )
    if parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/"):
        return Address("unix", path=parts.path, source=source)
    if parts.scheme == "ssh" and _HOST.fullmatch(host) and (not user or _SSH_USER.fullmatch(user)):
        if parts.path.strip("/"):
            raise UsageError(f"{url!r} has a path.", mend="Write ssh://user@host or ssh://user@host:port.")
        return Address("ssh", user=user, host=host, port=port or SSH_PORT, source=source)
    if parts.scheme == "tcp" and _HOST.fullmatch(host) and not user and not parts.path.strip("/"):
        return _tcp(Address("tcp", host=host, port=port, ca=ca, cert=cert, key=key, source=source))
    raise _no_address(url)


def _tcp(address: Address) -> Address:
    if bool(address.cert) != bool(address.key):
        raise UsageError("A client's certificate and its key belong together.", mend="Give tls_cert and tls_key.")
    for path in filter(None, (address.ca, address.cert, address.key)):
        if not Path(path).is_file():
            raise UsageError(f"There is no file {path!r}, which is named for TLS.")
    if not address.tls and not is_loopback(address.host):
        raise UsageError(
            f"Plain tcp:// to {address.host} is refused: whoever reaches that port controls the machine.",
            mend=f"Use ssh://user@{address.host}, or TLS: give tls_ca, tls_cert and tls_key.",
        )
    return address if address.port else replace(address, port=2376 if address.tls else 2375)


def _no_address(url: str) -> UsageError:
    return UsageError(
        f"{_safe(url)!r} is no address of a Docker engine.",
        mend="Write unix:///path/of/socket, ssh://user@host[:port] or tcp://host:port (with TLS).",
    )


def _safe(url: str) -> str:
    """The address without what may be a password."""
    return re.sub(r"//[^/@]*:[^/@]*@", "//…@", url)[:200]


def is_loopback(host: str) -> bool:
    """Whether that is this machine, as it calls itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _socket(environment: Mapping[str, str]) -> str:
    """Docker's socket; where there is none, that of a rootless Docker or a Podman."""
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    for path in (DEFAULT, f"unix://{runtime}/docker.sock", f"unix://{runtime}/podman/podman.sock", _PODMAN):
        if Path(path.removeprefix("unix://")).exists():
            return path
    return DEFAULT


_PODMAN = "unix:///run/podman/podman.sock"


def _config(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("DOCKER_CONFIG") or Path(environment.get("HOME") or Path.home()) / ".docker")


def _current_context(environment: Mapping[str, str]) -> str:
    try:
        raw: Any = json.loads((_config(environment) / "config.json").read_text("utf-8"))
        return str(raw.get("currentContext") or "")
    except (OSError, ValueError, AttributeError):
        return ""  # Docker's command line goes on without it, too


def _of_context(name: str, environment: Mapping[str, str]) -> Address:
    """The address in a context that `docker context create` made. (The SDK finds contexts only beside a `config.json`.)"""
    if name == "default":
        return parse(_socket(environment))
    folder = _config(environment) / "contexts"
    digest = hashlib.sha256(name.encode()).hexdigest()
    try:
        raw: Any = json.loads((folder / "meta" / digest / "meta.json").read_text("utf-8"))
        host = str(raw["Endpoints"]["docker"]["Host"])
    except FileNotFoundError:
        raise UsageError(f"There is no Docker context {name!r}.", mend="`docker context ls` lists them.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"The Docker context {name!r} cannot be read: {error}.") from error
    files: dict[str, str] = {}
    for part in ("ca", "cert", "key"):
        path = folder / "tls" / digest / "docker" / f"{part}.pem"
        if path.is_file():
            files[part] = str(path)
    return parse(host, source=f"context {name}", **files)
