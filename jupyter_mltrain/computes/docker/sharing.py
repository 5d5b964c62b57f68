"""Data that an engine can take where it lies: only where it is proved that the engine sees the very same files, and that
runs can read all of them. Nothing is taken for granted of an engine, not even of one behind a local socket."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jupyter_mltrain.computes.docker import containers, data
from jupyter_mltrain.computes.docker.connection import Connection
from jupyter_mltrain.computes.docker.labels import labels
from jupyter_mltrain.core.compute import Mount
from jupyter_mltrain.errors import EngineError, EngineUnreachable

# The first line proves that it is the same folder; another one is something that a run could not read: its own user may
# not, or it is a link that leads out.
_PROOF = """
stat -c '%i %Z %Y' "$1"
find -L "$1" \\( -type l -o ! -readable -o -type d ! -executable \\) -print -quit
"""


class Sharing:
    """What was proved of an engine, for runs that are `user` there."""

    def __init__(self, connection: Connection, user: str) -> None:
        self._connection = connection
        self._user = user
        self._proved: dict[tuple[str, str], str] = {}
        """Key and path of data: how the folder was known when it was proved; empty where it has to be sent."""

    def bound(self, wanted: Sequence[Mount]) -> dict[str, str]:
        """The paths, by key, of what can be bound into containers. Asks nobody: what was not looked at is not among it."""
        there = {one.key: one for one in wanted if not one.private}
        return {
            key: str(one.path)
            for key, one in there.items()
            if (known := self._proved.get((key, str(one.path)))) and known == _known(one.path)
        }

    async def look(self, image: str, wanted: Sequence[Mount]) -> None:
        """Find out about data that was not looked at yet. `image`: one that is there. Raises `EngineUnreachable`."""
        if self._connection.address.scheme != "unix":
            return
        for one in wanted:
            known, place = _known(one.path), (one.key, str(one.path))
            if one.private or self._proved.get(place) in ("", known):
                continue
            try:
                said = await self._connection.call(lambda client, one=one: self._ask(client, image, one))
            except EngineUnreachable:
                raise
            except EngineError:
                said = []  # no such folder there, or nothing in the image to look with
            self._proved[place] = known if known and said == [known] else ""

    def _ask(self, client: Any, image: str, mount: Mount) -> list[str]:
        name, said = f"mltrain-look-{secrets.token_hex(10)}", list[str]()
        target = data.path(mount)
        client.create_container(
            image,
            name=name,
            entrypoint=["sh", "-c", _PROOF, "sh"],
            command=[target],
            user=self._user,
            host_config=containers.unprivileged(
                client, network_mode="none", mounts=data.mounts([mount], {mount.key: str(mount.path)})
            ),
            labels=labels("helper"),
        )
        try:
            client.start(name)
            containers.follow(self._connection, name, said, threading.Event(), lambda _: None, lambda: None)
        finally:
            containers.remove(client, name)
        return said


def _known(path: Path) -> str:
    """Tells a file or folder from any other; empty for one that is gone."""
    try:
        seen = path.stat()
    except OSError:
        return ""
    return f"{seen.st_ino} {int(seen.st_ctime)} {int(seen.st_mtime)}"
