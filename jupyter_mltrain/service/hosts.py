"""Who runs next on a target of several hosts, and on which of them: first come, first served, on the one with most room.

What a node asks for has to be free on one host. A run of several nodes gets all of them at once or waits, and who came
later waits behind it: on one host where that has room for all, else on as few as can be. A host takes runs while it was
seen to answer a moment ago; while somebody waits, those that do not are asked again and again. What waits goes to the
others meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from jupyter_mltrain.core.compute import Capacity, Grant, Health
from jupyter_mltrain.core.spec import Resources
from jupyter_mltrain.core.target import Size
from jupyter_mltrain.errors import EngineError, EngineUnreachable, ResourceUnavailable, TargetNotFound
from jupyter_mltrain.service.host import Host, granted, parts, spread, sum_of
from jupyter_mltrain.service.machine import Machine, Want
from jupyter_mltrain.service.nodes import Node, NodeState, Scale

FRESH_SECONDS = 10.0
"""For so long a host that answered counts as one that does; as often others are asked again."""
_PATIENCE = 3.0
"""Seconds for which a run waits for the answer of a host, before it goes to one that has answered."""


@dataclass(eq=False)
class _Waiting:
    """`want`: of each of its `nodes`."""

    run_id: str
    want: Want
    nodes: int
    granted: asyncio.Future[Grant]


class HostsPool:
    """What `scheduler.Pool` is to a target of one machine. `check`: whether a host can be used, by its name."""

    share = None
    low_priority = False

    def __init__(
        self,
        target: str,
        hosts: Mapping[str, Capacity],
        scale: Scale,
        *,
        check: Callable[[str], Awaitable[Health]],
        moved: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.target = target
        self.scale = scale
        self.changed = clock()
        self.machine = Machine(sum_of(hosts.values(), scale.max_nodes))
        """What all hosts have together; nobody has anything of it."""
        self._hosts = {name: Host(name, Machine(one), since=clock()) for name, one in hosts.items()}
        self._check = check
        self._moved = moved
        self._clock = clock
        self._queue: list[_Waiting] = []
        self._granted: dict[str, Grant] = {}
        self._told: dict[str, str] = {}
        self._news = asyncio.Event()
        self._attending: asyncio.Task[None] | None = None
        self._retired = False

    # -- what a run asks of it -------------------------------------------------------------------------------------

    def check(self, resources: Resources, nodes: int = 1) -> None:
        """Raise `ResourceUnavailable` for what the hosts can never give to a run of so many nodes."""
        want, have = _want(resources), self.machine.capacity
        if any(host.could(want) for host in self._hosts.values()):
            self._check_count(want, nodes)
            return
        for asked, most, what in (
            (want.gpus, max(len(host.capacity.gpus) for host in self._hosts.values()), "GPUs"),
            (want.cpus, max(host.capacity.cpus for host in self._hosts.values()), "CPUs"),
            (want.memory_gb, max(host.capacity.memory_gb for host in self._hosts.values()), "GB of memory"),
        ):
            if asked is not None and asked > most:
                amount = f"{most:.1f}" if isinstance(most, float) else str(most or "none")
                raise ResourceUnavailable(
                    f"{asked:g} {what} asked for; a host of target {self.target!r} has at most {amount}.",
                    mend="Ask for less, or choose another target with `-t`.",
                )
        raise ResourceUnavailable(
            f"No host of target {self.target!r} has all of that: together they have {have.cpus} CPUs,"
            f" {have.memory_gb:.1f} GB and {len(have.gpus)} GPUs, but a {'node' if nodes > 1 else 'run'} is on one of them.",
            mend="Ask for less, or choose another target with `-t`.",
        )

    def _check_count(self, want: Want, nodes: int) -> None:
        most = self.scale.max_nodes
        together = sum(host.could(want) for host in self._hosts.values())
        if nodes <= min(most, together):
            return
        each = f" with {_words(want)} each" if together < nodes and _words(want) != "room" else ""
        raise ResourceUnavailable(
            f"{nodes} nodes asked for; the hosts of target {self.target!r} have room for {min(most, together)}{each}.",
            mend="Ask for fewer or smaller ones, or attach it with a larger max_nodes."
            if together
            else "Ask for fewer or smaller ones.",
        )

    def gives(self, resources: Resources) -> Resources:
        return resources

    async def likely(self, resources: Resources, nodes: int = 1) -> tuple[str, ...]:
        """The host that each node would get now, were there a slot. Raises `EngineUnreachable` where too few can be used."""
        want = _want(resources)
        await self._look()
        while True:
            usable = [host for host in self._hosts.values() if host.usable]
            found = spread([(host, host.fits(want)) for host in usable], want, nodes)
            found = found or spread([(host, host.could(want)) for host in usable], want, nodes)
            if found:
                return tuple(host.name for host in found)
            slow = [host.look for host in self._hosts.values() if host.look is not None and not host.look.done()]
            if not slow:
                raise EngineUnreachable(self._problems(), mend="Are those hosts up?")
            await asyncio.wait(slow, return_when=asyncio.FIRST_COMPLETED)

    async def acquire(self, run_id: str, resources: Resources, preemptions: int = 0, nodes: int = 1) -> Grant:  # noqa: ARG002
        """Wait for a place, of so many nodes. Cancelling the wait leaves the queue. Raises `TargetNotFound` when the target
        goes."""
        if run_id in self._granted:
            return self._granted[run_id]
        if self._retired:
            raise TargetNotFound.of(self.target)
        future = asyncio.get_running_loop().create_future()
        waiting = _Waiting(run_id, _want(resources), nodes, future)
        self._queue.append(waiting)
        self._wake()
        try:
            return await future
        except asyncio.CancelledError:
            if waiting in self._queue:
                self._queue.remove(waiting)
            self.release(run_id)
            raise

    def restore(self, run_id: str, grant: Grant, preemptions: int = 0) -> None:  # noqa: ARG002
        """A run that was live before the service restarted keeps what it has; also on a host that is named no more."""
        for name in parts(grant):
            if name not in self._hosts:
                self._hosts[name] = Host(name, Machine(Capacity(0, 0, 0.0)), since=self._clock())
        self._take(run_id, grant)

    def release(self, run_id: str) -> None:
        """Give back what a run has. Harmless when it has nothing."""
        self._granted.pop(run_id, None)
        for host in self._hosts.values():
            if host.runs.pop(run_id, None) is not None:
                host.ledger.release(run_id)
                host.since = self._clock()
        self._wake()

    def lost(self, host: str, problem: str) -> None:
        """Somebody found that a host does not answer."""
        if host in self._hosts:
            self._found(self._hosts[host], Health(ok=False, problem=problem))

    def position(self, run_id: str) -> int | None:
        """1 for the run that is next, None for one that does not wait."""
        return next((index + 1 for index, one in enumerate(self._queue) if one.run_id == run_id), None)

    def note(self, run_id: str) -> str:
        """What a waiting run waits for; empty for others."""
        position = self.position(run_id)
        return self._lacks(self._queue[position - 1]) if position else ""

    # -- what is seen of it ----------------------------------------------------------------------------------------

    @property
    def hosts(self) -> Mapping[str, tuple[Capacity, int]]:
        """What each host has, and how many nodes of it runs have."""
        return {name: (host.capacity, host.busy) for name, host in self._hosts.items()}

    @property
    def nodes(self) -> Sequence[Node]:
        """Those that have a run, and where the next ones would be, as many as there may be; by number."""
        busy = self._busy
        taken = {node.number for node in busy}
        free = (number for number in range(1, self.scale.max_nodes + 1) if number not in taken)
        spare = {host.name: host.spare for host in self._hosts.values()}
        idle: list[Node] = []
        for number in free:
            host = max(self._hosts.values(), key=lambda one: (spare[one.name] > 0, not one.bad, spare[one.name]))
            if not spare[host.name] or len(busy) + len(idle) >= self.scale.max_nodes:
                break
            spare[host.name] -= 1
            state = NodeState.UNUSABLE if host.bad else NodeState.IDLE
            idle.append(Node(number, state, host.since, problem=host.problem, host=host.name))
        return sorted([*busy, *idle], key=lambda node: node.number)

    @property
    def runs(self) -> list[str]:
        """The ids of runs that have a place or wait for one."""
        return [*self._granted, *(one.run_id for one in self._queue)]

    @property
    def queued(self) -> int:
        return len(self._queue)

    def seen(self, found: Mapping[str, Health]) -> None:
        """Somebody has looked at the hosts."""
        for name, health in found.items():
            if name in self._hosts:
                self._found(self._hosts[name], health)

    def too_large(self, max_nodes: int) -> list[str]:
        """The ids of runs that wait for more nodes at once than that."""
        return [one.run_id for one in self._queue if one.nodes > max_nodes]

    def rescale(self, scale: Scale, share: Size | None, *, low_priority: bool = False) -> None:  # noqa: ARG002
        """Another number of nodes. Runs keep theirs to their end."""
        self.scale = scale
        self._wake()

    def retire(self) -> None:
        """The target goes: who waits is told `TargetNotFound`; runs keep their places to their end."""
        self._retired = True
        for waiting in self._queue:
            if not waiting.granted.done():
                waiting.granted.set_exception(TargetNotFound.of(self.target))
        self._queue.clear()
        for task in [self._attending, *(host.look for host in self._hosts.values())]:
            if task is not None:
                task.cancel()

    # -- who waits -------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        self._news.set()
        self._tell()
        if self._queue and not self._retired and (self._attending is None or self._attending.done()):
            self._attending = asyncio.create_task(self._attend())

    async def _attend(self) -> None:
        """While somebody waits: look which hosts can be used, place who can be placed."""
        while self._queue:
            self._news.clear()
            await self._look()
            self._serve()
            self._tell()
            if self._queue:
                try:
                    await asyncio.wait_for(self._news.wait(), FRESH_SECONDS)
                except TimeoutError:
                    continue

    def _serve(self) -> None:
        for waiting in list(self._queue):
            if waiting.granted.done():
                self._queue.remove(waiting)  # cancelled this very moment
                continue
            want, nodes = waiting.want, waiting.nodes
            usable = [host for host in self._hosts.values() if host.usable]
            if sum(host.could(want) for host in usable) < nodes:
                continue  # it waits for a host, not for its turn
            hosts = spread([(host, host.fits(want)) for host in usable], want, nodes)
            if not hosts or len(self._busy) + nodes > self.scale.max_nodes:
                return  # so that those behind it take nothing of what it needs
            self._queue.remove(waiting)
            waiting.granted.set_result(self._take(waiting.run_id, granted(hosts, want)))

    @property
    def _busy(self) -> list[Node]:
        """The nodes that runs have."""
        return [node for host in self._hosts.values() for nodes in host.runs.values() for node in nodes]

    def _take(self, run_id: str, grant: Grant) -> Grant:
        taken = {node.number for node in self._busy}
        wished = (grant.node, *grant.more)
        free = (number for number in itertools.count(1) if number not in taken)
        first, *more = wished if grant.node and not taken & {*wished} else itertools.islice(free, len(wished))
        self._granted[run_id] = grant = replace(grant, node=first, more=tuple(more))
        left = iter((first, *more))
        for name, (count, part) in parts(grant).items():
            host = self._hosts[name]
            new = [Node(n, NodeState.RUNNING, self._clock(), run_id, host=name) for n in itertools.islice(left, count)]
            host.runs[run_id] = new
            host.ledger.hold(run_id, part)
        self.changed = self._clock()
        return grant

    def _tell(self) -> None:
        """Tell of each run that waits whose place, or what it waits for, is another than when it was last told."""
        now = {one.run_id: f"{index} {self._lacks(one)}" for index, one in enumerate(self._queue)}
        before, self._told = self._told, now
        for run_id, said in now.items():
            if before.get(run_id) != said:
                self._moved(run_id)

    def _lacks(self, waiting: _Waiting) -> str:
        """What a run waits for."""
        want, nodes = waiting.want, waiting.nodes
        bad = [host for host in self._hosts.values() if host.bad]
        good = [host for host in self._hosts.values() if not host.bad]
        if not good:
            return f"no host can be used: {self._problems()}"
        also = f"; {self._problems()}" if bad else ""
        most, busy = self.scale.max_nodes, len(self._busy)
        slots = min(most - busy, sum(host.spare for host in good))
        fitting = sum(host.fits(want) for host in good)
        if sum(host.could(want) for host in good) < nodes:
            said = "the hosts that have" if nodes > 1 else "the host that has"
            said += " what it asks for cannot be used"
        elif slots <= 0:
            said = f"all {busy} slots are busy" if busy > 1 else "busy with another run"
        elif slots < nodes:
            said = f"needs {nodes} nodes at once, and {slots} {'is' if slots == 1 else 'are'} free"
        elif fitting >= nodes:
            said = "runs that came before it are next"
        elif nodes > 1:
            said = f"needs {nodes} nodes at once, and the hosts have room for {fitting}"
        else:
            said = f"no host has {_words(want)} free"
        return said + also

    # -- whether hosts can be used ---------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Know of each host whether it can be used, as far as they answer soon."""
        now = self._clock()
        for host in self._hosts.values():
            if (host.health is None or now - host.looked >= FRESH_SECONDS) and (host.look is None or host.look.done()):
                host.look = asyncio.create_task(self._look_at(host))
        # Nobody waits for one that did not answer before.
        asked = {host.look for host in self._hosts.values() if host.look is not None and not host.bad} - {None}
        if asked:
            await asyncio.wait(asked, timeout=_PATIENCE)
        for host in self._hosts.values():
            if host.look is not None and host.look in asked and not host.look.done():
                self._turn(host, Health(ok=False, problem=f"no answer within {_PATIENCE:g} s"))

    async def _look_at(self, host: Host) -> None:
        try:
            health = await self._check(host.name)
        except EngineError as error:
            health = Health(ok=False, problem=error.message)
        self._found(host, health)

    def _found(self, host: Host, health: Health) -> None:
        if host.look is not None and host.look is not asyncio.current_task():
            host.look.cancel()  # what it would find is older
        host.looked, host.look = self._clock(), None
        self._turn(host, health)

    def _turn(self, host: Host, health: Health) -> None:
        new = host.health is None or host.health.ok is not health.ok
        host.health = health
        if new:
            host.since = self.changed = self._clock()
            self._wake()

    def _problems(self) -> str:
        """`c: no answer`, of each host that cannot be used."""
        return ", ".join(f"{host.name}: {host.problem.rstrip('.')}" for host in self._hosts.values() if host.bad)


def _want(resources: Resources) -> Want:
    """What a node takes of its host."""
    return Want(resources.gpus or 0, resources.cpus, resources.memory_gb)


def _words(want: Want) -> str:
    """`2 GPUs and 12 GB of memory`."""
    parts = [
        f"{want.gpus} GPU{'s' if want.gpus > 1 else ''}" if want.gpus else "",
        f"{want.cpus} CPU{'s' if want.cpus > 1 else ''}" if want.cpus else "",
        f"{want.memory_gb:g} GB of memory" if want.memory_gb else "",
    ]
    return " and ".join(part for part in parts if part) or "room"
