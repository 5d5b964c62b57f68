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
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from jupyter_mltrain.core.spec import RunSpec

if TYPE_CHECKING:
    from jupyter_mltrain.core import wire_catalog

Handle = dict[str, Any]
"""What an engine needs to find a run again after a restart: JSON."""


@dataclass(frozen=True)
class Capabilities:
    gpu: bool = False
    multi_node: bool = False
    shared_files: bool = False
    """True where the run folder is the run's record itself, so that nothing needs to be copied."""
    containers: bool = False


@dataclass(frozen=True)
class Health:
    """Whether the engine can be used now; if not, what is wrong and what to do."""

    ok: bool
    problem: str = ""
    mend: str = ""


@dataclass(frozen=True)
class Capacity:
    """What a target has in all (not what is free): at most `slots` runs at once; memory in GB; GPU names by index."""

    slots: int
    cpus: int
    memory_gb: float
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grant:
    """What the scheduler gives a run on a node: GPU indexes, and numbers of CPUs and GB that it may use. `node`: which of
    the target's, from 1 on."""

    gpus: tuple[int, ...] = ()
    cpus: int | None = None
    memory_gb: float | None = None
    node: int = 0

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Grant:
        return cls(tuple(raw["gpus"]), raw["cpus"], raw["memory_gb"], raw.get("node", 0))


@dataclass(frozen=True)
class PreparedEnvironment:
    """An environment that is ready to run: the interpreter, the key it is cached under, its variables."""

    name: str
    version: int | None
    key: str
    python: str
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Mount:
    """A dataset on the service's machine, to be readable at the run: a folder, which may hold links out of itself, or a
    single file."""

    name: str
    path: Path
    variable: str
    key: str
    """Hash of the content, so that a remote engine sends it once."""
    place: str = ""
    """Where else the run finds it: a path in its working folder, made as a link."""

    def to_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "path": str(self.path)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Mount:
        return cls(raw["name"], Path(raw["path"]), raw["variable"], raw["key"], raw.get("place", ""))


@dataclass(frozen=True)
class LaunchInputs:
    """All that `plan` needs beside the spec. `folder` is the run's record on the service's machine."""

    folder: Path
    blobs: Path
    """Content-addressed files of snapshots: `<blobs>/<first 2 hex>/<sha-256>`; the list is `folder/snapshot.json`."""
    environment: PreparedEnvironment
    mounts: tuple[Mount, ...] = ()
    grant: Grant = Grant()


@dataclass(frozen=True)
class RankPlan:
    """One process of a run: argument list and environment (on top of the engine's own), paths as the engine sees them."""

    rank: int
    argv: tuple[str, ...]
    env: Mapping[str, str]


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
    """Why the shim ended it: "", "requested", "time limit", "memory limit"."""
    oom_kills: int = 0
    """How many times the kernel's OOM killer struck in its cgroup during its life."""
    peak_bytes: int = 0
    limit_bytes: int | None = None
    leftovers: tuple[str, ...] = ()
    """Processes that were still there after the main one and were ended: `pid name`."""

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
