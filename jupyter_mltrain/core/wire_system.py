"""The documents about what a run used of its nodes. See `core.wire`."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict


class SystemGpu(TypedDict):
    """A GPU that was given to the run."""

    name: str
    """Its number on the node; of one that is named by its UUID, its place among those given."""
    model: str
    memory: int


class SystemNode(TypedDict):
    """What one rank of the run was given. There are no `gpus` while the driver has not told of them; `problem` says why it
    does not."""

    rank: int
    cpus: int
    memory_limit: int | None
    memory_total: int
    """Of the whole node."""
    gpus_given: int
    gpus: list[SystemGpu]
    problem: str


class SystemSeries(TypedDict):
    """One thing that was measured, without its points. CPU is percent of the CPUs given (100: all of them), each value the
    mean since the one before; memory is bytes, each value the most since the one before; a GPU's is of all that use the
    device."""

    name: str
    """What `GET /v1/runs/{key}/system/series` takes."""
    rank: int
    measure: Literal["cpu", "memory", "gpu", "gpu_memory"]
    gpu: str | None
    """`SystemGpu.name`."""
    unit: Literal["%", "bytes"]
    count: int
    last: float
    peak: float
    mean: float
    """Over the time that was sampled."""


class SystemUsage(TypedDict):
    """What a run used of its nodes, as far as it was sampled: nothing of one that took a moment, or has no processes of
    its own."""

    nodes: list[SystemNode]
    series: list[SystemSeries]
