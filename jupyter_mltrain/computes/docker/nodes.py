"""The nodes of a run on one engine: a container each, all with the run's one folder, and how they find each other.

A handle says `containers`, their names with the ranks in each, where there are several; else `container` alone, and all
ranks are in that.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jupyter_mltrain.computes.docker.labels import container, network
from jupyter_mltrain.computes.ranks import LOOPBACK
from jupyter_mltrain.core.compute import Handle, LaunchPlan

_LEAST, _MOST = 20_000, 32_000
"""Below those that kernels give to connections that go out."""


@dataclass(frozen=True)
class Node:
    """One container. `ranks`: those in it, None for all."""

    container: str
    ranks: tuple[int, ...] | None = None


def nodes_of(handle: Handle) -> tuple[Node, ...]:
    """In their order, at least one."""
    several = handle.get("containers")
    if not several:
        return (Node(handle["container"]),)
    return tuple(Node(one["name"], tuple(one["ranks"])) for one in several)


def of_plan(plan: LaunchPlan) -> dict[str, Any]:
    """The part of a handle that names the containers, and the network where they have one."""
    here = nodes_here(plan)
    found: dict[str, Any] = {"container": container(plan.run_id, here[0])}
    if plan.more_containers:
        found["containers"] = [
            {"name": container(plan.run_id, node), "ranks": [one.rank for one in plan.ranks if one.node == node]}
            for node in here
        ]
        if not plan.addresses:
            found["network"] = network(plan.run_id)
    return found


def interpreter(plan: LaunchPlan) -> str:
    """Where it is in the containers that this engine starts."""
    here = nodes_here(plan)
    return next(one for one in plan.ranks if one.node in here).env["MLTRAIN_PYTHON"]


def nodes_here(plan: LaunchPlan) -> tuple[int, ...]:
    """The nodes that this engine starts."""
    return plan.here or tuple(range(1 + len(plan.more_containers)))


def request_of(plan: LaunchPlan, node: int) -> Any:
    """What the engine is asked to make for a node."""
    return (plan.container, *plan.more_containers)[node]


def address(node: int, nodes: int, addresses: Sequence[str]) -> str:
    """What the other nodes reach a node by. `addresses`: those of their hosts, where the containers use their networks."""
    if addresses:
        return addresses[node]
    return f"node{node}" if nodes > 1 else LOOPBACK


def connect(request: dict[str, Any], run_id: str, node: int, addresses: Sequence[str]) -> None:
    """Have the container of a node, one of several, on the network of the run, or on its host's."""
    host = request["HostConfig"]
    if addresses:
        # Horovod and NCCL listen at ports of their own choice, which no network of containers passes on.
        host["NetworkMode"] = "host"
        # A name of its own, that leads to it: two hosts may have one name, or one that is their loopback.
        request.setdefault("Hostname", f"node{node}")
        named = [f"node{number}:{one}" for number, one in enumerate(addresses) if _is_ip(one)]
        host["ExtraHosts"] = [*host.get("ExtraHosts", ()), *named]
        return
    host["NetworkMode"] = network(run_id)
    request.setdefault("Hostname", f"node{node}")
    request["NetworkingConfig"] = {"EndpointsConfig": {network(run_id): {"Aliases": [f"node{node}"]}}}


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def ports(plan: LaunchPlan) -> list[int]:
    """The run's ports, the same for all who start a part of it. In a network of its own all are free; in its host's a shim
    says which is taken."""
    chosen = random.Random(plan.run_id)  # noqa: S311 - the same for all, and no secret
    return chosen.sample(range(_LEAST, _MOST), plan.ports)
