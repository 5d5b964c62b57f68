"""The documents about compute targets. See `core.wire`, whose units hold here too."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from jupyter_mltrain.core.wire import Substitution


class Capabilities(TypedDict):
    gpu: bool
    multi_node: bool
    shared_files: bool
    containers: bool


class Capacity(TypedDict):
    """What a target, or the machine it is on, has in all: at most `slots` runs at once; GPU names by index."""

    slots: int
    cpus: int
    memory_gb: float
    gpus: list[str]


class Health(TypedDict):
    ok: bool
    problem: str
    mend: str
    steps: list[str]
    """What was tried and is right, in order."""


class Leftover(TypedDict):
    """Something that an engine keeps for us and that no live run needs (`core.compute.Leftover`)."""

    kind: str
    name: str
    bytes: int | None
    why: str
    host: str
    """Where it is, of a target that has several hosts; else empty."""


class PrunedTarget(TypedDict):
    leftovers: list[Leftover]
    removed: bool


class TargetDefinition(TypedDict):
    """A target as it was asked for (`core.target.TargetDefinition`)."""

    format: int
    name: str
    kind: str
    """`AmlCompute`, `local`, or the engine that is attached."""
    size: str
    priority: str
    min_nodes: int
    max_nodes: int
    idle_seconds: float
    description: str
    tags: dict[str, str]
    settings: dict[str, Any]
    capacity: Capacity | None
    hosts: dict[str, Capacity]
    """What each host of a target has that has several, by its name."""
    created: float
    modified: float


class NodeSize(TypedDict):
    """What a node has (`core.target.Size`)."""

    name: str
    cpus: int
    memory_gb: float
    gpus: int
    gpu: str


class TargetNode(TypedDict):
    number: int
    state: Literal["preparing", "idle", "running", "leaving", "unusable"]
    since: float
    """When it came into that state."""
    run: str | None
    """The id of the run that it has."""
    problem: str
    host: str
    """Which of the target's hosts it is on; empty where that has one."""


class TargetHost(TypedDict):
    """One of several hosts of a target."""

    name: str
    capacity: Capacity
    runs: int
    """How many it has now."""
    health: Health


class Target(TypedDict):
    """A target, and how it stands."""

    name: str
    kind: str
    engine: str
    definition: TargetDefinition | None
    """None for `local`."""
    node: NodeSize | None
    """What each of its nodes has here; None where a run has what it asks for."""
    substitutions: list[Substitution]
    nodes: list[TargetNode]
    target_nodes: int
    """How many are wanted now."""
    max_nodes: int
    queued: int
    steady: bool
    """Whether no node is coming or going."""
    changed: float
    """When a node last came or went."""
    capabilities: Capabilities
    capacity: Capacity
    """Of the machine, which targets share; of several hosts, together."""
    health: Health
    hosts: list[TargetHost]
    """Of a target that has several; else empty."""


class TargetList(TypedDict):
    targets: list[Target]
    problems: list[str]
    """Definitions that cannot be read."""


class SizeList(TypedDict):
    sizes: list[NodeSize]


class RemovedTarget(TypedDict):
    removed: str
