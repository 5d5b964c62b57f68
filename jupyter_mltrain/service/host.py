"""One host of a target that has several: what of it runs have, and for how many nodes of a run there is room."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from jupyter_mltrain.core.compute import Capacity, Grant, Health
from jupyter_mltrain.service.machine import Machine, Room, Want
from jupyter_mltrain.service.nodes import Node


@dataclass(eq=False)
class Host:
    """`looked`: when its `health` was found, by the pool's clock; `look`: while somebody is finding out; `since`: when
    it last changed; `runs`: the nodes that each run has of it."""

    name: str
    ledger: Machine
    health: Health | None = None
    looked: float = 0.0
    since: float = 0.0
    runs: dict[str, list[Node]] = field(default_factory=dict)
    look: asyncio.Task[None] | None = None

    @property
    def capacity(self) -> Capacity:
        return self.ledger.capacity

    @property
    def usable(self) -> bool:
        return self.health is not None and self.health.ok

    @property
    def bad(self) -> bool:
        """Whether it is known that it cannot be used."""
        return self.health is not None and not self.health.ok

    @property
    def problem(self) -> str:
        return self.health.problem if self.health is not None else ""

    @property
    def busy(self) -> int:
        """How many nodes runs have of it."""
        return sum(map(len, self.runs.values()))

    @property
    def spare(self) -> int:
        return max(0, self.capacity.slots - self.busy)

    @property
    def free_cpus(self) -> int:
        """Of a node that asked for none, those of its slot count."""
        each = max(1, self.capacity.cpus // max(1, self.capacity.slots))
        return self.capacity.cpus - sum(self.ledger.held[run].cpus or each * len(own) for run, own in self.runs.items())

    def fits(self, want: Want) -> int:
        """For how many nodes there is room now that want so much each."""
        asked = sum(self.ledger.held[run].cpus or 0 for run in self.runs)
        return _count(self.spare, self.ledger.room, self.capacity.cpus - asked, want)

    def could(self, want: Want) -> int:
        """For how many there would be, were nothing else there."""
        whole = Room(tuple(range(len(self.capacity.gpus))), self.capacity.memory_gb)
        return _count(self.capacity.slots, whole, self.capacity.cpus, want)


def spread(room: Sequence[tuple[Host, int]], want: Want, nodes: int) -> list[Host]:
    """The host of each of a run's nodes; empty where there is no room for all of them. `room`: for how many each host has.

    All are on one host where that is possible, on the one with most room: what they say to each other then passes no
    network. Else they are on as few as can be.
    """
    enough = [host for host, count in room if count >= nodes]
    if enough:
        return [max(enough, key=lambda host: amount(host, want))] * nodes
    found: list[Host] = []
    for host, count in sorted(room, key=lambda one: (one[1], *amount(one[0], want)), reverse=True):
        found += [host] * min(count, nodes - len(found))
    return found if len(found) == nodes else []


def granted(hosts: Sequence[Host], want: Want) -> Grant:
    """What a run gets whose nodes are on those hosts, each wanting so much; which numbers they have is still open."""
    gpus = [index for host in dict.fromkeys(hosts) for index in host.ledger.room.gpus[: want.gpus * hosts.count(host)]]
    names = tuple(host.name for host in hosts)
    return Grant(
        tuple(gpus),
        None if want.cpus is None else want.cpus * len(hosts),
        None if want.memory_gb is None else want.memory_gb * len(hosts),
        more=(0,) * (len(hosts) - 1),
        host=names[0],
        hosts=names if len(set(names)) > 1 else (),
    )


def parts(grant: Grant) -> dict[str, tuple[int, Grant]]:
    """How many nodes of a grant each host has, and what of it."""
    nodes = 1 + len(grant.more)
    names = grant.hosts or (grant.host,) * nodes
    each = len(grant.gpus) // nodes
    found: dict[str, tuple[int, Grant]] = {}
    for name in dict.fromkeys(names):
        own = [index for index, one in enumerate(names) if one == name]
        gpus = tuple(gpu for index in own for gpu in grant.gpus[each * index : each * (index + 1)])
        cpus = None if grant.cpus is None else grant.cpus // nodes * len(own)
        memory = None if grant.memory_gb is None else grant.memory_gb / nodes * len(own)
        found[name] = (len(own), replace(grant, gpus=gpus, cpus=cpus, memory_gb=memory, host=name))
    return found


def amount(host: Host, want: Want) -> tuple[float, ...]:
    """How much room a host has for such a run: the larger, the more."""
    room = host.ledger.room
    return (len(room.gpus) if want.gpus else 0, host.free_cpus, room.memory_gb)


def sum_of(each: Collection[Capacity], slots: int) -> Capacity:
    """What hosts have together, for so many nodes."""
    gpus = tuple(gpu for one in each for gpu in one.gpus)
    return Capacity(slots, sum(one.cpus for one in each), round(sum(one.memory_gb for one in each), 3), gpus)


def _count(slots: int, room: Room, cpus: int, want: Want) -> int:
    found, left = 0, room
    while found < slots and left.fits(want) and (want.cpus or 0) * (found + 1) <= cpus:
        left, found = left.less(want), found + 1
    return found
