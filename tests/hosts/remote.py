"""Another host for containers: an engine in a network of its own, reached by TLS, by ssh, and (to check) by its socket."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.hosts import certificates
from tests.hosts.daemon import Daemon
from tests.hosts.locks import Lock, alone
from tests.hosts.network import Network
from tests.hosts.programs import folder, root_needed
from tests.hosts.sshd import Sshd

TLS_PORT = 2376


class RemoteHost:
    """`engine`: its engine as that host's own users see it. Runs of a killed engine go on (`--live-restore`)."""

    def __init__(self, folder: Path, network: Network) -> None:
        self.folder = folder
        self.network = network
        self.address = network.address
        self.certificates = folder / "tls"
        self.tls_url = f"tcp://{self.address}:{TLS_PORT}"
        files = {"tlscacert": "ca.pem", "tlscert": "server-cert.pem", "tlskey": "server-key.pem"}
        options = ["--live-restore", "--tlsverify", "--host", self.tls_url]
        options += [f"--{option}={self.certificates / name}" for option, name in files.items()]
        self.engine = Daemon(folder / "engine", enter=network.enter, options=options)
        variables = {"DOCKER_HOST": self.engine.url}
        self.sshd = Sshd(folder / "ssh", self.address, enter=network.enter, variables=variables)

    @property
    def image(self) -> str:
        return self.engine.image

    @property
    def ssh_url(self) -> str:
        return self.sshd.url

    @property
    def tls(self) -> dict[str, str]:
        """The settings of a `DockerCompute` that reaches it by TLS."""
        names = {"tls_ca": "ca.pem", "tls_cert": "cert.pem", "tls_key": "key.pem"}
        return {"url": self.tls_url} | {name: str(self.certificates / file) for name, file in names.items()}

    def cut(self) -> None:
        """From now on packets to it and from it vanish, and nobody is told."""
        self.network.cut()

    def whole(self) -> None:
        """As it was at first, whatever a test did to it."""
        self.network.mend()
        self.sshd.know_host()
        if self.engine.pid is None:
            self.engine.start()

    def _start(self) -> None:
        certificates.make(self.certificates, self.address)
        self.engine.start()
        self.sshd.start()
        self.engine.load()

    def end(self) -> None:
        """End all of it, and leave nothing."""
        self.network.mend()
        self.sshd.end()
        if self.engine.folder.exists():
            self.engine.end()
        self.network.end()
        shutil.rmtree(self.folder)


@contextlib.contextmanager
def host() -> Iterator[RemoteHost]:
    """One for this session alone."""
    root_needed("A network of its own for a second engine")
    with alone(folder() / "remote.lock"):
        _sweep()
        name = f"mlt{uuid.uuid4().hex[:6]}"
        home = folder() / f"remote-{name}"
        home.mkdir()
        owner = Lock(home / "owner").exclusive()
    made = None
    try:
        made = RemoteHost(home, Network.make(name, home / "network.json"))
        made._start()
        yield made
    finally:
        if made is not None:
            made.end()
        else:
            _remove(home)
        owner.close()


def _sweep() -> None:
    """Take away what sessions left that were killed."""
    for home in folder().glob("remote-*/"):
        owner = Lock(home / "owner")
        try:
            if owner.nobody_else():
                _remove(home)
        finally:
            owner.close()


def _remove(home: Path) -> None:
    network = Network.found(home / "network.json")
    if network is not None:
        RemoteHost(home, network).end()
    else:
        shutil.rmtree(home)
