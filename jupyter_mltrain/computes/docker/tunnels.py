"""The way to a port of a container, on whichever host it is; nothing is ever open beyond the loopback of that host.

An engine of this machine publishes the port on 127.0.0.1. Over ssh it does the same, and one `ssh -L` of the user's own
leads there. By TLS there is no way to that host but the engine's: each connection is a small process in the container.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from jupyter_mltrain.computes.docker import containers
from jupyter_mltrain.computes.docker.address import Address
from jupyter_mltrain.computes.docker.connection import Connection
from jupyter_mltrain.computes.docker.dialling import DEAD, SSHError, ssh_command, ssh_environment
from jupyter_mltrain.computes.docker.talking import Talk, execute
from jupyter_mltrain.errors import EngineError, EngineUnreachable

_PATIENCE = 10.0
_STEP = 0.02
_CHUNK = 1 << 16
_RELAY = """
import socket, sys, threading
there = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
there.settimeout(None)
def up():
    while True:
        data = sys.stdin.buffer.raw.read(65536)
        if not data:
            break
        there.sendall(data)
    there.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while True:
    data = there.recv(65536)
    if not data:
        break
    sys.stdout.buffer.raw.write(data)
"""
# For images without a Python of ours.
_RELAY_IN_BASH = 'exec 3<>"/dev/tcp/127.0.0.1/$0" || exit 1; cat <&0 >&3 & cat <&3; kill $! 2>/dev/null'


class Tunnel:
    """The way to `port` of `container`. `python`: an interpreter in it; empty where there is none."""

    def __init__(self, connection: Connection, container: str, port: int, python: str = "") -> None:
        self._connection = connection
        self._container = container
        self._port = port
        self._python = python
        self._published: int | None = None
        self._ssh: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._alone = threading.Lock()

    @property
    def published(self) -> bool:
        """Whether the container's port has to be one of its host's loopback."""
        return self.of(self._connection.address)

    @staticmethod
    def of(address: Address) -> bool:
        """The same for any container of the engine."""
        return address.scheme in ("unix", "ssh")

    def dial(self) -> socket.socket:
        """A connection to the port. Raises OSError, `EngineError`, `EngineUnreachable`."""
        if not self.published:
            return self._through_engine()
        if self._connection.address.scheme == "unix":
            return socket.create_connection(("127.0.0.1", self._host_port()), _PATIENCE)
        return self._through_ssh()

    def close(self) -> None:
        """Idempotent; a later `dial` finds the way anew."""
        with self._alone:
            self._published = None
            self._end_ssh()

    def _host_port(self) -> int:
        if self._published is None:
            found = containers.inspect(self._connection, self._container)
            ports: dict[str, Any] = (found or {}).get("NetworkSettings", {}).get("Ports") or {}
            bound = ports.get(f"{self._port}/tcp") or []
            if not bound:
                raise ConnectionRefusedError(f"The container {self._container} has no port open.")
            self._published = int(bound[0]["HostPort"])
        return self._published

    # -- ssh -------------------------------------------------------------------------------------------------------

    def _through_ssh(self) -> socket.socket:
        with self._alone:
            if self._ssh is None or self._ssh.poll() is not None:
                self._end_ssh()
                self._begin_ssh(self._host_port())
            assert self._folder is not None
            path = str(self._folder / "s")
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.settimeout(_PATIENCE)
            made.connect(path)
        except OSError:
            made.close()
            raise
        return made

    def _begin_ssh(self, port: int) -> None:
        # Short, for a socket's path holds 108 bytes; nobody else gets into it.
        self._folder = Path(tempfile.mkdtemp(prefix="mltrain-"))
        path, said = self._folder / "s", self._folder / "said"
        command = ssh_command(self._connection.address)
        options = {
            "ExitOnForwardFailure": "yes",
            "ControlMaster": "no",
            "ControlPath": "none",
            "ClearAllForwardings": "no",
        }
        named = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        where = command.index("--")
        command[where:where] = ["-N", *named, "-L", f"{path}:127.0.0.1:{port}"]
        with said.open("wb") as errors:
            self._ssh = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, env=ssh_environment(),
                start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + DEAD + _PATIENCE
        while not path.exists():
            if self._ssh.poll() is not None or time.monotonic() > until:
                words = said.read_text("utf-8", "replace").strip()
                self._end_ssh()
                with self._connection.translated():
                    raise SSHError(words or "ssh opened no way to the container")
            time.sleep(_STEP)

    def _end_ssh(self) -> None:
        if self._ssh is not None:
            self._ssh.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._ssh.wait(2)
            self._ssh = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    # -- the engine's own connection -------------------------------------------------------------------------------

    def _through_engine(self) -> socket.socket:
        command = ["bash", "-c", _RELAY_IN_BASH, str(self._port)]
        if self._python:
            command = [self._python, "-I", "-S", "-c", _RELAY, str(self._port)]
        talk, _ = self._connection.do(lambda client: execute(client, self._container, command, stdin=True))
        ours, theirs = socket.socketpair()
        threading.Thread(target=_pass, args=(theirs, talk), daemon=True, name="tunnel").start()
        return ours


def _pass(client: socket.socket, talk: Talk) -> None:
    """Until either side ends. In one thread: TLS is not to be read and written at the same time."""
    with client:
        try:
            for data in talk.flow(client):
                client.sendall(data)
        except (OSError, EngineError, EngineUnreachable):
            return  # who asked sees its connection end
        finally:
            talk.leave()
