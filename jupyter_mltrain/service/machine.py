"""What the targets of one machine share: its memory and GPUs belong to one run at a time, whichever target it is on.

Targets take turns: of those whose next run has a node, the one that was served longest ago comes first. Where the
machine has no room for that run, what it needs is kept free for it, so that small runs of another target cannot hold it
off for ever; what is left may be used by others meanwhile.

Pools of low priority take what is left: a run of another pool that finds no room gets that of runs of theirs, which
wait again (`preempt`). A run that has given way `MOST_PREEMPTIONS` times, or that has waited for `PATIENCE`, has the
priority of all others from then on: so it comes to its end however many others there are.

CPUs are shares: runs of several nodes may use the same ones, as processes do.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_mltrain.core.compute import Capacity, Grant
from jupyter_mltrain.core.target import Size

if TYPE_CHECKING:
    from jupyter_mltrain.service.scheduler import Pool


@dataclass(frozen=True)
class Want:
    """What a run takes of the machine."""

    gpus: int = 0
    cpus: int | None = None
    memory_gb: float | None = None

    def within(self, share: Size, nodes: int = 1) -> Want:
        """At most what so many nodes of that size have."""
        return Want(
            min(self.gpus, share.gpus * nodes),
            min(self.cpus, share.cpus * nodes) if self.cpus is not None else None,
            min(self.memory_gb, share.memory_gb * nodes) if self.memory_gb is not None else None,
        )


@dataclass(frozen=True)
class Room:
    """What of the machine nobody has: GPU indexes, GB of memory."""

    gpus: tuple[int, ...]
    memory_gb: float

    def fits(self, want: Want) -> bool:
        # A run that names no memory takes none: it is there beside the others, as any process of this machine is.
        return want.gpus <= len(self.gpus) and (want.memory_gb or 0) <= self.memory_gb + _DUST

    def less(self, want: Want) -> Room:
        """What is left beside a run that has to wait."""
        return Room(self.gpus[want.gpus :], max(0.0, self.memory_gb - (want.memory_gb or 0)))


MOST_PREEMPTIONS = 3
PATIENCE = 3600.0
"""Seconds."""

_DUST = 1e-9
"""GB; sums of floats are not exact."""


class Machine:
    """The ledger of one machine: who has what of `capacity`.

    `preempt` is told the id of a run that is to give up its place, and of the run that it is for; its place is free once
    it is released.
    """

    def __init__(self, capacity: Capacity, preempt: Callable[[str, str], None] = lambda _run, _by: None) -> None:
        self.capacity = capacity
        self._preempt = preempt
        self._pools: list[Pool] = []
        self._held: dict[str, Grant] = {}
        self._since: dict[str, int] = {}
        self._leaving: set[str] = set()
        self._turns = itertools.count(1)

    @property
    def held(self) -> Mapping[str, Grant]:
        """What each run has."""
        return self._held

    @property
    def room(self) -> Room:
        return self._room(self._held.values())

    def join(self, pool: Pool) -> None:
        self._pools.append(pool)

    def leave(self, pool: Pool) -> None:
        self._pools.remove(pool)

    def hold(self, run_id: str, grant: Grant) -> None:
        self._held[run_id] = grant
        self._since[run_id] = next(self._turns)

    def release(self, run_id: str) -> None:
        """Harmless for a run that has nothing."""
        self._held.pop(run_id, None)
        self._since.pop(run_id, None)
        self._leaving.discard(run_id)

    def serve(self) -> None:
        """Place every run that has its turn and finds room; make room for one that does not."""
        while (pool := self._next()) is not None:
            want = pool.wants()
            assert want is not None, "a pool is next when it wants something"
            grant = Grant(self.room.gpus[: want.gpus], want.cpus, want.memory_gb)
            pool.turn = next(self._turns)
            pool.place(grant)
        self._make_room()

    def tell(self) -> None:
        """Tell who waits of what changed: a run that ends on one target may be what another waited for."""
        for pool in self._pools:
            pool.tell()

    def _next(self) -> Pool | None:
        """The pool whose next run can be placed now."""
        room = self.room
        for pool in self._by_turn():
            want = pool.wants()
            if want is None:
                continue
            if room.fits(want) and pool.has_cpus(want):
                return pool
            room = room.less(want)
        return None

    def _by_turn(self) -> list[Pool]:
        return sorted(self._pools, key=lambda pool: (pool.gives_way, pool.turn))

    def _make_room(self) -> None:
        """Ask as many runs of low priority to give way as the others need that wait, and none where that would not do."""
        before: list[Want] = []
        for pool in self._by_turn():
            want = pool.wants()
            if want is None or pool.gives_way:
                continue
            before.append(want)
            for run_id in self._those_in_the_way(before, pool):
                self._leaving.add(run_id)
                self._preempt(run_id, pool.next_run)

    def _those_in_the_way(self, wants: Sequence[Want], of: Pool) -> list[str]:
        """The runs of other pools whose places make room for all of `wants`: those that began last, for they lose least.
        Where all together are not enough, none."""
        going: list[str] = []
        others = [run for pool in self._pools if pool is not of for run in pool.preemptible if run not in self._leaving]
        others.sort(key=lambda run_id: self._since[run_id])
        while not self._fit(wants, {*self._leaving, *going}):
            if not others:
                return []
            going.append(others.pop())
        # One that has nothing of what was short stays.
        for run_id in going[:-1]:
            rest = [one for one in going if one != run_id]
            if self._fit(wants, {*self._leaving, *rest}):
                going = rest
        return going

    def _fit(self, wants: Sequence[Want], leaving: set[str]) -> bool:
        """Whether there is room for all of them once those runs are gone."""
        room = self._room([grant for run_id, grant in self._held.items() if run_id not in leaving])
        for want in wants:
            if not room.fits(want):
                return False
            room = room.less(want)
        return True

    def _room(self, held: Iterable[Grant]) -> Room:
        grants = list(held)
        taken = {index for grant in grants for index in grant.gpus}
        used = sum(grant.memory_gb or 0 for grant in grants)
        free = tuple(index for index in range(len(self.capacity.gpus)) if index not in taken)
        # What runs held before a restart may be more than a machine has that lost a GPU since.
        return Room(free, max(0.0, self.capacity.memory_gb - used))
