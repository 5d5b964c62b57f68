"""What a pool of nodes was asked for and how it stands, as the SDK's objects say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jupyter_mltrain.core.target import DEDICATED
from jupyter_mltrain.errors import ComputeTargetException


@dataclass(frozen=True)
class AmlComputeProvisioningConfiguration:
    """A pool to be made; see `AmlCompute.provisioning_configuration`."""

    vm_size: str
    vm_priority: str
    min_nodes: int
    max_nodes: int
    idle_seconds_before_scaledown: float
    tags: Mapping[str, str]
    description: str

    def request(self, name: str) -> dict[str, Any]:
        """The body of `POST /v1/targets`."""
        return {
            "name": name,
            "size": self.vm_size,
            "priority": self.vm_priority,
            "min_nodes": self.min_nodes,
            "max_nodes": self.max_nodes,
            "idle_seconds": self.idle_seconds_before_scaledown,
            "description": self.description,
            "tags": dict(self.tags),
        }


@dataclass(frozen=True)
class ScaleSettings:
    minimum_node_count: int
    maximum_node_count: int
    idle_seconds_before_scaledown: float

    def serialize(self) -> dict[str, Any]:
        return {
            "minNodeCount": self.minimum_node_count,
            "maxNodeCount": self.maximum_node_count,
            "nodeIdleTimeBeforeScaleDown": f"PT{self.idle_seconds_before_scaledown:.0f}S",
        }


@dataclass(frozen=True)
class AmlComputeStatus:
    """How a pool stood at a moment. Times as ISO texts in UTC."""

    current_node_count: int
    target_node_count: int
    node_state_counts: Mapping[str, int]
    allocation_state: str
    """`Steady`, or `Resizing` while nodes come or go."""
    allocation_state_transition_time: str | None
    errors: list[dict[str, str]] | None
    creation_time: str | None
    modified_time: str | None
    provisioning_state: str
    provisioning_state_transition_time: str | None
    scale_settings: ScaleSettings
    vm_priority: str
    vm_size: str

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> AmlComputeStatus:
        asked, nodes = state["definition"], state["nodes"]
        health = state["health"]
        unusable = [f"node {n['number']}: {n['problem']}" for n in nodes if n["state"] == "unusable"]
        problems = unusable or ([] if health["ok"] else [health["problem"]])
        return cls(
            current_node_count=len(nodes),
            target_node_count=state["target_nodes"],
            node_state_counts={name: sum(n["state"] == name for n in nodes) for name in _NODE_STATES},
            allocation_state="Steady" if state["steady"] else "Resizing",
            allocation_state_transition_time=iso(state["changed"]),
            errors=[{"code": "engine", "message": problem} for problem in problems] or None,
            creation_time=iso(asked["created"]),
            modified_time=iso(asked["modified"]),
            provisioning_state="Succeeded" if health["ok"] else "Failed",
            provisioning_state_transition_time=iso(asked["created"]),
            scale_settings=ScaleSettings(asked["min_nodes"], asked["max_nodes"], asked["idle_seconds"]),
            vm_priority=asked["priority"],
            vm_size=asked["size"],
        )

    def serialize(self) -> dict[str, Any]:
        """The SDK's JSON."""
        return {
            "currentNodeCount": self.current_node_count,
            "targetNodeCount": self.target_node_count,
            "nodeStateCounts": {f"{name}NodeCount": count for name, count in self.node_state_counts.items()},
            "allocationState": self.allocation_state,
            "allocationStateTransitionTime": self.allocation_state_transition_time,
            "errors": self.errors,
            "creationTime": self.creation_time,
            "modifiedTime": self.modified_time,
            "provisioningState": self.provisioning_state,
            "provisioningStateTransitionTime": self.provisioning_state_transition_time,
            "scaleSettings": self.scale_settings.serialize(),
            "vmPriority": "Dedicated" if self.vm_priority == DEDICATED else "LowPriority",
            "vmSize": self.vm_size,
        }


def nodes(target: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The nodes of a target that are there now, under the SDK's keys; `host`: on which of the target's, if it has several."""
    return [
        {
            "nodeId": f"{target['name']}-{node['number']}",
            "port": None,
            "publicIpAddress": None,
            "privateIpAddress": "127.0.0.1" if not node["host"] else None,
            "nodeState": node["state"],
            "runId": node["run"],
            **({"host": node["host"]} if node["host"] else {}),
        }
        for node in target["nodes"]
    ]


_NODE_STATES = ("preparing", "running", "idle", "unusable", "leaving", "preempted")


def whole(given: Any, what: str) -> int:
    """A whole number, also where it is a text."""
    try:
        number = int(given)
        whole = isinstance(given, str) or (number == given and not isinstance(given, bool))
    except (TypeError, ValueError, OverflowError):
        number, whole = 0, False
    if not whole:
        raise ComputeTargetException(f"{what} is {given!r}.", mend="Give a whole number.")
    return number


def iso(moment: float | None) -> str | None:
    return datetime.fromtimestamp(moment, UTC).isoformat() if moment else None
