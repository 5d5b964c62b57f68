"""A registry of images that lets in only whom it knows, at one address for this machine's engine and the other host's.

Engines speak plain HTTP to the loopback alone: there is one process in each network, and both keep the same files.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from pathlib import Path

from tests.hosts.programs import program
from tests.hosts.remote import RemoteHost

USER, PASSWORD = "tester", "let-me-in-7319"
_KNOWN = f"{USER}:$2y$05$abcdefghijklmnopqrstuuZiMCL46lhrSdX6/DtWw7JOrCrBlR0Gi\n"
"""The password as bcrypt, which alone the registry reads."""
_PATIENCE = 60.0


class ImageRegistry:
    def __init__(self, folder: Path, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self._folder = folder

    def tags(self, repository: str) -> list[str]:
        """Of a repository that is there; empty where it is not."""
        asked = urllib.request.Request(f"http://{self.address}/v2/{repository}/tags/list", headers=self._header)
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return json.load(answer)["tags"] or []
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return []

    def log_in(self, folder: Path) -> dict[str, str]:
        """The variables of one who is logged in there, by a credential store: a program, so that no file has the password.
        `folder` is to hold it."""
        folder.mkdir()
        helper = folder / "docker-credential-mltrain-test"
        said = json.dumps({"ServerURL": self.address, "Username": USER, "Secret": PASSWORD})
        helper.write_text(f"#!/bin/sh\ncat >/dev/null\ncat <<'end'\n{said}\nend\n")
        helper.chmod(0o755)
        (folder / "config.json").write_text(json.dumps({"credHelpers": {self.address: "mltrain-test"}}))
        return {"DOCKER_CONFIG": str(folder)}

    @property
    def _header(self) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}

    def start(self, enter: list[str]) -> subprocess.Popen[bytes]:
        settings = self._folder / "registry.yml"
        (self._folder / "known").write_text(_KNOWN)
        settings.write_text(
            f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {self._folder / 'images'}\n"
            f"http:\n  addr: {self.address}\n"
            f"auth:\n  htpasswd:\n    realm: tests\n    path: {self._folder / 'known'}\n"
        )
        with (self._folder / "registry.log").open("ab") as log:
            return subprocess.Popen([*enter, program("docker-registry"), "serve", settings], stdout=log, stderr=log)

    def wait(self) -> None:
        """Until the one of this machine answers."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self.tags("nothing")
            except (urllib.error.URLError, ConnectionError):
                assert time.monotonic() < deadline, (self._folder / "registry.log").read_text()[-3000:]
                time.sleep(0.05)
            else:
                return


@contextlib.contextmanager
def registry(folder: Path, remote: RemoteHost) -> Generator[ImageRegistry]:
    """One for this machine and `remote`."""
    made = ImageRegistry(folder, _free_port())
    processes = [made.start(enter) for enter in ([], remote.network.enter)]
    try:
        made.wait()
        yield made
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
