from __future__ import annotations

import asyncio

import pytest

from jupyter_mltrain.core.compute import Capacity, Grant, Health
from jupyter_mltrain.core.spec import Resources
from jupyter_mltrain.core.target import Size
from jupyter_mltrain.errors import ResourceUnavailable, TargetNotFound
from jupyter_mltrain.service.machine import Machine
from jupyter_mltrain.service.nodes import NodeState, Scale, counts
from jupyter_mltrain.service.scheduler import Pool
from tests.unit.service.pools import NODE, SMALL, Clock, elastic, local, settle, submit

# -- slots of a machine ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        (Resources(gpus=3), "3 GPUs asked for; target 'local' has 2"),
        (Resources(cpus=5), "5 CPUs asked for; target 'local' has 4"),
        (Resources(memory_gb=17.5), "17.5 GB of memory asked for; target 'local' has 16.0"),
    ],
)
def test_what_can_never_be_given_is_refused(resources, said):
    with pytest.raises(ResourceUnavailable) as caught:
        local(NODE).check(resources)
    assert caught.value.message.startswith(said)


def test_a_gpu_where_there_is_none_is_refused_naming_it():
    with pytest.raises(ResourceUnavailable, match="1 GPUs asked for; target 'local' has none"):
        local(Capacity(1, 2, 8.0)).check(Resources(gpus=1))


async def test_first_come_first_served_within_the_slots():
    moved = []
    pool = local(NODE, moved.append)
    tasks = [submit(pool, f"r{i}") for i in range(5)]
    await settle()
    assert [t.done() for t in tasks] == [True, True, True, False, False]
    assert (pool.position("r3"), pool.position("r4"), pool.position("r0")) == (1, 2, None)
    assert pool.note("r3") == "all 3 slots are busy"
    moved.clear()
    pool.release("r1")
    await settle()
    assert [t.done() for t in tasks] == [True, True, True, True, False]
    assert moved == ["r4"]
    tasks[4].cancel()
    await settle()
    assert pool.position("r4") is None


async def test_gpus_belong_to_one_run():
    pool = local(NODE)
    assert (await pool.acquire("a", Resources(gpus=1))).gpus == (0,)
    assert (await pool.acquire("b", Resources(gpus=1))).gpus == (1,)
    waiting, small = submit(pool, "c", Resources(gpus=2)), submit(pool, "d")
    await settle()
    # The large one is not overtaken, though a slot is free.
    assert not waiting.done()
    assert not small.done()
    assert pool.note("c") == "this machine's GPUs are in use"
    pool.release("a")
    await settle()
    assert not waiting.done()
    pool.release("b")
    await settle()
    assert waiting.result().gpus == (0, 1)
    assert small.done()


async def test_cpus_that_were_asked_for_belong_to_one_run():
    pool = local(NODE)
    await pool.acquire("a", Resources(cpus=3))
    waiting = submit(pool, "b", Resources(cpus=2))
    await settle()
    assert not waiting.done()
    assert pool.note("b") == "this machine's CPUs are in use"
    pool.release("a")
    await settle()
    assert waiting.result().cpus == 2


@pytest.mark.parametrize("first", ["release", "cancel"])
async def test_a_cancelled_wait_gives_back_what_it_got_at_the_same_moment(first):
    pool = local(Capacity(1, 1, 1.0))
    await pool.acquire("a", Resources())
    waiting = submit(pool, "b")
    await settle()
    if first == "release":
        pool.release("a")
        waiting.cancel()
    else:
        waiting.cancel()
        pool.release("a")
    await settle()
    assert (await asyncio.wait_for(pool.acquire("c", Resources()), 1)) == Grant(node=1)


async def test_a_restored_run_keeps_its_place():
    pool = local(Capacity(1, 4, 8.0, ("A",)))
    pool.restore("old", Grant(gpus=(0,)))
    new = submit(pool, "new", Resources(gpus=1))
    await settle()
    assert not new.done()
    pool.release("old")
    await settle()
    assert new.result().gpus == (0,)


async def test_asking_twice_gives_the_same():
    pool = local(NODE)
    first = await pool.acquire("a", Resources(gpus=1))
    assert await pool.acquire("a", Resources(gpus=1)) == first


@pytest.mark.parametrize("bounded", [True, False])
async def test_each_node_of_a_run_in_containers_takes_a_slot(bounded):
    pool = Pool("box", Machine(NODE), Scale(3, 3), counts=True, bounded=bounded)
    grant = await pool.acquire("two", Resources(gpus=1, memory_gb=4), nodes=2)
    assert (grant.node, grant.more, len(grant.gpus), grant.memory_gb) == (1, (2,), 2, 8)
    other = asyncio.create_task(pool.acquire("other", Resources(), nodes=2))
    await settle()
    assert not other.done()
    assert pool.note("other") == "needs 2 nodes at once, and 1 are free"
    pool.release("two")
    assert len((await other).more) == 1
    pool.release("other")
    if bounded:
        with pytest.raises(ResourceUnavailable, match="4 nodes asked for; target 'box' has at most 3"):
            pool.check(Resources(), 4)
    else:
        pool.check(Resources(), 4)
        assert (await pool.acquire("large", Resources(), nodes=4)).more == (2, 3)


# -- pools that grow and shrink ----------------------------------------------------------------------------------------


async def test_nodes_start_when_runs_wait_and_go_when_they_are_idle():
    clock = Clock()
    pool = elastic(most=2, idle=60, clock=clock)
    assert pool.nodes == []
    tasks = [submit(pool, f"r{i}") for i in range(3)]
    await settle()
    assert [t.done() for t in tasks] == [True, True, False]
    assert [(n.number, n.state, n.run_id) for n in pool.nodes] == [
        (1, NodeState.RUNNING, "r0"),
        (2, NodeState.RUNNING, "r1"),
    ]
    assert pool.note("r2") == "all 2 nodes are busy"
    assert pool.note("r1") == "", "it waits for nothing"
    clock.now += 500
    pool.release("r0")
    await settle()
    assert tasks[2].result().node == 1
    pool.release("r1")
    pool.release("r2")
    assert counts(pool.nodes)["idle"] == 2
    clock.now += 59.9
    assert len(pool.nodes) == 2
    clock.now += 0.2
    assert pool.nodes == []
    assert pool.changed == 1560.0, "it went when its time was over, not when somebody looked"


async def test_min_nodes_are_there_and_stay():
    clock = Clock()
    pool = elastic(least=1, most=3, idle=10, clock=clock)
    assert len(pool.nodes) == 1
    tasks = [submit(pool, f"r{i}") for i in range(3)]
    await settle()
    assert all(task.done() for task in tasks)
    for index in range(3):
        pool.release(f"r{index}")
    clock.now += 11
    assert [node.number for node in pool.nodes] == [1]


async def test_a_run_has_its_nodes_share_and_at_most_that():
    machine = Machine(NODE)
    pool = elastic(machine=machine, share=Size("GPU", cpus=2, memory_gb=6.0, gpus=1))
    assert await pool.acquire("all", Resources()) == Grant((0,), 2, 6.0, 1)
    assert await pool.acquire("less", Resources(gpus=0, cpus=1, memory_gb=1.5)) == Grant((), 1, 1.5, 2)
    with pytest.raises(ResourceUnavailable, match="2 GPUs asked for; a node of target 'pool' has 1"):
        pool.check(Resources(gpus=2))
    assert pool.gives(Resources()) == Resources(1, 2, 6.0)
    assert machine.room.memory_gb == 8.5


async def test_fewer_nodes_than_runs_leave_when_their_runs_end():
    pool = elastic(most=3)
    for index in range(3):
        await pool.acquire(f"r{index}", Resources())
    waiting = submit(pool, "next")
    pool.rescale(Scale(0, 1, 60), SMALL)
    assert counts(pool.nodes) == {"preparing": 0, "idle": 0, "running": 1, "leaving": 2, "unusable": 0}
    pool.release("r1")
    pool.release("r2")
    await settle()
    assert len(pool.nodes) == 1
    assert not waiting.done()
    pool.release("r0")
    await settle()
    assert waiting.done()
    pool.rescale(Scale(2, 3, 60), SMALL)
    assert len(pool.nodes) == 2


async def test_a_run_that_asked_for_more_nodes_than_there_may_be_now_does_not_hold_up_the_others():
    pool = elastic(most=3)
    first = submit(pool, "first")
    wide = asyncio.create_task(pool.acquire("wide", Resources(), nodes=3))
    await settle()
    assert first.done()
    assert (pool.too_large(3), pool.too_large(2)) == ([], ["wide"])
    wide.cancel()
    await settle()
    pool.rescale(Scale(0, 2, 60), SMALL)
    with pytest.raises(ResourceUnavailable, match="3 nodes asked for; target 'pool' has at most 2"):
        await pool.acquire("later", Resources(), nodes=3)
    assert pool.queued == 0


async def test_a_node_is_looked_at_before_it_gets_a_run():
    ready, moved = asyncio.Event(), []

    async def prepare() -> Health:
        await ready.wait()
        return Health(ok=True)

    pool = elastic(prepare=prepare, moved=moved.append)
    first, second = submit(pool, "a"), submit(pool, "b")
    await settle()
    assert not first.done()
    assert pool.note("a") == "starting node 1 of 4"
    assert pool.note("b") == "starting node 2 of 4"
    assert counts(pool.nodes)["preparing"] == 2
    ready.set()
    await settle()
    assert (first.result().node, second.result().node) == (1, 2)


async def test_a_node_that_cannot_be_used_says_why_and_is_looked_at_again(monkeypatch):
    said = [Health(ok=False, problem="the daemon is away"), Health(ok=True)]

    async def prepare() -> Health:
        return said.pop(0)

    monkeypatch.setattr("jupyter_mltrain.service.scheduler._RETRY_SECONDS", 0.01)
    pool = elastic(prepare=prepare)
    task = submit(pool, "a")
    await settle()
    assert pool.note("a") == "node 1 cannot be used: the daemon is away"
    assert (await asyncio.wait_for(task, 1)).node == 1


async def test_restored_runs_keep_their_nodes_and_count():
    machine = Machine(NODE)
    pool = elastic(machine=machine, most=3)
    pool.restore("three", Grant((), 2, 4.0, 3))
    pool.restore("one", Grant((), 2, 4.0, 1))
    assert [(n.number, n.run_id) for n in pool.nodes] == [(1, "one"), (3, "three")]
    tasks = [submit(pool, name) for name in "ab"]
    await settle()
    assert tasks[0].result().node == 2
    assert not tasks[1].done()
    assert machine.room.memory_gb == 4.0


async def test_a_target_that_goes_tells_who_waits():
    machine = Machine(NODE)
    pool = elastic(machine=machine, most=1)
    await pool.acquire("runs", Resources())
    waiting = submit(pool, "waits")
    await settle()
    pool.retire()
    with pytest.raises(TargetNotFound):
        await waiting
    with pytest.raises(TargetNotFound):
        await pool.acquire("late", Resources())
    assert [node.run_id for node in pool.nodes] == ["runs"]
    pool.release("runs")
    assert pool.nodes == []
    assert machine.room.memory_gb == NODE.memory_gb
