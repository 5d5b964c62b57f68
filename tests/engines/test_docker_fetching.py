"""Data of the web on another host: its engine's host fetches it, once, checked; where it cannot, it is sent."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_mltrain.computes.docker import data, fetching
from jupyter_mltrain.computes.docker.connection import Connection
from jupyter_mltrain.core.mounts import Mount, WebFile
from tests.engines.docker_contract import PYTHON
from tests.hosts.remote import RemoteHost
from tests.hosts.web import Web, web

SIZE = 3_000_000


class Far:
    """A dataset of two files that this machine has, and a web server too."""

    def __init__(self, host: RemoteHost, served: Web, folder: Path) -> None:
        self.host, self.web = host, served
        self.connection = Connection(**host.tls)
        self.said: list[str] = []
        (folder / "deep").mkdir(parents=True)
        self.contents = {"a.bin": os.urandom(SIZE), "deep/b.txt": b"deep"}
        known: list[WebFile] = []
        for path, content in self.contents.items():
            (folder / path).write_bytes(content)
            served.files[Path(path).name] = content
            address = f"{served.url}/{Path(path).name}"
            known.append(WebFile(path, address, len(content), hashlib.sha256(content).hexdigest()))
        self.mount = Mount("d", folder, "D", secrets.token_hex(16), web=tuple(known))

    async def bring(self) -> None:
        await data.bring(
            self.connection, self.host.image, [self.mount], lambda _, text: self.said.append(text), python=PYTHON
        )

    def there(self) -> dict[str, str]:
        """SHA-256 by path, as a stranger in a container reads them."""
        volume = ["--volume", f"mltrain-data-{self.mount.key}:/d:ro", "--user", "1234:1234", "--network", "none"]
        shown = self.host.engine.docker(
            "run",
            "--rm",
            *volume,
            "--entrypoint",
            "sh",
            self.host.image,
            "-c",
            "cd /d; find . -type f | xargs sha256sum",
        )
        return {path[len("./") :]: sha256 for sha256, path in map(str.split, shown.splitlines())}

    @property
    def whole(self) -> dict[str, str]:
        return {f"files/{path}": hashlib.sha256(content).hexdigest() for path, content in self.contents.items()}

    @property
    def helpers(self) -> list[str]:
        return [name for name in self.host.engine.ours()["containers"] if self.mount.key in name]


@pytest.fixture
def far(remote_host: RemoteHost, tmp_path: Path) -> Iterator[Far]:
    with web(remote_host.network.here) as served:
        made = Far(remote_host, served, tmp_path / "data")
        yield made
        assert made.helpers == []
        remote_host.engine.docker("volume", "rm", f"mltrain-data-{made.mount.key}")


async def test_the_host_fetches_what_is_on_the_web_once(far: Far) -> None:
    await far.bring()
    assert far.web.asked == [(far.host.address, "a.bin", 0), (far.host.address, "b.txt", 0)]
    assert far.there() == far.whole
    assert not any("sent" in text for text in far.said), far.said
    await far.bring()
    assert len(far.web.asked) == 2


async def test_a_fetching_that_was_ended_goes_on_where_it_was(far: Far) -> None:
    far.web.half = SIZE // 2
    far.web.held.clear()
    task = asyncio.create_task(far.bring())
    async with asyncio.timeout(100):
        while not any("MB fetched" in text for text in far.said) or not far.web.asked:
            assert not task.done(), task.exception()
            await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert far.helpers == []
    assert not [path for path in far.there() if path.startswith("files/")], "nothing looks whole"
    far.web.held.set()
    await far.bring()
    assert far.there() == far.whole
    address, name, first = far.web.asked[1]
    assert (address, name) == (far.host.address, "a.bin")
    assert 0 < first <= SIZE // 2


@pytest.mark.parametrize("why", ["no server", "no file", "another content"])
async def test_what_the_host_cannot_fetch_is_sent(far: Far, why: str) -> None:
    if why == "no server":
        far.web.close()
    elif why == "no file":
        del far.web.files["b.txt"]
    else:
        far.web.files["a.bin"] = os.urandom(SIZE)
    await far.bring()
    assert far.there() == far.whole
    assert any("its host cannot fetch it (" in text and text.endswith("sending it") for text in far.said), far.said


def test_nobody_is_asked_where_it_is_of_no_use(tmp_path: Path) -> None:
    here, there = Connection(url=f"unix://{tmp_path}/docker.sock"), Connection(url="ssh://me@host")
    mount = Mount("d", tmp_path, "D", "k", web=(WebFile("a", "https://example.org/a", 1, "0"),))
    assert fetching.is_worth_it(there, mount, PYTHON)
    assert not fetching.is_worth_it(here, mount, PYTHON)
    assert not fetching.is_worth_it(there, mount, "")
    assert not fetching.is_worth_it(there, Mount("d", tmp_path, "D", "k"), PYTHON)
    for address in ("http://localhost:8000/a", "http://127.0.0.1/a", "http://[::1]/a"):
        own = Mount("d", tmp_path, "D", "k", web=(WebFile("a", address, 1, "0"),))
        assert not fetching.is_worth_it(there, own, PYTHON), address
