"""The documents about the processes of a run that has several. See `core.wire`, whose units hold here too."""

from __future__ import annotations

from typing import Literal

# Not typing's: before Python 3.12 pydantic cannot read that.
from typing_extensions import TypeAliasType, TypedDict

RankStatus = TypeAliasType(
    "RankStatus", Literal["waiting", "starting", "running", "completed", "failed", "ended", "lost"]
)
"""`waiting`: the run has no place yet. `ended`: not by itself, but for the others' sake, on request, or with the run.
`lost`: nobody knows how it ended."""


class RankState(TypedDict):
    """One process of a run, as it was last seen."""

    rank: int
    role: str
    """What it is among the others: `worker 1`; `node 0, process 1`."""
    node: int
    """Which of the run's nodes it is on, from 0."""
    host: str
    """The target's host that the node is, where it has several; else the target."""
    status: RankStatus
    step: int | None
    """The last that it told, of the metric that most ranks log."""
    behind: float | None
    """Seconds behind the fastest: how much later it came to its step, or how long ago the fastest came to one that it has
    not told yet. None where its steps cannot be compared with another's."""
    gpus: list[str]
    """Those of its node, which its processes share: number, model and load as far as they are known (`0 NVIDIA L4, 83 %`)."""
    cpu: float | None
    """Percent of the CPUs given, lately."""
    memory: int | None
    """Bytes, lately."""
    examples: float | None
    """Examples per second, lately."""
    exit: str
    """How it ended, in short; empty while it lives."""


class Baseline(TypedDict):
    """The run of one process that others are compared with. `examples`: its examples per second, None where it told none."""

    run_id: str
    name: str
    examples: float | None


class Scaling(TypedDict):
    """What more processes give. Rates are examples per second of the whole run but for each rank's first interval
    (compilation, warming up)."""

    processes: int
    """Those that train: without parameter servers, and without a chief that only gives out work."""
    examples: float | None
    """Of all ranks together; None until each that trains has counted."""
    per_rank: list[float | None]
    """By rank; None of one that counted nothing."""
    baseline: Baseline | None
    """As given; else the latest completed run of one process of the same experiment, script, arguments, target and
    environment that counted its examples. None where there is none."""
    efficiency: float | None
    """`examples / (processes * baseline.examples)`: 1 is as good as it gets."""


class RunRanks(TypedDict):
    """The processes of a run. Of a run's state they are the first 32, and those that failed, were lost, or lag most."""

    ranks: list[RankState]
    failed: int | None
    """The rank that failed first, which is why the run did."""
    examples: float | None
    """Examples per second of all ranks together, lately; None until each that trains has counted."""
    scaling: Scaling | None
    """None while nothing was counted."""
