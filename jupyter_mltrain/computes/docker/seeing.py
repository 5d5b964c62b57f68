"""What is seen of a run: the states of its containers, and the records that its shims keep in the run folder.

The records are read as files, which needs no process in the container and works when it has ended. Blocking.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import re
import tarfile
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from posixpath import basename
from typing import IO, Any, TypeVar

import docker.errors

from jupyter_mltrain.computes.archives import pieces
from jupyter_mltrain.computes.docker.dialling import Client
from jupyter_mltrain.computes.docker.labels import KIND, labels, run_volume
from jupyter_mltrain.computes.docker.nodes import nodes_of
from jupyter_mltrain.computes.docker.plan import ROOT, volume
from jupyter_mltrain.computes.docker.removing import remove
from jupyter_mltrain.core.compute import FROM_OUTSIDE, Handle
from jupyter_mltrain.errors import EngineError, EngineUnreachable

T = TypeVar("T")

_RECORD = re.compile(r"r(\d+)\.(start|exit|stop|launch)\.json|r(\d+)\.beat")
_LARGEST = 1 << 20
_CHUNK = 1 << 18
_TRIES = 5
_GOING = ("removing", "dead")
_KILLED = 137
_UNKNOWN = 255
"""The exit code of a container whose end nobody saw: its engine or machine was restarted."""


@dataclass(frozen=True)
class Container:
    """One of the run's. `state` (`docker inspect`): None where it is gone. `ranks`: those in it, None for all."""

    name: str
    state: dict[str, Any] | None
    ranks: tuple[int, ...] | None = None

    @property
    def running(self) -> bool:
        return bool(self.state and self.state["Running"])

    @property
    def created(self) -> bool:
        """Made, and not started yet."""
        return self.state is not None and self.state["Status"] == "created"

    @property
    def words(self) -> str:
        """What became of it, for people."""
        if self.state is None:
            return "the container is gone"
        if self.running or self.created:
            return f"the container is {self.state['Status']}"
        killed = ", out of memory" if self.state["OOMKilled"] else ""
        return f"the container ended with {self.state['ExitCode']}{killed}"


@dataclass(frozen=True)
class Seen:
    """`containers`: in the order of nodes. `records`: by rank, then by name."""

    containers: tuple[Container, ...]
    records: dict[int, dict[str, Any]] = field(default_factory=dict)
    there: bool = True
    """Whether anything of the run is on the engine."""

    @property
    def running(self) -> bool:
        """Whether any of it runs."""
        return any(one.running for one in self.containers)

    @property
    def launched(self) -> bool:
        """Whether each rank's process was started, or could not be."""
        return bool(self.records) and all(map(self.begun, self.records))

    def begun(self, rank: int) -> bool:
        """Whether the rank's process was started, or could not be."""
        return "start" in self.records[rank] or "exit" in self.records[rank]

    @property
    def last(self) -> Container:
        """That of the last node. It is made first and started last, so it tells how far a launch has come."""
        return self.containers[-1]

    @property
    def words(self) -> str:
        """What became of the containers, for people."""
        said = [one.words for one in self.containers]
        if len(said) == 1:
            return said[0]
        return "; ".join(f"node {node}: {words}" for node, words in enumerate(said))

    def of(self, rank: int) -> Container:
        """The container in which a rank is."""
        return next(one for one in self.containers if one.ranks is None or rank in one.ranks)


def state_of(client: Client, name: str) -> dict[str, Any] | None:
    """The state of a container; None where there is none of that name."""
    try:
        return client.inspect_container(name)["State"]
    except docker.errors.NotFound:
        return None


def states(client: Client, handle: Handle) -> tuple[Container, ...]:
    """All containers of a run, as they are now."""
    return tuple(Container(one.container, state_of(client, one.container), one.ranks) for one in nodes_of(handle))


def look(client: Client, handle: Handle) -> Seen:
    """The states first: what was written before the end is then all there to be read."""
    for _ in range(_TRIES):
        found = states(client, handle)
        try:
            return Seen(found, of_folder(client, handle, found, lambda container: _records(client, container)))
        except docker.errors.NotFound:
            return Seen(found, there=any(one.state is not None for one in found))
        except tarfile.ReadError:
            continue  # an engine ends an archive where a file is written while it is packed
    raise EngineUnreachable("The engine did not send the run's records whole.", mend="It is tried again.")


def of_folder(client: Client, handle: Handle, found: Sequence[Container], use: Callable[[str], T]) -> T:
    """What `use` makes of a container that has the run folder: one of the run's own, or, where they are gone or go away
    meanwhile, one that is never started; `use` is called again then. `found`: the run's, as they were seen.

    Raises `NotFound` where the folder is gone, too.
    """
    for one in found:
        if one.state is not None and one.state["Status"] not in _GOING:
            with contextlib.suppress(Going):
                return use(one.name)
    with _helper(client, handle) as container:
        return use(container)


class Going(docker.errors.NotFound):
    """The container is being removed."""


@contextlib.contextmanager
def _helper(client: Client, handle: Handle) -> Generator[str]:
    name = run_volume(handle["run_id"])
    client.inspect_volume(name)
    request = {
        "Image": handle["image"],
        "Cmd": ["-"],
        "Labels": labels("helper", run=handle["run_id"]),
        "HostConfig": {"Mounts": [volume(name, ROOT)], "NetworkMode": "none"},
    }
    try:
        helper: str = client.create_container_from_config(request)["Id"]
    except docker.errors.ImageNotFound as error:
        raise EngineError(
            f"The container is gone, and so is the image {handle['image']!r}: what the run left cannot be read.",
            mend="Pull the image again on that engine.",
        ) from error
    try:
        if _made_by_the_engine(client, name):
            raise docker.errors.NotFound(f"The volume {name} was removed meanwhile.")
        yield helper
    finally:
        remove(client, helper)
        if _made_by_the_engine(client, name):
            with contextlib.suppress(docker.errors.APIError):
                client.remove_volume(name)


def _made_by_the_engine(client: Client, name: str) -> bool:
    """Whether a volume is none of ours, but one that the engine made because a container was to have one of that name."""
    try:
        return KIND not in (client.inspect_volume(name)["Labels"] or {})
    except docker.errors.NotFound:
        return False


@contextlib.contextmanager
def taken(client: Client, container: str, path: str) -> Generator[IO[bytes]]:
    """The archive of a path in a container, as it comes. Raises `NotFound`, and `Going` where it is the container that is
    not there any more. While it is read the engine can tell nothing
    else of the container, so it is always read to the end or given up."""
    try:
        response = client.open(
            "GET", f"/containers/{container}/archive", params={"path": path}, headers={"Accept-Encoding": "identity"}
        )
    except docker.errors.APIError as error:
        state = state_of(client, container)
        if state is None or state["Status"] in _GOING:
            # The engine says so in many ways, some of which read like trouble of its own.
            raise Going(str(error), error.response) from error
        raise
    try:
        yield pieces(response.iter_content(_CHUNK))
    finally:
        response.close()


def _records(client: Client, container: str) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    with taken(client, container, f"{ROOT}/shim") as source, tarfile.open(fileobj=source, mode="r|") as members:
        for member in members:
            named = _RECORD.fullmatch(basename(member.name))
            content = members.extractfile(member) if named and member.isreg() and member.size <= _LARGEST else None
            if named is None or content is None:
                continue
            rank, name = int(named[1] or named[3]), named[2] or "beat"
            value = _parsed(name, content.read())
            if value is not None:
                found.setdefault(rank, {})[name] = value
    return {rank: one for rank, one in sorted(found.items()) if "launch" in one}


def _parsed(name: str, data: bytes) -> Any:
    """The record; None for what is none: the run's own processes may write there."""
    try:
        if name == "beat":
            counter, used = data.split()
            return int(counter), int(used)
        value = json.load(io.BytesIO(data))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def observation(seen: Seen, *, asked: bool) -> dict[str, Any]:
    """As the shim's verb `observe` reports it. `asked`: whether this engine asked the run to end."""
    ranks = {rank: _rank(seen, rank, asked=asked) for rank in seen.records}
    phases = [one["phase"] for one in ranks.values()]
    lost = {rank: seen.of(rank) for rank, one in ranks.items() if one["phase"] == "vanished"}
    worst = next((phase for phase in ("vanished", "starting", "running") if phase in phases), None)
    started = [one["start"]["time"] for one in seen.records.values() if "start" in one]
    if not ranks:
        worst = "absent" if not seen.there else "starting" if seen.running else "vanished"
    return {
        "phase": worst or "exited",
        "exits": [one["exit"] for one in ranks.values() if one["exit"]],
        "started": min(started, default=None),
        "beats": {str(rank): one["beat"][0] for rank, one in ranks.items() if one["phase"] == "running"},
        "memory": sum(one["beat"][1] for one in ranks.values()),
        "detail": _lost(lost or {0: seen.last}, named=len(ranks) > 1) if worst == "vanished" else "",
        "evidence": {str(rank): {"container": one.words, "alive": False} for rank, one in lost.items()},
    }


def _rank(seen: Seen, rank: int, *, asked: bool) -> dict[str, Any]:
    records, container = seen.records[rank], seen.of(rank)
    exit_ = records.get("exit")
    if exit_ is not None and exit_.get("stopped") == "requested" and not asked and "stop" not in records:
        exit_ = {**exit_, "stopped": FROM_OUTSIDE}
    if exit_ is None and not container.running:
        exit_ = _out_of_memory(seen, rank)
    phase = "exited"
    if exit_ is None:
        phase = "vanished" if not container.running else "running" if "start" in records else "starting"
    return {"phase": phase, "exit": exit_, "beat": records.get("beat", (0, 0))}


def _out_of_memory(seen: Seen, rank: int) -> dict[str, Any] | None:
    """The exit of a container that the kernel ended with all that was in it, the shim too; None for any other end."""
    state = seen.of(rank).state
    if state is None or not state["OOMKilled"] or state["ExitCode"] != _KILLED:
        return None
    launch = seen.records[rank].get("launch", {})
    return {
        "rank": rank,
        "code": None,
        "signal": 9,
        "ended": _time(str(state.get("FinishedAt", ""))),
        "oom_kills": 1,
        "limit_bytes": launch.get("memory_bytes"),
        "peak_bytes": seen.records[rank].get("beat", (0, 0))[1],
    }


def _time(text: str) -> float:
    """The engine's time, nanoseconds and all."""
    try:
        return dt.datetime.fromisoformat(re.sub(r"\.(\d{6})\d*", r".\1", text)).timestamp()
    except ValueError:
        return 0.0


def _lost(lost: Mapping[int, Container], *, named: bool) -> str:
    """What is said of the ranks of which nobody knows how they ended; `named`: which they are, too."""
    ranks: dict[str, list[int]] = {}
    for rank, container in lost.items():
        restarted = container.state is not None and container.state["ExitCode"] == _UNKNOWN
        what = "the engine or its machine was restarted" if restarted else container.words
        ranks.setdefault(what, []).append(rank)
    said = [f"supervisor lost{_on(which) if named else ''}, exit code unknown: {what}" for what, which in ranks.items()]
    return "; ".join(said)


def _on(ranks: Sequence[int]) -> str:
    return f" of rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))}"
