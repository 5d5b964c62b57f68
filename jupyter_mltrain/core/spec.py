"""What a run is: a spec that names no engine detail, written once into `runs/<id>/spec.json` and never changed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from jupyter_mltrain.core import wire

FORMAT = 1
"""Version of `spec.json`; a reader of a newer package understands all older ones."""


@dataclass(frozen=True)
class Resources:
    """What one node of a run asks for. `None` leaves the choice to the target. Memory in GB (10⁹ bytes)."""

    gpus: int | None = None
    cpus: int | None = None
    memory_gb: float | None = None
    max_run_seconds: float | None = None


@dataclass(frozen=True)
class DataInput:
    """A dataset that a run reads. `name` is what the run calls it; `argument` the script option that takes its path
    (`--data-folder`), or empty.

    `dataset`: `NAME` or `id:ID` where that is not `name`; the script then has the path in a variable called `name` too,
    as in the SDK. `mode`: `mount` and `direct` give the data where it is, `download` a copy that the run may change.
    `path_on_compute`: where else in the working folder the run finds it.
    """

    name: str
    version: int | None = None
    argument: str = ""
    dataset: str = ""
    mode: str = "mount"
    path_on_compute: str = ""

    @property
    def reference(self) -> str:
        """`NAME:VERSION`, `NAME` or `id:ID`."""
        asked = self.dataset or self.name
        return asked if self.version is None or asked.startswith("id:") else f"{asked}:{self.version}"

    @property
    def variable(self) -> str:
        """The environment variable that holds the folder: `MLTRAIN_DATA_<NAME>`, other characters as `_`."""
        plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in self.name)
        return f"MLTRAIN_DATA_{plain.upper()}"


@dataclass(frozen=True)
class Substitution:
    """Something that was asked for by a legacy name and is given as something else; recorded and shown."""

    kind: str
    asked: str
    given: str
    reason: str


MPI, TENSORFLOW = "mpi", "tensorflow"


@dataclass(frozen=True)
class Distribution:
    """Several processes that train together.

    `launcher` `MPI`: `processes_per_node` on each of `nodes`, told of each other as Horovod expects it. `TENSORFLOW`: a worker
    on each of `nodes`, the first of which is called chief where `chief`, and `parameter_servers` beside them, told of each
    other by `TF_CONFIG`; an `evaluator` beside them knows of the others and is none of them.

    `mpirun`: with `MPI`, on one node: the environment's own `mpirun` tells them of each other, and they speak MPI.
    `join_seconds`: how long those that have come wait for the others; None for the usual time.
    """

    launcher: str
    nodes: int = 1
    processes_per_node: int = 1
    parameter_servers: int = 0
    chief: bool = False
    evaluator: bool = False
    join_seconds: float | None = None
    mpirun: bool = False

    @property
    def processes(self) -> int:
        """Processes in all."""
        return self.nodes * self.processes_per_node + self.parameter_servers + self.evaluator


@dataclass(frozen=True)
class RunSpec:
    """One run, as asked for.

    `script` is a path inside the snapshot, run by the environment's Python; `command` is an argument list run as it
    is; exactly one of them is set (none for a run that a notebook logs itself). An argument
    `DatasetConsumptionConfig:<name>` stands for the path of that dataset, as in the SDK. `secrets` holds names only.
    `snapshot` is the digest of the manifest that lies beside the spec as `snapshot.json`. `parent`: the id of the run
    that this one is a child of; `within`: of the run whose script logs this one, where it is one of those. `distribution`:
    None for a run of one process. `resume_from`: the id of the run whose outputs this one goes on from; its script finds them
    as the input `RESUME`. `retries`: how many times it is begun again where its processes are lost.
    """

    run_id: str
    experiment: str
    display_name: str
    target: str
    environment: str
    environment_version: int | None = None
    script: str | None = None
    command: tuple[str, ...] | None = None
    arguments: tuple[str, ...] = ()
    snapshot: str = ""
    source_directory: str | None = None
    data: tuple[DataInput, ...] = ()
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    resources: Resources = Resources()
    tags: Mapping[str, str] = field(default_factory=dict)
    git: Mapping[str, str] = field(default_factory=dict)
    substitutions: tuple[Substitution, ...] = ()
    rerun_of: str | None = None
    parent: str | None = None
    within: str | None = None
    distribution: Distribution | None = None
    resume_from: str | None = None
    retries: int = 0

    @property
    def nodes(self) -> int:
        """On how many nodes it is; each has `resources`."""
        return self.distribution.nodes if self.distribution is not None else 1

    def to_json(self) -> wire.RunSpec:
        return cast("wire.RunSpec", {"format": FORMAT, **dataclasses.asdict(self)})

    def dumps(self) -> str:
        return json.dumps(self.to_json(), indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> RunSpec:
        """The spec that `to_json` wrote. Unknown keys (written by a newer version) are left out."""
        known = {f.name for f in dataclasses.fields(cls)}
        values = {k: v for k, v in raw.items() if k in known}
        values["resources"] = Resources(**values.get("resources", {}))
        values["data"] = tuple(DataInput(**d) for d in values.get("data", ()))
        values["substitutions"] = tuple(Substitution(**s) for s in values.get("substitutions", ()))
        for name in ("arguments", "secrets"):
            values[name] = tuple(values.get(name, ()))
        if values.get("command") is not None:
            values["command"] = tuple(values["command"])
        if values.get("distribution") is not None:
            values["distribution"] = Distribution(**values["distribution"])
        return cls(**values)


NOTEBOOK = "notebook"
"""Target of the runs that a kernel logs itself; nothing can be submitted to it."""

WITHIN = "(in script)"
"""Target of the runs that a run's script keeps below its own; no target that somebody makes can have that name."""

DATA_PLACEHOLDER = "DatasetConsumptionConfig:"
"""Prefix of an argument that stands for a dataset's folder."""

RESUME, RESUME_ARGUMENT = "resume_from", "--resume-from"
"""What a run calls the outputs that it goes on from, and the option in front of their folder."""
