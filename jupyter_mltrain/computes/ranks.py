"""The processes of a run that has several: which there are, on which node, and how each is told of the others.

The same for every engine: an engine says where its nodes are, and chooses the ports at launch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jupyter_mltrain.core.ranks import JOIN_SECONDS, port_of
from jupyter_mltrain.core.spec import MPI, Distribution

LOOPBACK = "127.0.0.1"
EVALUATOR_LINGERS = 60.0
"""Seconds that an evaluator has to evaluate what the others left."""
_HOROVOD_LATER = 60.0


@dataclass(frozen=True)
class Rank:
    """One process (`core.ranks.RankPlan`). `serves`: it has no GPU; `usual`: variables that the user's replace."""

    rank: int
    role: str
    node: int
    env: Mapping[str, str] = field(default_factory=dict)
    serves: bool = False
    address: str = ""
    lingers: float = 0.0
    usual: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ranks:
    """All of a run, and what they need: see `core.compute.LaunchPlan`."""

    each: tuple[Rank, ...]
    lead: tuple[int, ...] = ()
    ports: int = 0
    rendezvous: tuple[int, ...] | None = None
    mpirun: bool = False


def alone() -> Ranks:
    """The one process of a run that has one."""
    return Ranks((Rank(0, "", 0),))


def ranks(distribution: Distribution | None, host: Callable[[int], str] = lambda _: LOOPBACK) -> Ranks:
    """The processes of a run. `host`: the address of a node, as the processes of the others reach it."""
    if distribution is None or distribution.processes == 1:
        return alone()
    if distribution.launcher != MPI:
        return _tensorflow(distribution, host)
    return _mpi(distribution) if distribution.mpirun else _horovod(distribution, host)


def counting(distribution: Distribution | None) -> tuple[int, ...]:
    """The ranks that go through examples of their own: with parameter servers it is their chief, where there is one, who
    counts for all."""
    return ranks(distribution).lead or (0,)


def training(distribution: Distribution | None) -> int:
    """How many processes train: parameter servers do not, nor a chief that has some."""
    if distribution is not None and distribution.chief and distribution.parameter_servers:
        return sum(one.role.startswith("worker") for one in ranks(distribution).each)
    return len(counting(distribution))


def _tensorflow(asked: Distribution, host: Callable[[int], str]) -> Ranks:
    """A chief or worker per node, parameter servers beside them; `TF_CONFIG` tells each of all. An evaluator is on the first
    node and, as TensorFlow has it, not in the cluster that it knows of."""
    kinds = [("chief" if asked.chief and node == 0 else "worker", node) for node in range(asked.nodes)]
    kinds += [("ps", number % asked.nodes) for number in range(asked.parameter_servers)]
    cluster: dict[str, list[str]] = {}
    tasks: list[tuple[str, int, int]] = []
    for rank, (kind, node) in enumerate(kinds):
        members = cluster.setdefault(kind, [])
        tasks.append((kind, len(members), node))
        members.append(f"{host(node)}:{port_of(rank)}")
    each: list[Rank] = []
    for rank, (kind, index, node) in enumerate(tasks):
        config = {"cluster": cluster, "task": {"type": kind, "index": index}, "environment": "cloud"}
        env = {"TF_CONFIG": json.dumps(config)}
        each.append(Rank(rank, f"{kind} {index}", node, env, kind == "ps", f"{host(node)}:{port_of(rank)}"))
    ports = len(each)
    if asked.evaluator:
        config = {"cluster": cluster, "task": {"type": "evaluator", "index": 0}, "environment": "cloud"}
        env = {"TF_CONFIG": json.dumps(config)}
        # A GPU that it took would be the chief's.
        each.append(Rank(ports, "evaluator 0", 0, env, serves=True, lingers=EVALUATOR_LINGERS))
    # With parameter servers a chief gives the workers their work: like the servers, they wait for more without end.
    leads = "chief" if asked.chief and asked.parameter_servers else None
    lead = [rank for rank, (kind, _) in enumerate(kinds) if (kind == leads if leads else kind != "ps")]
    return Ranks(tuple(each), tuple(lead), ports)


def _horovod(asked: Distribution, host: Callable[[int], str]) -> Ranks:
    """As many processes on each node; Horovod's own server of rendezvous (Gloo) tells each of all."""
    nodes, local = asked.nodes, asked.processes_per_node
    # Who is missing we tell ourselves, and before Horovod gives up.
    usual = {"HOROVOD_GLOO_TIMEOUT_SECONDS": str(math.ceil((asked.join_seconds or JOIN_SECONDS) + _HOROVOD_LATER))}
    each: list[Rank] = []
    for rank in range(nodes * local):
        node, local_rank = divmod(rank, local)
        env = {
            "HOROVOD_CONTROLLER": "gloo",
            "HOROVOD_CPU_OPERATIONS": "gloo",
            "HOROVOD_CROSS_RANK": str(node),
            "HOROVOD_CROSS_SIZE": str(nodes),
            "HOROVOD_GLOO_RENDEZVOUS_ADDR": host(0),
            "HOROVOD_GLOO_RENDEZVOUS_PORT": port_of(0),
            "HOROVOD_HOSTNAME": f"node{node}",
            "HOROVOD_LOCAL_RANK": str(local_rank),
            "HOROVOD_LOCAL_SIZE": str(local),
            "HOROVOD_RANK": str(rank),
            "HOROVOD_SIZE": str(nodes * local),
        }
        if host(node) == LOOPBACK:
            env["HOROVOD_GLOO_IFACE"] = "lo"
        each.append(Rank(rank, f"node {node}, process {local_rank}", node, env, usual=usual))
    return Ranks(tuple(each), tuple(range(len(each))), 1, (local,) * nodes)


def _mpi(asked: Distribution) -> Ranks:
    """Processes of one node, which mpirun tells of each other; those of Horovod speak MPI."""
    env = {"HOROVOD_CONTROLLER": "mpi", "HOROVOD_CPU_OPERATIONS": "mpi"}
    usual = {"OMPI_MCA_btl": "self,sm"}  # all are on one node: none is to listen to the network
    each = tuple(Rank(rank, f"node 0, process {rank}", 0, env, usual=usual) for rank in range(asked.processes))
    return Ranks(each, tuple(range(len(each))), mpirun=True)
