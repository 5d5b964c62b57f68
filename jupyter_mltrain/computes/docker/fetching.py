"""Data of the web, fetched by the engine's host itself: the content is known here, so it is checked there.

It comes into the volume in which it stays (`data`), by a helper with a network. Where the host has no way to it, or finds
something else there, nothing is lost: it is sent from here. What came in part is continued by the next call.
"""

from __future__ import annotations

import ipaddress
import json
import threading
from collections.abc import Callable
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from jupyter_mltrain.computes.archives import Entry, archive
from jupyter_mltrain.computes.docker import containers
from jupyter_mltrain.computes.docker.connection import Connection, status_of
from jupyter_mltrain.computes.docker.labels import ENVIRONMENTS, ENVIRONMENTS_PLACE, data_volume, labels
from jupyter_mltrain.core.compute import Mount
from jupyter_mltrain.errors import EngineError, EngineUnreachable

PART = "fetched.part"
"""In the volume: what has come so far. (Who sends takes everything away that is called so.)"""
_SCRIPT = "mltrain-fetch"
_CONFLICT = 409

Progress = Callable[[str, str], None]


def is_worth_it(connection: Connection, mount: Mount, python: str) -> bool:
    """Whether the host is to be asked: it is another one, and what is known of the data tells all that it needs."""
    there = connection.address.scheme != "unix" and bool(python)
    return there and bool(mount.web) and not any(_is_this_machine(one.address) for one in mount.web)


def _is_this_machine(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def fetch(
    connection: Connection, image: str, python: str, mount: Mount, place: str, progress: Progress, stop: threading.Event
) -> bool:
    """Have the host fetch the data into its volume, mounted at `place`; whether it is there now. Blocking.

    Raises `Stopped`, `EngineUnreachable`.
    """
    name, said = f"mltrain-fetch-{mount.key}", list[str]()

    def tell(line: str) -> None:
        done, _, total = line.partition(" ")
        if done.isdigit() and total.isdigit():
            phrase = f"{int(done) / 1e6:.1f} of {int(total) / 1e6:.1f} MB fetched by {connection.address.words}"
            progress(mount.name, f"{mount.name}: {phrase}")

    try:
        mine = _create(connection, name, image, python, mount, place)
        if mine:
            _give(connection, name, mount)
            connection.do(lambda client: client.start(name))
        try:
            containers.follow(connection, name, said, stop, tell, lambda: None)
            whole = containers.has(connection, name, f"{place}/files")
        finally:
            # One that another service waits for, too, has ended by now, or is to end with this run.
            if mine or not stop.is_set():
                connection.do(lambda client: containers.remove(client, name))
    except EngineUnreachable:
        raise
    except EngineError as error:  # no such program in the image, no network there
        whole, said = False, [error.message]
    if not whole:
        why = said[-1][:200] if said else "it ended"
        progress(mount.name, f"{mount.name}: its host cannot fetch it ({why}); sending it")
    return whole


def _create(connection: Connection, name: str, image: str, python: str, mount: Mount, place: str) -> bool:
    """Whether the helper is ours to start; False where another service's is at work."""
    binds = {data_volume(mount.key): {"bind": place, "mode": "rw"}}
    if python.startswith(ENVIRONMENTS_PLACE + "/"):
        binds[ENVIRONMENTS] = {"bind": ENVIRONMENTS_PLACE, "mode": "ro"}
    command = [f"/{_SCRIPT}/fetch.py", f"/{_SCRIPT}/list.json", f"{place}/{PART}", f"{place}/files"]

    def ask(client: Any) -> None:
        client.create_container(
            image,
            name=name,
            entrypoint=[python, "-I"],
            command=command,
            user="0:0",
            working_dir="/",
            host_config=containers.unprivileged(client, binds=binds),
            labels=labels("helper", key=mount.key),
        )

    try:
        connection.do(ask)
    except EngineError as error:
        if status_of(error) == _CONFLICT:
            return False
        raise
    return True


def _give(connection: Connection, name: str, mount: Mount) -> None:
    script = (files("jupyter_mltrain.computes.docker") / "inside" / "fetch.py").read_text("utf-8")
    listed = json.dumps([[one.path, one.address, one.size, one.sha256] for one in mount.web])
    entries = [
        Entry(_SCRIPT, mode=0o755),
        Entry(f"{_SCRIPT}/fetch.py", data=script.encode(), mode=0o644),
        Entry(f"{_SCRIPT}/list.json", data=listed.encode(), mode=0o644),
    ]
    connection.do(lambda client: client.put_archive(name, "/", b"".join(archive(entries))))
