"""An `sshd` of the test, and an `ssh` that knows it: keys and known hosts of its own, nothing of the user's."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.hosts.daemon import descendants
from tests.hosts.programs import call, program

PORT = 2222


class Sshd:
    """`programs`: a folder to put first on PATH; its `ssh` reads the test's configuration and no other."""

    def __init__(self, folder: Path, address: str, *, enter: list[str], variables: dict[str, str]) -> None:
        self.folder = folder
        self.address = address
        self.user = getpass.getuser()
        self.programs = folder / "bin"
        self._enter = enter
        self._variables = variables
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"ssh://{self.user}@{self.address}:{PORT}"

    def start(self) -> None:
        """Returns once it listens."""
        self.folder.mkdir()
        for name in ("host", "client"):
            call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"test {name}", "-f", self.folder / name)
        (self.folder / "authorized").write_text((self.folder / "client.pub").read_text())
        self._client()
        settings = self.folder / "sshd_config"
        lines = {
            "AuthorizedKeysFile": self.folder / "authorized",
            "HostKey": self.folder / "host",
            "ListenAddress": f"{self.address}:{PORT}",
            "LogLevel": "VERBOSE",
            "MaxStartups": "100",
            "PasswordAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
            "PidFile": "none",
            # The folders above are whose they are; the user's cache is nobody else's anyway.
            "StrictModes": "no",
            "UsePAM": "no",
            "SetEnv": " ".join(f"{name}={value}" for name, value in self._variables.items()),
        }
        settings.write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
        Path("/run/sshd").mkdir(
            mode=0o755, exist_ok=True
        )  # sshd insists on it; where a system starts sshd, it is there
        command = [*self._enter, program("sshd"), "-D", "-f", settings, "-E", self.folder / "log"]
        self._process = subprocess.Popen(command, start_new_session=True)
        (self.folder / "pid").write_text(str(self._process.pid))
        deadline = time.monotonic() + 60
        while not self._listens():
            log = self.folder / "log"
            assert self._process.poll() is None, f"sshd does not start:\n{log.read_text() if log.exists() else ''}"
            assert time.monotonic() < deadline, "sshd does not listen"
            time.sleep(0.02)

    def end(self) -> None:
        """End it and its connections. Also that of a session that was killed."""
        for pid in self._processes():
            os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def forget_host(self) -> None:
        """The client has never seen this host."""
        (self.folder / "known_hosts").write_text("")

    def know_host(self) -> None:
        kind, key, *_ = (self.folder / "host.pub").read_text().split()
        (self.folder / "known_hosts").write_text(f"[{self.address}]:{PORT} {kind} {key}\n")

    def know_another(self) -> None:
        """The client knows this address as another host."""
        kind, key, *_ = (self.folder / "client.pub").read_text().split()
        (self.folder / "known_hosts").write_text(f"[{self.address}]:{PORT} {kind} {key}\n")

    def _client(self) -> None:
        self.know_host()
        lines = {
            "IdentityFile": self.folder / "client",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "UserKnownHostsFile": self.folder / "known_hosts",
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
        }
        settings = self.folder / "ssh_config"
        settings.write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
        self.programs.mkdir()
        wrapper = self.programs / "ssh"
        wrapper.write_text(f'#!/bin/sh\nexec {program("ssh")} -F "{settings}" "$@"\n')
        wrapper.chmod(0o755)

    def _listens(self) -> bool:
        try:
            socket.create_connection((self.address, PORT), timeout=1).close()
        except OSError:
            return False
        return True

    def _processes(self) -> list[int]:
        """The listener first, then the processes of its connections, which are its children."""
        try:
            listener = int((self.folder / "pid").read_text())
            if os.fsencode(self.folder) not in Path(f"/proc/{listener}/cmdline").read_bytes():
                return []
        except (FileNotFoundError, ValueError):
            return []
        return [listener, *descendants(listener)]
