"""Whatever comes, stays, changes and ends: a machine is never given twice, nobody is overtaken, nobody waits for ever."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jupyter_mltrain.core.compute import Capacity, Grant
from jupyter_mltrain.core.spec import Resources
from jupyter_mltrain.core.target import Size
from jupyter_mltrain.errors import ResourceUnavailable
from jupyter_mltrain.service.machine import MOST_PREEMPTIONS, PATIENCE, Machine, Room, Want
from jupyter_mltrain.service.scheduler import NodeState, Pool, Scale

WHOLE = Capacity(slots=2, cpus=4, memory_gb=12.0, gpus=("A", "B"))
SHARES = {
    "local": None,
    "small": Size("S", 1, 2.0),
    "large": Size("L", 4, 7.0),
    "gpu": Size("G", 2, 5.0, 1),
    "low": Size("P", 2, 4.0, 1),
}
NAMES = st.sampled_from(sorted(SHARES))
ASKED = st.builds(
    Resources,
    gpus=st.sampled_from([None, 0, 1, 2]),
    cpus=st.sampled_from([None, 1, 3]),
    memory_gb=st.sampled_from([None, 1.0, 4.0, 12.0]),
)


class Targets(RuleBasedStateMachine):
    """Five targets on one machine; who holds what is known here from the grants alone. The runs of `low` give way when
    they are asked to, at once."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.machine = Machine(WHOLE, self.preempt)
        self.pools = {
            name: Pool(
                name,
                self.machine,
                Scale(2, 2) if share is None else Scale(0, 3, 30),
                share,
                low_priority=name == "low",
                clock=self.clock,
            )
            for name, share in SHARES.items()
        }
        self.number = 0
        self.asked: dict[str, Resources] = {}
        self.preempted: dict[str, int] = {}
        self.giving_way: list[str] = []
        self.waiting: dict[str, list[tuple[str, asyncio.Task[Grant]]]] = {name: [] for name in SHARES}
        self.running: dict[str, dict[str, Grant]] = {name: {} for name in SHARES}
        self.most = {name: 2 if share is None else 3 for name, share in SHARES.items()}
        self.allowed = dict(self.most)

    def clock(self) -> float:
        return self.now

    def teardown(self) -> None:
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.wait(tasks))
        self.loop.close()

    def preempt(self, run_id: str, by: str) -> None:
        assert run_id in self.pools["low"].preemptible
        assert by.partition("-")[2] != "low" or self.preempted.get(by, 0) >= MOST_PREEMPTIONS or self.now >= PATIENCE
        self.giving_way.append(run_id)

    def settle(self) -> None:
        self.look()
        while self.giving_way:
            run_id = self.giving_way.pop(0)
            del self.running["low"][run_id]
            times = self.preempted[run_id] = self.preempted.get(run_id, 0) + 1
            assert times <= MOST_PREEMPTIONS, f"{run_id} was preempted {times} times"
            self.loop.call_soon(self.pools["low"].release, run_id)
            self.look()
            line = self.waiting["low"]
            before = sum(self.preempted.get(other, 0) > 0 for other, _ in line)
            line.insert(before, (run_id, self.do(self.pools["low"].acquire(run_id, self.asked[run_id], times))))
            self.look()

    def look(self) -> None:
        for _ in range(6):
            self.loop.run_until_complete(asyncio.sleep(0))
        for name, line in self.waiting.items():
            granted = [task.done() for _, task in line]
            # First come, first served: those who have a place are those who came first.
            assert granted == sorted(granted, reverse=True), f"{name}: somebody was overtaken"
            for run_id, task in line[: sum(granted)]:
                self.running[name][run_id] = task.result()
            del line[: sum(granted)]

    def do(self, work: Coroutine[Any, Any, Grant]) -> asyncio.Task[Grant]:
        return self.loop.create_task(work)

    @rule(name=NAMES, asked=ASKED)
    def submit(self, name: str, asked: Resources) -> None:
        pool = self.pools[name]
        try:
            pool.check(asked)
        except ResourceUnavailable:
            return
        self.number += 1
        run_id = f"{self.number}-{name}"
        self.asked[run_id] = asked
        self.waiting[name].append((run_id, self.do(pool.acquire(run_id, asked))))
        self.settle()

    @precondition(lambda self: any(self.running.values()))
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        name, run_id = data.draw(st.sampled_from([(n, r) for n, runs in self.running.items() for r in runs]))
        del self.running[name][run_id]
        self.loop.call_soon(self.pools[name].release, run_id)
        self.settle()

    @precondition(lambda self: any(self.waiting.values()))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        name, index = data.draw(st.sampled_from([(n, i) for n, line in self.waiting.items() for i in range(len(line))]))
        _, task = self.waiting[name].pop(index)
        task.cancel()
        self.settle()

    @rule(name=st.sampled_from(["small", "large", "gpu", "low"]), least=st.integers(0, 2), most=st.integers(1, 4))
    def rescale(self, name: str, least: int, most: int) -> None:
        self.most[name] = most
        self.allowed[name] = max(most, len(self.running[name]))
        self.loop.call_soon(
            lambda: self.pools[name].rescale(
                Scale(min(least, most), most, 30), SHARES[name], low_priority=name == "low"
            )
        )
        self.settle()

    @rule(seconds=st.sampled_from([1.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def nothing_is_given_twice(self) -> None:
        grants = [grant for runs in self.running.values() for grant in runs.values()]
        gpus = [index for grant in grants for index in grant.gpus]
        assert len(gpus) == len(set(gpus))
        assert sum(grant.memory_gb or 0 for grant in grants) <= WHOLE.memory_gb
        assert sum(grant.cpus or 0 for grant in self.running["local"].values()) <= WHOLE.cpus
        assert set(self.machine.held) == {run_id for runs in self.running.values() for run_id in runs}

    @invariant()
    def no_target_has_more_nodes_than_it_may(self) -> None:
        for name, pool in self.pools.items():
            self.allowed[name] = max(self.most[name], min(self.allowed[name], len(self.running[name])))
            assert len(self.running[name]) <= self.allowed[name]
            nodes = pool.nodes
            assert len(nodes) <= self.allowed[name]
            assert len(nodes) >= pool.scale.min_nodes
            assert {node.run_id for node in nodes if node.run_id} == set(self.running[name])
            assert len({node.number for node in nodes}) == len(nodes)
            for node in nodes:
                assert (node.state in {NodeState.RUNNING, NodeState.LEAVING}) == bool(node.run_id)

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        if not any(self.running.values()):
            assert not any(self.waiting.values()), "nothing runs, and somebody waits"
        for name, line in self.waiting.items():
            for index, (run_id, _) in enumerate(line):
                assert self.pools[name].position(run_id) == index + 1
                assert self.pools[name].note(run_id)

    @invariant()
    def nobody_waits_for_those_that_give_way(self) -> None:
        """The first of the other targets' lines would not have room, or a node, if they were gone either."""
        low = self.pools["low"].preemptible
        held = [g for runs in self.running.values() for run_id, g in runs.items() if run_id not in low]
        gpus, memory = len(WHOLE.gpus) - sum(len(g.gpus) for g in held), sum(g.memory_gb or 0 for g in held)
        firsts = [pool for name, pool in self.pools.items() if name != "low" and pool.wants() is not None]
        if len(firsts) == 1 and not self.waiting["low"]:
            want = firsts[0].wants()
            assert want is not None
            there = want.gpus <= gpus and (want.memory_gb or 0) <= WHOLE.memory_gb - memory
            assert not (there and firsts[0].has_cpus(want)), "it waits for a run that gives way"

    @precondition(lambda self: any(self.waiting.values()))
    @rule(data=st.data())
    def nobody_is_held_off_for_ever(self, data: st.DataObject) -> None:
        """However many come to other targets meanwhile, who is first in line gets a place when those that run end."""
        name = data.draw(st.sampled_from([n for n, line in self.waiting.items() if line]))
        first = self.waiting[name][0][0]
        others = [n for n in SHARES if n != name]
        for _ in range(60):
            if first in self.running[name]:
                return
            if name == "low":
                self.now += PATIENCE / 10  # who gives way waits for longer, and not for ever
            # Each that ends is followed by two that came for another target.
            for other in others[:2]:
                self.submit(other, Resources())
            if first in self.running[name]:
                return
            everywhere = [(n, r) for n, runs in self.running.items() for r in runs]
            n, run_id = min(everywhere, key=lambda one: int(one[1].partition("-")[0]))
            del self.running[n][run_id]
            self.loop.call_soon(self.pools[n].release, run_id)
            self.settle()
        pytest.fail(f"{first} waited for the end of 60 runs")


TestTargets = Targets.TestCase
TestTargets.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_room_that_is_kept_for_one_is_not_there_for_another() -> None:
    room = Room((0, 1), 10.0)
    assert room.less(Want(gpus=1, memory_gb=4)) == Room((1,), 6.0)
    assert room.less(Want(gpus=3, memory_gb=12)) == Room((), 0.0)
    assert Room((), 0.3).fits(Want(memory_gb=0.1 + 0.2)), "sums of floats are not exact"
    with contextlib.suppress(KeyError):
        Machine(WHOLE).release("nobody")


async def test_as_few_as_are_needed_give_way_and_those_that_began_last() -> None:
    asked: list[tuple[str, str]] = []
    machine = Machine(Capacity(4, 8, 16.0, ("A",)), lambda run, by: asked.append((run, by)))
    low = Pool("low", machine, Scale(0, 4), Size("P", 1, 4.0), low_priority=True)
    gpu = Pool("low-gpu", machine, Scale(0, 1), Size("Q", 1, 4.0, 1), low_priority=True)
    await gpu.acquire("with-gpu", Resources())
    for name in ("first", "second", "third"):
        await low.acquire(name, Resources())
    dedicated = Pool("dedicated", machine, Scale(0, 2), Size("G", 2, 4.0, 1))
    waiting = asyncio.create_task(dedicated.acquire("big", Resources()))
    await asyncio.sleep(0)
    assert asked == [("with-gpu", "big")], "the one that has what is short, and no other"
    await asyncio.sleep(0)
    assert not waiting.done(), "not before the place is free"
    gpu.release("with-gpu")
    assert (await waiting).gpus == (0,)
    other = asyncio.create_task(Pool("other", machine, Scale(0, 1), Size("M", 1, 7.0)).acquire("wide", Resources()))
    await asyncio.sleep(0)
    assert asked[1:] == [("third", "wide"), ("second", "wide")]
    huge = Pool("huge", machine, Scale(0, 1), Size("H", 1, 13.0))
    never = asyncio.create_task(huge.acquire("never", Resources()))
    await asyncio.sleep(0)
    assert len(asked) == 3, "nobody goes where that would not do"
    for task in (other, never):
        task.cancel()


async def test_who_gave_way_often_enough_keeps_its_place() -> None:
    asked: list[str] = []
    machine = Machine(Capacity(4, 8, 4.0), lambda run, _: asked.append(run))
    low = Pool("low", machine, Scale(0, 1), Size("P", 1, 4.0), low_priority=True)
    dedicated = Pool("dedicated", machine, Scale(0, 1), Size("G", 1, 4.0))
    await low.acquire("tired", Resources(), MOST_PREEMPTIONS)
    waiting = asyncio.create_task(dedicated.acquire("other", Resources()))
    await asyncio.sleep(0)
    assert asked == []
    low.release("tired")
    await waiting
    again = asyncio.create_task(low.acquire("fresh", Resources()))
    await asyncio.sleep(0)
    assert not again.done(), "a run of low priority sends nobody away"
    again.cancel()
