"""What the targets of one machine share: its memory and GPUs belong to one run at a time, whichever target it is on.

Targets take turns: of those whose next run has a node, the one that was served longest ago comes first. Where the
machine has no room for that run, what it needs is kept free for it, so that small runs of another target cannot hold it
off for ever; what is left may be used by others meanwhile.

CPUs are shares: runs of several nodes may use the same ones, as processes do.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_mltrain.core.compute import Capacity, Grant

if TYPE_CHECKING:
    from jupyter_mltrain.service.scheduler import Pool


@dataclass(frozen=True)
class Want:
    """What a run takes of the machine."""

    gpus: int = 0
    cpus: int | None = None
    memory_gb: float | None = None


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


_DUST = 1e-9
"""GB; sums of floats are not exact."""


class Machine:
    """The ledger of one machine: who has what of `capacity`."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self._pools: list[Pool] = []
        self._held: dict[str, Grant] = {}
        self._turns = itertools.count(1)

    @property
    def held(self) -> Mapping[str, Grant]:
        """What each run has."""
        return self._held

    @property
    def room(self) -> Room:
        taken = {index for grant in self._held.values() for index in grant.gpus}
        used = sum(grant.memory_gb or 0 for grant in self._held.values())
        free = tuple(index for index in range(len(self.capacity.gpus)) if index not in taken)
        # What runs held before a restart may be more than a machine has that lost a GPU since.
        return Room(free, max(0.0, self.capacity.memory_gb - used))

    def join(self, pool: Pool) -> None:
        self._pools.append(pool)

    def leave(self, pool: Pool) -> None:
        self._pools.remove(pool)

    def hold(self, run_id: str, grant: Grant) -> None:
        self._held[run_id] = grant

    def release(self, run_id: str) -> None:
        """Harmless for a run that has nothing."""
        self._held.pop(run_id, None)

    def serve(self) -> None:
        """Place every run that has its turn and finds room."""
        while (pool := self._next()) is not None:
            want = pool.wants()
            assert want is not None, "a pool is next when it wants something"
            grant = Grant(self.room.gpus[: want.gpus], want.cpus, want.memory_gb)
            pool.turn = next(self._turns)
            pool.place(grant)

    def tell(self) -> None:
        """Tell who waits of what changed: a run that ends on one target may be what another waited for."""
        for pool in self._pools:
            pool.tell()

    def _next(self) -> Pool | None:
        """The pool whose next run can be placed now."""
        room = self.room
        for pool in sorted(self._pools, key=lambda pool: pool.turn):
            want = pool.wants()
            if want is None:
                continue
            if room.fits(want) and pool.has_cpus(want):
                return pool
            room = room.less(want)
        return None
