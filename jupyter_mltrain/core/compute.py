"""The contract between the service and an engine, and the data they exchange.

An engine runs the processes of a run somewhere and reports what it sees; it never decides a run's status. The same
suite (`jupyter_mltrain.testing.compute_contract`) runs against every engine, and against a fake one that shares no file
system with the service.

What an engine keeps for a run, where the run is (its *run folder*; for the local engine the run's own record):

    inject/                 copy of the run client, first on PYTHONPATH; holds the shim
    work/                   the working directory: the snapshot's files, with outputs/ and logs/ made for the script
    streams/r<rank>.log     raw output of a rank
    streams/r<rank>-<pid>.metrics     what that process logged, JSON lines (format: `runclient`'s docstring)
    shim/r<rank>.*          launch, lock, start, beat, stop, exit of a rank's shim
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from jupyter_mltrain.core.leftover import Leftover
from jupyter_mltrain.core.mounts import Mount
from jupyter_mltrain.core.orders import EnvironmentOrder, ForeseenEnvironment, PreparedEnvironment, ReadyEnvironment
from jupyter_mltrain.core.ranks import JOIN_SECONDS, RankPlan
from jupyter_mltrain.core.spec import RunSpec

if TYPE_CHECKING:
    from jupyter_mltrain.core import wire_catalog

Handle = dict[str, Any]
"""What an engine needs to find a run again after a restart: JSON."""


@dataclass(frozen=True)
class Capabilities:
    gpu: bool = False
    multi_node: bool = False
    """True where a run may have several processes (`core.spec.Distribution`)."""
    shared_files: bool = False
    """True where the run folder is the run's record itself, so that nothing needs to be copied."""
    containers: bool = False


@dataclass(frozen=True)
class Health:
    """Whether the engine can be used now; if not, what is wrong and what to do."""

    ok: bool
    problem: str = ""
    mend: str = ""
    steps: tuple[str, ...] = ()
    """What was tried and is right, in order: `reached ssh://me@host`, `engine 24.0, Linux, x86_64`."""


@dataclass(frozen=True)
class Capacity:
    """What a target has in all (not what is free): at most `slots` runs at once; memory in GB; GPU names by index."""

    slots: int
    cpus: int
    memory_gb: float
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grant:
    """What the scheduler gives a run, of all its nodes together: GPU indexes, and numbers of CPUs and GB that it may use.
    `node`: which of the target's, from 1 on; `more`: the others that it has; `host`: which of a target's that has
    several, of the first node; `hosts`: that of each node, empty where all are on `host`. GPUs are in the order of nodes,
    of which each has an equal share, by the indexes of its own host."""

    gpus: tuple[int, ...] = ()
    cpus: int | None = None
    memory_gb: float | None = None
    node: int = 0
    more: tuple[int, ...] = ()
    host: str = ""
    hosts: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Grant:
        known: dict[str, Any] = {f.name: raw[f.name] for f in dataclasses.fields(cls) if f.name in raw}
        for name in ("gpus", "more", "hosts"):
            known[name] = tuple(known.get(name, ()))
        return cls(**known)


@dataclass(frozen=True)
class LaunchInputs:
    """All that `plan` needs beside the spec. `folder` is the run's record on the service's machine."""

    folder: Path
    blobs: Path
    """Content-addressed files of snapshots: `<blobs>/<first 2 hex>/<sha-256>`; the list is `folder/snapshot.json`."""
    environment: PreparedEnvironment
    mounts: tuple[Mount, ...] = ()
    grant: Grant = Grant()
    attempt: int = 1
    """How many times the run was begun, this one included. `kept`: an earlier attempt left outputs."""
    kept: bool = False
    environments: Mapping[str, PreparedEnvironment] = field(default_factory=dict)
    """As it is on each host of the grant, where the target has several."""


@dataclass(frozen=True)
class LaunchPlan:
    """What would run, as data: no secret values, no effect. `root` is the run folder where the run will be."""

    run_id: str
    engine: str
    root: str
    ranks: tuple[RankPlan, ...]
    record: str
    blobs: str
    mounts: tuple[Mount, ...] = ()
    max_run_seconds: float | None = None
    memory_bytes: int | None = None
    cpus: int | None = None
    """How many CPUs the run may use, or None for all; which ones the engine chooses at launch, by what else runs."""
    container: Mapping[str, Any] | None = None
    """What an engine with containers is asked to make: the body of its API's request; of the first node, where there are
    several."""
    more_containers: tuple[Mapping[str, Any], ...] = ()
    """Of the other nodes, in their order."""
    host: str = ""
    """Which of the target's hosts, where it has several; the first node's where the run is on more than one."""
    hosts: tuple[str, ...] = ()
    """The host of each node, where the run is on more than one; empty where all nodes are on `host`."""
    addresses: tuple[str, ...] = ()
    """The address of each node, as all reach it; empty where they find each other by the engine's own means."""
    here: tuple[int, ...] = ()
    """The nodes that one engine is to start where others start the rest; empty: all."""
    lead: tuple[int, ...] = ()
    """The ranks whose good end is the run's; the others are ended then. Empty where there is one rank."""
    ports: int = 0
    """How many free ports the ranks' environments name (`core.ranks.port_of`)."""
    rendezvous: tuple[int, ...] | None = None
    """The number of ranks of each node, where they find each other at Horovod's server, on the first rank's node."""
    join_seconds: float = JOIN_SECONDS
    """How long the ranks that have come wait for the others."""
    mpirun: bool = False
    """Whether the environment's `mpirun` tells the ranks of each other."""

    def to_json(self) -> wire_catalog.LaunchPlan:
        mounts = [mount.to_json() for mount in self.mounts]
        return cast("wire_catalog.LaunchPlan", {**dataclasses.asdict(self), "mounts": mounts})


class Phase(str, Enum):
    """What an engine sees of a run. `VANISHED`: no process, and no exit record. `UNREACHABLE`: cannot be asked now."""

    ABSENT = "absent"
    STARTING = "starting"
    RUNNING = "running"
    EXITED = "exited"
    VANISHED = "vanished"
    UNREACHABLE = "unreachable"


FROM_OUTSIDE = "from outside"
"""Why a run ended that nobody asked its engine to end: somebody else stopped its container, or the whole engine."""


@dataclass(frozen=True)
class Exit:
    """How a rank's process ended, as its shim saw it (`shim/r<rank>.exit.json`). Exactly one of code and signal is set,
    or neither, with `error`, when the process could not be started."""

    rank: int
    code: int | None
    signal: int | None
    ended: float
    error: str = ""
    stopped: str = ""
    """Why the shim ended it: "", "requested", "time limit", "memory limit", `FROM_OUTSIDE`, one of `core.ranks`, or
    "no GPU" where TensorFlow did not see those that the run was given (its script was not begun)."""
    oom_kills: int = 0
    """How many times the kernel's OOM killer struck in its cgroup during its life."""
    peak_bytes: int = 0
    limit_bytes: int | None = None
    leftovers: tuple[str, ...] = ()
    """Processes that were still there after the main one and were ended: `pid name`."""
    note: str = ""
    """What is to be known of it also where it ended well."""
    cause: int | None = None
    """The rank that its end is about, where that is another."""

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Exit:
        """The exit that a record holds; unknown keys (of a newer shim) are left out."""
        known: dict[str, Any] = {f.name: raw[f.name] for f in dataclasses.fields(cls) if f.name in raw}
        known["leftovers"] = tuple(known.get("leftovers", ()))
        return cls(**known)


@dataclass(frozen=True)
class Observation:
    """What an engine sees of a run now. `beat_age`: seconds since the oldest heartbeat among its ranks changed."""

    phase: Phase
    exits: tuple[Exit, ...] = ()
    started: float | None = None
    beat_age: float | None = None
    detail: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Frame:
    """Bytes of one stream file (`r0.log`, `r0-4711.metrics`) from `offset` on. The offset is the sequence number."""

    stream: str
    offset: int
    data: bytes


@dataclass(frozen=True)
class StopEvidence:
    """What a stop saw end. `signals`: those sent, in order. `ended` and `remaining`: `pid name` each."""

    signals: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()
    seconds: float = 0.0
    container: str = ""
    """What became of the run's container, as the engine says it."""


class Compute(Protocol):
    """An engine. Every method may raise `EngineUnreachable` (nothing is known to have ended) or `EngineError`."""

    name: str
    capabilities: Capabilities

    async def check(self) -> Health:
        """Whether the engine is reachable; if not, why not, and the mend. Never raises."""
        ...

    async def capacity(self) -> Capacity:
        """What the target has in all."""
        ...

    def plan(self, spec: RunSpec, inputs: LaunchInputs) -> LaunchPlan:
        """What would run, as data. Pure: reads and writes nothing."""
        ...

    async def launch(self, plan: LaunchPlan, secrets: Mapping[str, str]) -> Handle:
        """Start the run and return once its shims are there. Idempotent by run id: a second call finds the first.
        An engine that raises leaves nothing of the run running."""
        ...

    async def observe(self, handle: Handle) -> Observation:
        """What is seen now. A vanished run is an observation, not an exception."""
        ...

    def stream(self, handle: Handle, offsets: Mapping[str, int]) -> AsyncIterator[Frame]:
        """All stream files of the run from `offsets` (missing: 0) on, in order within each file, as they grow; ends
        when the run has ended and all is sent. Safe to abandon and to call again with other offsets."""
        ...

    async def collect(self, handle: Handle, into: Path) -> None:
        """Bring `outputs/` and `logs/` into the run's record, in bounded memory. Called after the exit; idempotent."""
        ...

    async def stop(self, handle: Handle, grace: float) -> StopEvidence:
        """End the whole tree: TERM, after `grace` seconds KILL, processes that left the group included. Idempotent."""
        ...

    async def remove(self, handle: Handle) -> None:
        """Delete what the engine keeps for the run beside its record. Idempotent."""
        ...


class ContainerCompute(Compute, Protocol):
    """An engine with `capabilities.containers`: what a run needs is made ready where its containers are.

    Both methods of preparation end what they have under way when they are cancelled, and leave nothing that looks ready.
    """

    async def platform(self) -> str:
        """System, processor and C library of its containers, as `core.environment.this_platform` writes them."""
        ...

    async def prepare(
        self, order: EnvironmentOrder, log: Callable[[str], None], progress: Callable[[str], None]
    ) -> ReadyEnvironment:
        """The environment, made unless it is there. `log` gets the build's lines as they come, `progress` a phrase on what
        goes on now; both from any thread. Raises `BuildFailed` with what was said in `details["output"]`."""
        ...

    async def foresee(self, order: EnvironmentOrder) -> ForeseenEnvironment:
        """What `prepare` would come to now. Makes, pulls and builds nothing. Raises `EngineUnreachable`."""
        ...

    async def bring(
        self, mounts: Sequence[Mount], environment: PreparedEnvironment, progress: Callable[[str, str], None]
    ) -> None:
        """Data to where the containers of `environment` are, each content once. `progress(name, phrase)`, from any
        thread."""
        ...


@runtime_checkable
class Housekeeping(Protocol):
    """What an engine has beside `Compute` that keeps things of ours on a host of its own."""

    def belongs_to(self, workspace: str) -> None:
        """Whose engine it is, by its id: said before it is used, so that what it makes carries it."""
        ...

    async def leftovers(self, ended: Collection[str]) -> list[Leftover]:
        """What of ours is there and not needed any more; nothing that lacks our label. `ended`: ids of runs that are over,
        whose outputs are in their records."""
        ...

    async def discard(self, leftovers: Sequence[Leftover]) -> list[Leftover]:
        """Remove those that still may go; returns what is gone."""
        ...
