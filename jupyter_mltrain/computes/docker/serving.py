"""An endpoint's server in a container: its files in volumes, its port on the loopback of the engine's host alone.

mltrain-endpoint-<id>-<revision>      volume, read-only in the server: the app with its models, and the server's code;
                                      filled once, `whole` is its last file
mltrain-endpoint-<id>-<start>         volume of one server: what it says, its keys; and the container itself
"""

from __future__ import annotations

import asyncio
import calendar
import contextlib
import functools
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path, PurePosixPath
from posixpath import dirname
from typing import Any

import docker.errors
import urllib3.exceptions
from docker.utils import parse_bytes

from jupyter_mltrain.computes.archives import Entry, archive, of_tree
from jupyter_mltrain.computes.docker import containers
from jupyter_mltrain.computes.docker import image as images
from jupyter_mltrain.computes.docker.connection import Connection, status_of
from jupyter_mltrain.computes.docker.labels import ENVIRONMENTS, KIND, labels
from jupyter_mltrain.computes.docker.plan import ENVIRONMENTS_PLACE, volume
from jupyter_mltrain.computes.docker.starting import owner_in
from jupyter_mltrain.computes.docker.tunnels import Tunnel
from jupyter_mltrain.core.serving import KEYS, REVISION, START, Ended, ServingOrder
from jupyter_mltrain.errors import EngineError

ENDPOINT = "org.jupyter-mltrain.endpoint"
"""Label: the endpoint's id."""
SERVER = "org.jupyter-mltrain.server"
"""Label: which server of the endpoint it is or belongs to (`3-1`); of a revision's volume, its number."""

_PIDS = 4096
_SHM = 1 << 26
_TMP = "rw,nosuid,nodev,exec,mode=1777,size=1g"
_LOG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}}
_END_SECONDS = 1
_LEFT_SECONDS = 20.0
_STEP = 0.1
_HEADER = 8
_GONE, _CONFLICT = 404, 409


class DockerServing:
    """See `core.serving.Serving`. `user`: whom the server is, `uid[:gid]` or a name in the image."""

    def __init__(self, connection: Connection, order: ServingOrder, start: str, user: str) -> None:
        self.name = _named(order.endpoint, start)
        self.where = connection.address.words
        self._connection = connection
        self._order = order
        self._start = start
        self._user = user
        self._revision = _named(order.endpoint, str(order.revision))
        self._tunnel = Tunnel(connection, self.name, order.port, order.argv[0] if order.argv else "")
        self._said_until = ""

    def begin(self, keys: bytes, log: Callable[[str], None]) -> None:
        self.end()
        self._connection.do(self._make_volumes)
        self._fill(keys, log)
        try:
            self._connection.do(self._run)
        except EngineError as error:
            if status_of(error) and "exec:" in error.message:
                raise EngineError(
                    f"{self._order.argv[0]} cannot be started in the image {self._order.image}.",
                    mend="Build the environment again, or name an image that has it.",
                ) from error
            raise

    def ended(self) -> Ended | None:
        state = containers.state(self._connection, self.name)
        if state is None:
            return Ended(None, gone=True)
        if state["Running"]:
            return None
        return Ended(int(state["ExitCode"]), out_of_memory=bool(state["OOMKilled"]))

    def follow(self, say: Callable[[str], None]) -> None:
        self._connection.do(lambda client: self._lines(client, say))

    def read(self, name: str) -> bytes:
        return containers.read(self._connection, self.name, f"{START}/{name}")

    def write(self, name: str, data: bytes) -> None:
        def ask(client: Any) -> None:
            owner = owner_in(client, self.name, self._user)
            client.put_archive(self.name, START, b"".join(archive([Entry(name, data=data)], owner)))

        self._connection.do(ask)

    def dial(self) -> socket.socket:
        return self._tunnel.dial()

    def drain(self) -> None:
        def ask(client: Any) -> None:
            with contextlib.suppress(docker.errors.APIError):
                client.kill(self.name, "SIGTERM")

        self._connection.do(ask)

    def memory(self) -> int:
        def ask(client: Any) -> int:
            said = client.stats(self.name, stream=False, one_shot=True).get("memory_stats") or {}
            inactive = (said.get("stats") or {}).get("inactive_file", 0)
            return max(0, int(said.get("usage", 0)) - int(inactive))

        return self._connection.do(ask)

    def end(self) -> None:
        self._tunnel.close()

        def ask(client: Any) -> None:
            _end(client, self.name)
            _remove_volume(client, self.name)

        self._connection.do(ask)

    # -- the parts -------------------------------------------------------------------------------------------------

    def _labels(self, server: str) -> dict[str, str]:
        return {**labels("endpoint"), ENDPOINT: self._order.endpoint, SERVER: server}

    def _make_volumes(self, client: Any) -> None:
        client.create_volume(self._revision, labels=self._labels(str(self._order.revision)))
        client.create_volume(self.name, labels=self._labels(self._start))

    def _fill(self, keys: bytes, log: Callable[[str], None]) -> None:
        """The files of the revision, unless they are there, and what the server needs of its own."""

        def make(client: Any) -> str:
            mounts = [volume(self._revision, REVISION, read_only=False), volume(self.name, START, read_only=False)]
            host = client.create_host_config(cap_drop=["ALL"], security_opt=["no-new-privileges"], network_mode="none")
            request = {
                "Image": self._order.image, "Entrypoint": ["true"], "Cmd": [], "Labels": self._labels(self._start),
                "HostConfig": {**host, "Mounts": mounts},
            }  # fmt: skip
            return client.create_container_from_config(request)["Id"]

        helper = self._connection.do(make)
        try:
            if not containers.has(self._connection, helper, f"{REVISION}/whole"):
                log("sends its files to the engine")
                self._connection.do(
                    lambda client: client.put_archive(helper, dirname(REVISION), archive(self._files()))
                )

            def own(client: Any) -> None:
                top = START.rpartition("/")[2]
                entries = [Entry(top), Entry(f"{top}/home"), Entry(f"{top}/{KEYS}", data=keys)]
                owner = owner_in(client, helper, self._user)
                client.put_archive(helper, dirname(START), b"".join(archive(entries, owner)))

            self._connection.do(own)
        finally:
            self._connection.do(lambda client: containers.remove(client, helper))

    def _files(self) -> Iterator[Entry]:
        """For everybody to read: whoever the server is in its container."""
        top = REVISION.rpartition("/")[2]
        yield Entry(top, mode=0o755)
        for name, place in self._order.files.items():
            path = Path(place)
            for parent in reversed(PurePosixPath(name).parents[:-1]):
                yield Entry(f"{top}/{parent}", mode=0o755)
            if path.is_file():
                yield Entry(f"{top}/{name}", path, mode=0o644)
                continue
            yield Entry(f"{top}/{name}", mode=0o755)
            for entry in of_tree(path):
                executable = entry.path is None or entry.path.stat().st_mode & 0o100
                yield Entry(f"{top}/{name}/{entry.name}", entry.path, mode=0o755 if executable else 0o644)
        yield Entry(f"{top}/whole", data=b"", mode=0o644)

    def _run(self, client: Any) -> None:
        client.create_container_from_config(self.request(), name=self.name)
        client.start(self.name)

    def request(self) -> dict[str, Any]:
        """What the engine is asked for."""
        order, port = self._order, f"{self._order.port}/tcp"
        host: dict[str, Any] = {
            "Init": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "ReadonlyRootfs": True,
            "Tmpfs": {"/tmp": _TMP},  # noqa: S108 - in the container
            "PidsLimit": _PIDS,
            "ShmSize": parse_bytes(order.shm_size) if order.shm_size else _SHM,
            "LogConfig": _LOG,
            "Mounts": [
                volume(self._revision, REVISION),
                volume(self.name, START, read_only=False),
                *([volume(ENVIRONMENTS, ENVIRONMENTS_PLACE)] if self._in_environments() else []),
            ],
        }
        if self._tunnel.published:
            host["PortBindings"] = {port: [{"HostIp": "127.0.0.1", "HostPort": ""}]}
        if order.memory_bytes is not None:
            # As much with swap as without: no swap.
            host |= {"Memory": order.memory_bytes, "MemorySwap": order.memory_bytes}
        if order.cpus is not None:
            host["NanoCpus"] = round(order.cpus * 1e9)
        return {
            "Image": order.image,
            "User": self._user,
            **({"Entrypoint": [order.argv[0]], "Cmd": list(order.argv[1:])} if order.argv else {}),
            "WorkingDir": order.cwd,
            "Env": [f"{name}={value}" for name, value in order.env.items()],
            "ExposedPorts": {port: {}},
            "Labels": self._labels(self._start),
            "HostConfig": host,
        }

    def _in_environments(self) -> bool:
        return any(each.startswith(ENVIRONMENTS_PLACE + "/") for each in self._order.uses)

    def _lines(self, client: Any, say: Callable[[str], None]) -> None:
        # Each line has its time, so that a connection that was lost is picked up where it broke.
        given = {"stdout": 1, "stderr": 1, "follow": 1, "timestamps": 1, "since": self._since()}
        rest = b""
        try:
            response = client.open("GET", f"/containers/{self.name}/logs", params=given)
        except docker.errors.APIError as error:
            if error.status_code in (_GONE, _CONFLICT):
                return
            raise
        # One that says nothing for long is asked anew: only that tells silence from a connection that was lost.
        with contextlib.closing(response), contextlib.suppress(urllib3.exceptions.ReadTimeoutError):
            while len(header := response.raw.read(_HEADER)) == _HEADER:
                *lines, rest = (rest + response.raw.read(int.from_bytes(header[4:], "big"))).split(b"\n")
                for raw in lines:
                    stamp, _, line = raw.decode("utf-8", "replace").partition(" ")
                    if stamp > self._said_until:
                        self._said_until = stamp
                        say(line)

    def _since(self) -> str:
        if not self._said_until:
            return "0"
        return str(calendar.timegm(time.strptime(self._said_until[:19], "%Y-%m-%dT%H:%M:%S")))


class ServesEndpoints:
    """The part of an engine that runs endpoints' servers (`core.serving.ServingHost`)."""

    connection: Connection
    _user: str

    @property
    def publishes(self) -> bool:
        return Tunnel.of(self.connection.address)

    async def find_image(self, name: str, log: Callable[[str], None], progress: Callable[[str], None]) -> str:
        stop = threading.Event()
        work = functools.partial(images.pulled, self.connection, name, log, progress, stop)
        try:
            return str((await asyncio.to_thread(work))["Id"])
        finally:
            stop.set()

    def reach(self) -> dict[str, Any]:
        address = self.connection.address
        files = {"tls_ca": address.ca, "tls_cert": address.cert, "tls_key": address.key}
        return {"url": address.url, "user": self._user, **{name: path for name, path in files.items() if path}}

    def serving(self, order: ServingOrder, start: str) -> DockerServing:
        return DockerServing(self.connection, order, start, self._user)

    def clear_endpoint(self, endpoint: str, keep: Collection[str] = ()) -> list[str]:
        return self.connection.do(lambda client: clear(client, endpoint, keep))


def clear(client: Any, endpoint: str, keep: Collection[str]) -> list[str]:
    """Remove what is there of an endpoint but for the servers `keep` and what they use; returns what would not go."""
    ours = {"label": [f"{KIND}=endpoint", f"{ENDPOINT}={endpoint}"]}
    revisions = {start.partition("-")[0] for start in keep}
    until = time.monotonic() + _LEFT_SECONDS
    while True:
        found: list[dict[str, Any]] = client.containers(all=True, filters=ours)
        going = [one["Id"] for one in found if one["Labels"].get(SERVER) not in keep]
        for container in going:
            _end(client, container)
        volumes: list[dict[str, Any]] = client.volumes(filters=ours)["Volumes"] or []
        names = [one["Name"] for one in volumes if one["Labels"].get(SERVER) not in {*keep, *revisions}]
        left = [name for name in names if not _remove_volume(client, name)]
        if not going and not left:
            return []
        if time.monotonic() > until:
            return [*(f"container {one[:12]}" for one in going), *(f"volume {name}" for name in left)]
        time.sleep(_STEP)


def _end(client: Any, container: str) -> None:
    with contextlib.suppress(docker.errors.APIError):  # it runs no more, or is gone
        client.stop(container, timeout=_END_SECONDS)
    containers.remove(client, container)


def _remove_volume(client: Any, name: str) -> bool:
    try:
        client.remove_volume(name)
    except docker.errors.APIError as error:
        if error.status_code == _CONFLICT:
            return False
        if error.status_code != _GONE:
            raise
    return True


def _named(endpoint: str, what: str) -> str:
    return f"mltrain-endpoint-{endpoint}-{what}"
