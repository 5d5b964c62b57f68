"""Data where the containers of a real engine are: sent once by content, whole or not at all, on this host and another."""

import asyncio
import os
import secrets
import threading
from collections import defaultdict
from pathlib import Path

import pytest

from jupyter_mltrain.computes.docker import DockerCompute, data
from jupyter_mltrain.computes.docker.connection import Connection
from jupyter_mltrain.core.compute import LaunchInputs, Mount, PreparedEnvironment
from jupyter_mltrain.core.spec import RunSpec
from jupyter_mltrain.errors import EngineError
from tests.hosts.daemon import Engine


class Sent:
    """Data of a test: sent under keys that nobody used before."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        self.said: list[tuple[str, str]] = []
        self.volumes: list[str] = []
        (folder / "sub").mkdir(parents=True)
        (folder / "big.bin").write_bytes(os.urandom(1 << 20) * 40)
        (folder / "sub" / "ünï.txt").write_text("small")
        (folder / "sub" / "ünï.txt").chmod(0o600)
        (folder.parent / "else.txt").write_text("linked")
        (folder / "link.txt").symlink_to(folder.parent / "else.txt")

    def mount(self, path: Path | None = None) -> Mount:
        key = secrets.token_hex(16)
        path = path or self.folder
        key = f"{key}-file" if path.is_file() else key
        self.volumes.append(f"mltrain-data-{key}")
        return Mount("d", path, "V", key)

    async def bring(self, connection: Connection, *mounts: Mount) -> None:
        await data.bring(connection, self.engine.image, mounts, lambda *said: self.said.append(said))

    def seen(self, mount: Mount, command: str) -> str:
        """What a stranger in a container sees."""
        volume = [part for one in data.mounts([mount]) for part in ("--volume", f"{one['Source']}:{one['Target']}:ro")]
        user = ["--user", "1234:1234", "--network", "none", "--entrypoint", "sh"]
        return self.engine.docker(
            "run", "--rm", *volume, *user, self.engine.image, "-c", command, "sh", data.path(mount)
        )

    def remove(self) -> None:
        self.engine.docker("volume", "rm", *self.volumes)


@pytest.fixture(params=["socket", "tls", "ssh"])
def sent(request: pytest.FixtureRequest, tmp_path: Path):
    """With the way to the engine."""
    if request.param == "socket":
        engine = request.getfixturevalue("docker_engine")
        settings = {"url": engine.url}
    else:
        host = request.getfixturevalue("remote_host")
        engine, settings = host.engine, host.tls if request.param == "tls" else {"url": host.ssh_url}
    made = Sent(engine, tmp_path / "data")
    yield made, Connection(**settings)
    volumes = [part for name in made.volumes for part in ("--filter", f"volume={name}")]
    assert engine.docker("ps", "--all", "--quiet", *volumes) == ""
    made.remove()


async def test_what_is_sent_is_whole_and_readable_and_sent_once(sent):
    made, connection = sent
    mounts = [made.mount(), made.mount(made.folder / "sub" / "ünï.txt")]
    await made.bring(connection, *mounts)
    assert any("MB sent" in text for _, text in made.said)
    assert made.seen(mounts[0], 'cd "$1"; cat sub/ünï.txt link.txt; wc -c < big.bin') == "smalllinked41943040"
    assert made.seen(mounts[1], 'cat "$1"') == "small"
    assert "Read-only" in made.seen(mounts[0], 'touch "$1/mine" 2>&1 || true')
    made.said.clear()
    await made.bring(connection, *mounts)
    assert made.said == []


async def test_a_sending_that_is_cancelled_leaves_nothing_and_is_begun_again(sent):
    made, connection = sent
    mount = made.mount()
    task = asyncio.create_task(made.bring(connection, mount))
    while not made.said:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert made.seen(mount, 'ls -A "$(dirname "$1")"') == ""
    await made.bring(connection, mount)
    assert made.seen(mount, 'wc -c < "$1/big.bin"') == "41943040"


async def test_two_services_that_send_the_same_do_not_spoil_it(docker_engine, tmp_path, monkeypatch):
    made = Sent(docker_engine, tmp_path / "data")
    mount = made.mount()
    # As in two processes: neither knows of the other.
    monkeypatch.setattr(data, "_sending", Strangers(threading.Lock))
    await asyncio.gather(*(made.bring(Connection(url=docker_engine.url), mount) for _ in range(3)))
    assert made.seen(mount, 'wc -c < "$1/big.bin"; ls -A "$(dirname "$1")" "$1"').split() == [
        *("41943040", f"{data.PLACE}/{mount.key}:", "files"),
        *(f"{data.path(mount)}:", "big.bin", "link.txt", "sub"),
    ]
    made.remove()


class Strangers(defaultdict):
    """A lock of their own for all who ask."""

    def __getitem__(self, key):
        return threading.Lock()


async def test_what_was_left_by_one_who_was_killed_is_not_taken(docker_engine, tmp_path):
    made = Sent(docker_engine, tmp_path / "data")
    mount, connection = made.mount(), Connection(url=docker_engine.url)
    volume = ["--volume", f"mltrain-data-{mount.key}:/d", "--entrypoint", "sh", docker_engine.image]
    docker_engine.docker(
        "run", "--rm", *volume, "-c", "mkdir -p /d/0123.part/files; echo torn > /d/0123.part/files/big.bin"
    )
    await made.bring(connection, mount)
    assert made.seen(mount, 'wc -c < "$1/big.bin"; ls "$(dirname "$1")"').split() == ["41943040", "files"]
    made.remove()


async def test_a_file_that_is_gone_is_told_and_nothing_is_taken(docker_engine, tmp_path, monkeypatch):
    made = Sent(docker_engine, tmp_path / "data")
    mount, connection = made.mount(), Connection(url=docker_engine.url)

    def shorter(path):
        yield from real(path)
        (made.folder / "big.bin").unlink()

    real = data.of_tree
    monkeypatch.setattr(data, "of_tree", shorter)
    with pytest.raises((EngineError, FileNotFoundError)):
        await made.bring(connection, mount)
    monkeypatch.undo()
    assert made.seen(mount, 'ls -A "$(dirname "$1")"') == ""
    made.remove()


@pytest.fixture
def local(docker_engine):
    return DockerCompute(url=docker_engine.url, base_image=docker_engine.image)


async def bound(compute: DockerCompute, *mounts: Mount) -> list[str]:
    """The places that a run's container gets as they are, once the data is where it is needed."""
    environment = PreparedEnvironment("e", 1, "k", "/usr/bin/python3")
    await compute.bring(mounts, environment, lambda *_: None)
    inputs = LaunchInputs(Path("/r"), Path("/b"), environment, mounts)
    asked = compute.plan(RunSpec("r", "e", "d", "box", "env", script="a.py"), inputs).container
    return [one["Source"] for one in asked["HostConfig"]["Mounts"] if one["Type"] == "bind" and one["ReadOnly"]]


async def test_what_this_machines_engine_can_read_is_bound_where_it_lies(docker_engine, local, tmp_path):
    folder = tmp_path / "data" / "in"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    mounts = [
        Mount("d", folder, "D", secrets.token_hex(16)),
        Mount("f", folder / "a.txt", "F", f"{secrets.token_hex(16)}-file"),
    ]
    assert await bound(local, *mounts) == [str(folder), str(folder / "a.txt")]
    assert [name for name in docker_engine.ours()["volumes"] if mounts[0].key in name or mounts[1].key in name] == []
    # Another folder at that place is not the one that was looked at.
    folder.rename(tmp_path / "data" / "old")
    folder.mkdir()
    assert local._sharing.bound(mounts) == {}


@pytest.mark.parametrize("why", ["unreadable", "link out", "other files"])
async def test_what_is_not_proved_is_sent(docker_engine, local, tmp_path, monkeypatch, why):
    made = Sent(docker_engine, tmp_path / "data")
    (made.folder / "sub" / "ünï.txt").chmod(0o644)
    if why == "unreadable":
        (made.folder / "link.txt").unlink()
        (made.folder / "sub" / "ünï.txt").chmod(0o600)
    if why == "other files":
        (made.folder / "link.txt").unlink()
        monkeypatch.setattr("jupyter_mltrain.computes.docker.sharing._PROOF", "echo 1 2 3")
    mount = made.mount()
    assert await bound(local, mount) == []
    assert made.seen(mount, 'cat "$1/sub/ünï.txt"') == "small"
    made.remove()


async def test_nothing_is_bound_on_another_host(remote_host, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    compute = DockerCompute(**remote_host.tls, base_image=remote_host.engine.image)
    mount = Mount("f", tmp_path / "a.txt", "F", f"{secrets.token_hex(16)}-file")
    assert await bound(compute, mount) == []
    remote_host.engine.docker("volume", "rm", f"mltrain-data-{mount.key}")
