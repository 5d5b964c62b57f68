"""Data in containers: each content once in a volume of its own, which runs mount read-only.

<volume>/files/             the dataset, or its one file; made by a rename, so that it is whole or absent
<volume>/<token>.part/      what is being sent, or was when its sender was killed
<volume>/fetched.part/      what the host itself has fetched so far

Two who send the same do so side by side; the first to be through is taken. A copy that a run may change is no volume: it
lies in its run folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

from jupyter_mltrain.cache import POLL_SECONDS, Stopped
from jupyter_mltrain.computes.archives import Entry, archive, of_tree
from jupyter_mltrain.computes.docker import containers, fetching
from jupyter_mltrain.computes.docker.connection import Connection
from jupyter_mltrain.computes.docker.labels import data_volume, labels
from jupyter_mltrain.core.compute import Mount
from jupyter_mltrain.errors import EngineError, EngineUnreachable

PLACE = "/mltrain/data"
PRIVATE = "/mltrain/run/data"
"""In the run folder: copies that the run may change."""

Progress = Callable[[str, str], None]

_SHOW_SECONDS = 0.5
# What is whole has a mark, the last member of its archive. `files` may have come from another sender meanwhile: then a
# folder would be moved into it.
_TAKE = """
if [ ! -e files ] && [ -e "$1/whole" ]; then mv "$1/files" .; fi
if [ -e files ]; then rm -rf ./*.part; else rm -rf "$1"; fi
"""
_threads = ThreadPoolExecutor(32, thread_name_prefix="docker-data")
_sending: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)
"""By engine and volume: in one process nothing is sent twice."""


def path(mount: Mount) -> str:
    """Where a run's container has the dataset: a folder, or its one file."""
    folder = f"{PRIVATE}/{mount.name}" if mount.private else f"{PLACE}/{mount.key}/files"
    return f"{folder}/{mount.path.name}" if mount.key.endswith("-file") else folder


def mounts(wanted: Sequence[Mount], bound: Mapping[str, str] = MappingProxyType({})) -> list[dict[str, Any]]:
    """The mounts of a run's container that reads those datasets. `bound`: by key, those that it reads where they lie."""
    there = {mount.key: mount for mount in wanted if not mount.private}
    keys = sorted(there.keys() - bound.keys())
    binds = [
        {"Type": "bind", "Source": place, "Target": path(there[key]), "ReadOnly": True} for key, place in bound.items()
    ]
    return binds + [
        {"Type": "volume", "Source": data_volume(key), "Target": f"{PLACE}/{key}", "ReadOnly": True, "VolumeOptions": {"NoCopy": True}}
        for key in keys
    ]  # fmt: skip


def to_send(wanted: Sequence[Mount], mounted: Sequence[Mapping[str, Any]]) -> list[Mount]:
    """Those of a run's datasets that are not read where they lie, by the mounts of its container."""
    bound = {one["Target"] for one in mounted if one["Type"] == "bind"}
    return [mount for mount in wanted if path(mount) not in bound]


def copies(wanted: Sequence[Mount], folder: str) -> Iterator[Entry]:
    """Members of the run folder's archive: `folder`, with the copies that the run may change."""
    yield Entry(folder)
    for mount in wanted:
        if mount.private:
            yield Entry(f"{folder}/{mount.name}")
            for entry in of_tree(mount.path):
                yield Entry(f"{folder}/{mount.name}/{entry.name}", entry.path, mode=0o600 if entry.path else 0o700)


async def bring(
    connection: Connection,
    image: str,
    wanted: Sequence[Mount],
    progress: Progress = lambda *_: None,
    python: str = "",
) -> None:
    """Have the datasets in their volumes, once by content, whole or not at all: fetched by the engine's host where it can
    do that with `python` of an environment, else sent. `image`: one that is there and has a shell. A cancelled call ends
    it. Raises `EngineError`, `DiskFull`, `EngineUnreachable`."""
    shared = {mount.key: mount for mount in wanted if not mount.private}
    stop = threading.Event()
    loop = asyncio.get_running_loop()
    work = [
        loop.run_in_executor(_threads, functools.partial(_bring, connection, image, python, mount, progress, stop))
        for mount in shared.values()
    ]
    if not work:
        return
    try:
        await asyncio.wait(work, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        stop.set()  # who is cancelled, or fails, takes the others along; each tidies up before it ends
        await asyncio.wait(work)
        failed = [error for one in work if (error := one.exception()) is not None]
    if failed:
        raise next((error for error in failed if not isinstance(error, Stopped)), failed[0])


def _bring(
    connection: Connection, image: str, python: str, mount: Mount, progress: Progress, stop: threading.Event
) -> None:
    volume = data_volume(mount.key)
    with _alone(_sending[connection.address.url, volume], stop):
        token = f"{secrets.token_hex(8)}.part"
        connection.do(lambda client: client.create_volume(volume, labels=labels("data", key=mount.key)))
        helper: str = connection.do(lambda client: _helper(client, image, volume, token))
        try:
            if containers.has(connection, helper, f"{PLACE}/files"):
                return
            asked = fetching.is_worth_it(connection, mount, python)
            if asked and fetching.fetch(connection, image, python, mount, PLACE, progress, stop):
                progress(mount.name, "")
                return
            _send(connection, helper, mount, token, progress, stop)
            progress(mount.name, "")
        finally:
            connection.do(lambda client: containers.remove(client, helper))


@contextlib.contextmanager
def _alone(lock: threading.Lock, stop: threading.Event) -> Generator[None]:
    while not lock.acquire(timeout=POLL_SECONDS):
        if stop.is_set():
            raise Stopped
    try:
        if stop.is_set():
            raise Stopped
        yield
    finally:
        lock.release()


def _send(
    connection: Connection, helper: str, mount: Mount, token: str, progress: Progress, stop: threading.Event
) -> None:
    lost = False
    try:
        sending = _watched(mount, token, progress, stop)
        connection.do(lambda client: client.put_archive(helper, PLACE, sending))
    except EngineUnreachable:
        lost = True
        raise
    except EngineError:
        # Another sender who was through has taken ours away.
        if not containers.has(connection, helper, f"{PLACE}/files"):
            raise
    finally:
        # What came in part is of no use: whoever asks again begins anew.
        said = [] if lost else _taken(connection, helper)
    if not containers.has(connection, helper, f"{PLACE}/files"):
        raise EngineError(f"The data {mount.name!r} did not get into its volume. {' '.join(said[-2:])}".strip())


def _taken(connection: Connection, helper: str) -> list[str]:
    """Let the helper take what was sent, if it is whole, and tidy up."""
    said: list[str] = []
    connection.do(lambda client: client.start(helper))
    containers.follow(connection, helper, said, threading.Event(), lambda _: None, lambda: None)
    return said


def _helper(client: Any, image: str, volume: str, token: str) -> str:
    host = containers.unprivileged(client, network_mode="none", binds={volume: {"bind": PLACE, "mode": "rw"}})
    made = client.create_container(
        image,
        entrypoint=["sh", "-c", _TAKE, "sh"],
        command=[token],
        user="0:0",
        working_dir=PLACE,
        host_config=host,
        labels=labels("helper"),
    )
    return made["Id"]


def _watched(mount: Mount, token: str, progress: Progress, stop: threading.Event) -> Iterator[bytes]:
    """The dataset's archive, and how much of it is sent. Raises `Stopped`."""
    entries = list(of_tree(mount.path))
    total = sum(entry.path.stat().st_size for entry in entries if entry.path is not None)
    done, said = 0, 0.0
    for piece in archive(_readable(entries, token)):
        if stop.is_set():
            raise Stopped
        yield piece
        done += len(piece)
        if time.monotonic() - said > _SHOW_SECONDS:
            said = time.monotonic()
            progress(mount.name, f"{mount.name}: {min(done, total) / 1e6:.1f} of {total / 1e6:.1f} MB sent")


def _readable(entries: Iterable[Entry], folder: str) -> Iterator[Entry]:
    """For everybody: whoever the run is in its container."""
    yield Entry(folder, mode=0o755)
    yield Entry(f"{folder}/files", mode=0o755)
    for entry in entries:
        executable = entry.path is None or entry.path.stat().st_mode & 0o100
        yield Entry(f"{folder}/files/{entry.name}", entry.path, mode=0o755 if executable else 0o644)
    yield Entry(f"{folder}/whole", data=b"")
