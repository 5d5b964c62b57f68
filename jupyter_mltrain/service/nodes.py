"""The nodes of a target, and what several have together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from jupyter_mltrain.core.spec import Resources

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Scale:
    """How many nodes there are, and for how long (seconds) an idle one stays that need not be there."""

    min_nodes: int
    max_nodes: int
    idle_seconds: float = math.inf


class NodeState(StrEnum):
    """`LEAVING`: has a run, and goes when that has ended."""

    PREPARING = "preparing"
    IDLE = "idle"
    RUNNING = "running"
    LEAVING = "leaving"
    UNUSABLE = "unusable"


@dataclass
class Node:
    """`number` counts from 1; `since`: when it came into its state; `host`: where it is, of a target with several."""

    number: int
    state: NodeState
    since: float
    run_id: str = ""
    problem: str = ""
    host: str = ""


def together(resources: Resources, nodes: int) -> Resources:
    """What so many nodes have together, of which each has `resources`."""

    def times(one: Number | None) -> Number | None:
        return None if one is None else one * nodes

    each = resources
    return replace(each, gpus=times(each.gpus), cpus=times(each.cpus), memory_gb=times(each.memory_gb))


def counts(nodes: Sequence[Node]) -> Mapping[str, int]:
    """How many nodes are in each state."""
    return {state.value: sum(node.state is state for node in nodes) for state in NodeState}
