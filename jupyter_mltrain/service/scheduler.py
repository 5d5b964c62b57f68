"""Who runs next on a target: first come, first served, within its slots, GPUs, CPUs and memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from jupyter_mltrain.core.compute import Capacity, Grant
from jupyter_mltrain.core.spec import Resources
from jupyter_mltrain.errors import ResourceUnavailable


@dataclass
class _Waiting:
    run_id: str
    resources: Resources
    granted: asyncio.Future[Grant]


class Pool:
    """The nodes of one target. A run that waits is not overtaken, so that a large one is not starved by small ones."""

    def __init__(self, target: str, capacity: Capacity, moved: Callable[[str], None] = lambda _: None) -> None:
        self.target = target
        self.capacity = capacity
        self._moved = moved
        self._granted: dict[str, Grant] = {}
        self._queue: list[_Waiting] = []

    def check(self, resources: Resources) -> None:
        """Raise `ResourceUnavailable` for what this target can never give."""
        have = self.capacity
        for asked, given, what in (
            (resources.gpus, len(have.gpus), "GPUs"),
            (resources.cpus, have.cpus, "CPUs"),
            (resources.memory_gb, have.memory_gb, "GB of memory"),
        ):
            if asked is not None and asked > given:
                amount = f"{given:.1f}" if isinstance(given, float) else str(given)
                mend = (
                    f"Ask for at most {amount}, or choose another target with `-t`."
                    if given
                    else "Leave the option out, or choose another target with `-t`."
                )
                raise ResourceUnavailable(
                    f"{asked:g} {what} asked for; target {self.target!r} has {amount if given else 'none'}.", mend=mend
                )

    async def acquire(self, run_id: str, resources: Resources) -> Grant:
        """Wait for a place. Cancelling the wait leaves the queue."""
        if run_id in self._granted:
            return self._granted[run_id]
        waiting = _Waiting(run_id, resources, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._serve()
        try:
            return await waiting.granted
        except asyncio.CancelledError:
            if waiting in self._queue:
                self._queue.remove(waiting)
            self.release(run_id)
            raise

    def restore(self, run_id: str, grant: Grant) -> None:
        """A run that was live before the service restarted keeps what it has."""
        self._granted[run_id] = grant

    def release(self, run_id: str) -> None:
        """Give back what a run has. Harmless when it has nothing."""
        self._granted.pop(run_id, None)
        self._serve()

    def position(self, run_id: str) -> int | None:
        """1 for the run that is next, None for one that does not wait."""
        for index, waiting in enumerate(self._queue):
            if waiting.run_id == run_id:
                return index + 1
        return None

    def _serve(self) -> None:
        served = False
        while self._queue and (grant := self._fit(self._queue[0].resources)) is not None:
            waiting = self._queue.pop(0)
            if waiting.granted.cancelled():
                continue
            self._granted[waiting.run_id] = grant
            waiting.granted.set_result(grant)
            served = True
        if served:
            for waiting in self._queue:
                self._moved(waiting.run_id)

    def _fit(self, resources: Resources) -> Grant | None:
        used = self._granted.values()
        if len(used) >= self.capacity.slots:
            return None
        taken = {index for grant in used for index in grant.gpus}
        free = [i for i in range(len(self.capacity.gpus)) if i not in taken]
        gpus = resources.gpus or 0
        cpus = sum(grant.cpus or 0 for grant in used) + (resources.cpus or 0)
        memory = sum(grant.memory_gb or 0 for grant in used) + (resources.memory_gb or 0)
        if gpus > len(free) or cpus > self.capacity.cpus or memory > self.capacity.memory_gb:
            return None
        return Grant(gpus=tuple(free[:gpus]), cpus=resources.cpus, memory_gb=resources.memory_gb)
