"""Who runs next on a target, and on which of its nodes: first come, first served.

A target is a pool of nodes. A node starts when a run waits for one, while there are fewer than `max_nodes`; it goes when
it has been idle for long enough, unless it is one of the `min_nodes` that stay. On this machine a node is a slot: an
idle one holds nothing of it, so that which nodes are gone is worked out whenever somebody looks.

A run takes a node for itself, and with it the node's share of the machine (`service.machine`). One of several nodes takes
all of them at once, or waits; where nodes are slots alone, one slot holds all of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from jupyter_mltrain.core.compute import Grant, Health
from jupyter_mltrain.core.spec import Resources
from jupyter_mltrain.core.target import Size
from jupyter_mltrain.errors import EngineError, ResourceUnavailable, TargetNotFound
from jupyter_mltrain.service.machine import MOST_PREEMPTIONS, PATIENCE, Machine, Want
from jupyter_mltrain.service.nodes import Node, NodeState, Scale, together

_RETRY_SECONDS = 10.0
"""Between two looks at a node that cannot be used."""


@dataclass(eq=False)
class _Waiting:
    """`want`: of all its nodes together; `nodes`: how many it takes at once."""

    run_id: str
    want: Want
    nodes: int
    granted: asyncio.Future[Grant]
    since: float
    preemptions: int


class Pool:
    """The nodes of one target. A run that waits is not overtaken, so that a large one is not starved by small ones.

    `share`: what a run on a node has; None where it has what it asks for and the nodes are slots alone (`local`).
    `counts`: each node of a run takes one of those slots, too, as a container does; else a run takes one. `bounded`: somebody
    said how many slots there are, so a run of more nodes is refused; else it takes all.
    `low_priority`: its runs give way to those of other pools (`machine.preempt`).
    `prepare` says whether a node can be used. `moved` is told the id of each waiting run whose place changed.
    """

    def __init__(
        self,
        target: str,
        machine: Machine,
        scale: Scale,
        share: Size | None = None,
        *,
        counts: bool = False,
        bounded: bool = False,
        low_priority: bool = False,
        prepare: Callable[[], Awaitable[Health]] | None = None,
        moved: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.target = target
        self.machine = machine
        self.scale = scale
        self.share = share
        self.low_priority = low_priority
        self._counts, self._bounded = counts, bounded
        self.turn = 0
        self.changed = clock()
        """When the number of nodes last changed."""
        self._prepare = prepare
        self._moved = moved
        self._clock = clock
        self._nodes: list[Node] = []
        self._queue: list[_Waiting] = []
        self._told: dict[str, str] = {}
        self._firm: set[str] = set()
        """Runs on its nodes that do not give way (any more)."""
        self._starting: set[asyncio.Task[None]] = set()
        self._retired = False
        machine.join(self)

    # -- what a run asks of it -------------------------------------------------------------------------------------

    def check(self, resources: Resources, nodes: int = 1) -> None:
        """Raise `ResourceUnavailable` for what this target can never give to a run of so many nodes."""
        whole, share = self.machine.capacity, self.share
        self._check_count(nodes)
        resources = together(resources, 1 if share is not None else nodes)
        have = share or Size("", whole.cpus, whole.memory_gb, len(whole.gpus))
        who = f"target {self.target!r}" if share is None else f"a node of target {self.target!r}"
        for asked, given, what in (
            (resources.gpus, have.gpus, "GPUs"),
            (resources.cpus, have.cpus, "CPUs"),
            (resources.memory_gb, have.memory_gb, "GB of memory"),
        ):
            if asked is not None and asked > given:
                amount = f"{given:.1f}" if isinstance(given, float) else str(given)
                raise ResourceUnavailable(
                    f"{asked:g} {what} asked for; {who} has {amount if given else 'none'}.",
                    mend=f"{f'Ask for at most {amount}' if given else 'Leave the option out'}, or choose another target with `-t`.",
                )

    def _check_count(self, nodes: int) -> None:
        if self._places(nodes) > self.scale.max_nodes:
            raise ResourceUnavailable(
                f"{nodes} nodes asked for; target {self.target!r} has at most {self.scale.max_nodes}.",
                mend=f"Ask for fewer, or give it more: `%mltrain compute update {self.target} --max-nodes {nodes}`.",
            )

    def _places(self, nodes: int) -> int:
        """How many places a run of so many nodes takes."""
        if self.share is None and not self._counts:
            return 1
        return nodes if self.share is not None or self._bounded else min(nodes, self.scale.max_nodes)

    def gives(self, resources: Resources) -> Resources:
        """What a run gets that asks for `resources`: what it leaves open, the node decides."""
        if self.share is None:
            return resources
        return replace(
            resources,
            gpus=self.share.gpus if resources.gpus is None else resources.gpus,
            cpus=resources.cpus or self.share.cpus,
            memory_gb=resources.memory_gb or self.share.memory_gb,
        )

    async def acquire(self, run_id: str, resources: Resources, preemptions: int = 0, nodes: int = 1) -> Grant:
        """Wait for a place, of so many nodes; one that has given up its place before waits in front of those that had none.
        Cancelling the wait leaves the queue. Raises `TargetNotFound` when the target goes, `ResourceUnavailable` where it was
        changed since the run was submitted and has fewer nodes than that now."""
        if self._nodes_of(run_id):
            return self.machine.held[run_id]
        if self._retired:
            raise TargetNotFound.of(self.target)
        self._check_count(nodes)
        asked = together(self.gives(resources), nodes)
        want = Want(asked.gpus or 0, asked.cpus, asked.memory_gb)
        granted = asyncio.get_running_loop().create_future()
        waiting = _Waiting(run_id, want, self._places(nodes), granted, self._clock(), preemptions)
        before = sum(other.preemptions > 0 for other in self._queue) if preemptions else len(self._queue)
        self._queue.insert(before, waiting)
        self._serve()
        try:
            return await waiting.granted
        except asyncio.CancelledError:
            self._forget(waiting)
            self.release(run_id)
            raise

    def restore(self, run_id: str, grant: Grant, preemptions: int = 0) -> None:
        """A run that was live before the service restarted keeps what it has."""
        for number in (grant.node, *grant.more):
            self._nodes.append(Node(self._number(number), NodeState.RUNNING, self._clock(), run_id))
        if preemptions >= MOST_PREEMPTIONS:
            self._firm.add(run_id)
        self.machine.hold(run_id, grant)

    def release(self, run_id: str) -> None:
        """Give back what a run has. Harmless when it has nothing."""
        for node in self._nodes_of(run_id):
            if node.state is NodeState.LEAVING or self._retired:
                self._drop(node)
            else:
                self._turn(node, NodeState.IDLE)
            self._firm.discard(run_id)
            self.machine.release(run_id)
        self._serve()

    def position(self, run_id: str) -> int | None:
        """1 for the run that is next, None for one that does not wait."""
        for index, waiting in enumerate(self._queue):
            if waiting.run_id == run_id:
                return index + 1
        return None

    def note(self, run_id: str) -> str:
        """What a waiting run waits for; empty for others."""
        position = self.position(run_id)
        return self._lacks(position - 1, self._free()) if position else ""

    # -- what is seen of it ----------------------------------------------------------------------------------------

    @property
    def nodes(self) -> Sequence[Node]:
        """Those that are there now, by number."""
        self._settle()
        return sorted(self._nodes, key=lambda node: node.number)

    @property
    def runs(self) -> list[str]:
        """The ids of runs that have a node or wait for one."""
        return [*self._placed, *(waiting.run_id for waiting in self._queue)]

    @property
    def queued(self) -> int:
        return len(self._queue)

    def too_large(self, max_nodes: int) -> list[str]:
        """The ids of runs that wait for more nodes at once than that."""
        return [waiting.run_id for waiting in self._queue if waiting.nodes > max_nodes]

    def rescale(self, scale: Scale, share: Size | None, *, low_priority: bool = False) -> None:
        """Other numbers of nodes, another priority. Runs keep their nodes to their end, also where there are more of them
        than now may be."""
        self.scale, self.share, self.low_priority = scale, share, low_priority
        if share is not None:
            for waiting in self._queue:
                # A share that shrank: what was asked for explicitly is not known here, and at most this is to be had.
                waiting.want = waiting.want.within(share, waiting.nodes)
        self._serve()

    def retire(self) -> None:
        """The target goes: idle nodes at once, others when their runs end. Who waits is told `TargetNotFound`."""
        self._retired = True
        self.scale = replace(self.scale, min_nodes=0)
        for task in self._starting:
            task.cancel()
        for node in [node for node in self._nodes if not node.run_id]:
            self._drop(node)
        for waiting in self._queue:
            if not waiting.granted.done():
                waiting.granted.set_exception(TargetNotFound.of(self.target))
        self._queue.clear()
        self.machine.leave(self)

    # -- what the machine asks of it -------------------------------------------------------------------------------

    def wants(self) -> Want | None:
        """What the next run needs, if there is a node for it."""
        while self._queue and self._queue[0].granted.done():
            self._queue.pop(0)  # cancelled this very moment
        ready = sum(node.state is NodeState.IDLE for node in self._nodes)
        return self._queue[0].want if self._queue and ready >= self._queue[0].nodes else None

    @property
    def next_run(self) -> str:
        """The id of the run that is next; empty where none waits."""
        return self._queue[0].run_id if self._queue else ""

    @property
    def gives_way(self) -> bool:
        """Whether its next run comes after those of other pools."""
        return self.low_priority and not (self._queue and self._is_firm(self._queue[0]))

    @property
    def preemptible(self) -> Sequence[str]:
        """The runs on its nodes that give way to those of other pools."""
        return [run_id for run_id in self._placed if run_id not in self._firm] if self.low_priority else []

    def has_cpus(self, want: Want) -> bool:
        """Where nodes are slots alone, CPUs that were asked for belong to one run."""
        if self.share is not None or want.cpus is None:
            return True
        mine = [self.machine.held[run_id] for run_id in self._placed]
        return want.cpus + sum(grant.cpus or 0 for grant in mine) <= self.machine.capacity.cpus

    def place(self, grant: Grant) -> None:
        """Give the next run its nodes and what it has of the machine."""
        waiting = self._queue.pop(0)
        if self._is_firm(waiting):
            self._firm.add(waiting.run_id)
        idle = sorted((node for node in self._nodes if node.state is NodeState.IDLE), key=lambda node: node.number)
        for node in idle[: waiting.nodes]:
            self._turn(node, NodeState.RUNNING, waiting.run_id)
        first, *more = (node.number for node in idle[: waiting.nodes])
        grant = replace(grant, node=first, more=tuple(more))
        self.machine.hold(waiting.run_id, grant)
        waiting.granted.set_result(grant)

    # -- its nodes -------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        self._settle()
        self.machine.serve()
        self.machine.tell()

    def _settle(self) -> None:
        """Let go what has been idle for too long or is too many, and start what is wanted."""
        now, scale = self._clock(), self.scale
        awaited = sum(waiting.nodes for waiting in self._queue)
        busy = sorted((node for node in self._nodes if node.run_id), key=lambda node: node.number)
        for index, node in enumerate(busy):
            state = NodeState.RUNNING if index < scale.max_nodes else NodeState.LEAVING
            if node.state is not state:
                self._turn(node, state, node.run_id)
        spare = [node for node in self._nodes if not node.run_id]
        # Those that cannot be used yet go first, then the newest.
        spare.sort(key=lambda node: (node.state is NodeState.IDLE, -node.number))
        for node in spare:
            beyond = len(self._nodes) > scale.max_nodes
            over = len(self._nodes) > max(scale.min_nodes, min(scale.max_nodes, len(busy) + awaited))
            if beyond or (over and now - node.since >= scale.idle_seconds):
                self._drop(node, node.since + scale.idle_seconds if not beyond else now)
        wanted = max(scale.min_nodes, min(scale.max_nodes, len(busy) + awaited))
        while len(self._nodes) < wanted and not self._retired:
            self._start()

    def _start(self) -> None:
        node = Node(self._number(), NodeState.IDLE if self._prepare is None else NodeState.PREPARING, self._clock())
        self._nodes.append(node)
        self.changed = node.since
        if self._prepare is not None:
            task = asyncio.create_task(self._bring_up(node, self._prepare))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    async def _bring_up(self, node: Node, prepare: Callable[[], Awaitable[Health]]) -> None:
        while node in self._nodes:
            try:
                health = await prepare()
            except EngineError as error:
                health = Health(ok=False, problem=error.message)
            if node not in self._nodes:
                return
            if health.ok:
                self._turn(node, NodeState.IDLE)
                self._serve()
                return
            self._turn(node, NodeState.UNUSABLE, problem=health.problem)
            self.machine.tell()
            await asyncio.sleep(_RETRY_SECONDS)

    def _turn(self, node: Node, state: NodeState, run_id: str = "", problem: str = "") -> None:
        node.state, node.since, node.run_id, node.problem = state, self._clock(), run_id, problem

    def _drop(self, node: Node, when: float | None = None) -> None:
        self._nodes.remove(node)
        self.changed = self._clock() if when is None else when

    def _number(self, wished: int = 0) -> int:
        taken = {node.number for node in self._nodes}
        if wished > 0 and wished not in taken:
            return wished
        return next(number for number in range(1, len(taken) + 2) if number not in taken)

    def _nodes_of(self, run_id: str) -> list[Node]:
        return [node for node in self._nodes if node.run_id == run_id]

    @property
    def _placed(self) -> list[str]:
        """The ids of runs that have nodes, each once."""
        return list(dict.fromkeys(node.run_id for node in self._nodes if node.run_id))

    # -- who waits -------------------------------------------------------------------------------------------------

    def tell(self) -> None:
        """Tell of each run that waits whose place, or what it waits for, is another than when it was last told."""
        free = self._free()
        now = {waiting.run_id: f"{i} {self._lacks(i, free)}" for i, waiting in enumerate(self._queue)}
        before, self._told = self._told, now
        for run_id, said in now.items():
            if before.get(run_id) != said:
                self._moved(run_id)

    def _free(self) -> list[Node]:
        """Nodes without a run, those that can be used first."""
        order = (NodeState.IDLE, NodeState.PREPARING, NodeState.UNUSABLE)
        return sorted((node for node in self._nodes if not node.run_id), key=lambda node: order.index(node.state))

    def _lacks(self, index: int, free: Sequence[Node]) -> str:
        """What the run at that place of the queue waits for."""
        want, nodes = self._queue[index].want, self._queue[index].nodes
        index = sum(waiting.nodes for waiting in self._queue[:index])
        if nodes > 1 and index < len(free) < index + nodes:
            return f"needs {nodes} nodes at once, and {len(free) - index} are free"
        index += nodes - 1
        if index >= len(free):
            most = self.scale.max_nodes
            return f"all {most} {'nodes' if self.share else 'slots'} are busy" if most > 1 else "busy with another run"
        node = free[index]
        if node.state is NodeState.UNUSABLE:
            return f"node {node.number} cannot be used: {node.problem}"
        if node.state is NodeState.PREPARING:
            return f"starting node {node.number} of {self.scale.max_nodes}"
        return self._short_of(want)

    def _is_firm(self, waiting: _Waiting) -> bool:
        return waiting.preemptions >= MOST_PREEMPTIONS or self._clock() - waiting.since >= PATIENCE

    def _forget(self, waiting: _Waiting) -> None:
        if waiting in self._queue:
            self._queue.remove(waiting)

    def _short_of(self, want: Want) -> str:
        room = self.machine.room
        if want.gpus > len(room.gpus):
            return (
                "this machine's GPUs are in use"
                if len(self.machine.capacity.gpus) > 1
                else "this machine's GPU is in use"
            )
        if (want.memory_gb or 0) > room.memory_gb:
            return f"needs {want.memory_gb:g} GB; {room.memory_gb:.1f} GB of this machine's memory are free"
        if not self.has_cpus(want):
            return "this machine's CPUs are in use"
        return "another target's run is next" if not self.low_priority else "runs of other targets come first"
