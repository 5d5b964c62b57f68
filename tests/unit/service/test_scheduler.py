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

NODE = Capacity(slots=3, cpus=4, memory_gb=16.0, gpus=("A", "B"))
SMALL = Size("SMALL", cpus=2, memory_gb=4.0)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def local(capacity: Capacity, moved=lambda _: None) -> Pool:
    return Pool("local", Machine(capacity), Scale(capacity.slots, capacity.slots), moved=moved)


def elastic(name="pool", *, machine=None, least=0, most=4, idle=60.0, share=SMALL, **more) -> Pool:
    return Pool(name, machine or Machine(NODE), Scale(least, most, idle), share, **more)


def submit(pool: Pool, run_id: str, resources: Resources | None = None) -> asyncio.Task[Grant]:
    return asyncio.create_task(pool.acquire(run_id, resources or Resources()))


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


# -- several targets on one machine ------------------------------------------------------------------------------------


async def test_targets_do_not_take_the_same_memory_or_gpu_twice():
    machine = Machine(Capacity(2, 4, 10.0, ("A",)))
    one = elastic("one", machine=machine, share=Size("S", 2, 6.0, 1))
    other = elastic("other", machine=machine, share=Size("S", 2, 6.0))
    here = Pool("local", machine, Scale(2, 2))
    await one.acquire("a", Resources())
    crowded, gpu = submit(other, "b"), submit(here, "c", Resources(gpus=1))
    await settle()
    assert not crowded.done()
    assert not gpu.done()
    assert other.note("b") == "needs 6 GB; 4.0 GB of this machine's memory are free"
    assert here.note("c") == "this machine's GPU is in use"
    one.release("a")
    await settle()
    assert crowded.done()
    assert gpu.result().gpus == (0,)


async def test_targets_take_turns():
    machine = Machine(Capacity(1, 4, 4.0))
    pools = [elastic(name, machine=machine, most=10) for name in "ab"]
    await pools[0].acquire("a0", Resources())
    # All of a's are there before the first of b's.
    tasks = [submit(pools[0], f"a{i}") for i in range(1, 5)]
    await settle()
    tasks += [submit(pools[1], f"b{i}") for i in range(2)]
    await settle()
    order: list[str] = []
    while machine.held:
        (run_id,) = machine.held
        order.append(run_id)
        for pool in pools:
            pool.release(run_id)
        await settle()
    assert order == ["a0", "b0", "a1", "b1", "a2", "a3", "a4"]


async def test_small_runs_of_another_target_do_not_hold_off_a_large_one():
    machine = Machine(Capacity(1, 4, 10.0))
    small = elastic("small", machine=machine, most=100, share=Size("S", 1, 2.0))
    large = elastic("large", machine=machine, share=Size("L", 4, 10.0))
    running = [f"s{i}" for i in range(5)]
    for run_id in running:
        await small.acquire(run_id, Resources())
    waiting = submit(large, "large")
    await settle()
    later = [submit(small, f"t{i}") for i in range(50)]
    for run_id in running:
        await settle()
        assert not waiting.done()
        small.release(run_id)
    await settle()
    # It ran as soon as all that ran when it came were over; none of the later ones got in between.
    assert waiting.done()
    assert not any(task.done() for task in later)
    large.release("large")
    await settle()
    assert sum(task.done() for task in later) == 5


async def test_what_a_waiting_run_does_not_need_is_used_meanwhile():
    machine = Machine(Capacity(1, 4, 10.0, ("A",)))
    gpu = elastic("gpu", machine=machine, share=Size("G", 1, 2.0, 1))
    cpu = elastic("cpu", machine=machine, share=Size("C", 1, 3.0))
    await gpu.acquire("g1", Resources())
    second = submit(gpu, "g2")
    await settle()
    tasks = [submit(cpu, f"c{i}") for i in range(3)]
    await settle()
    # 10 GB: 2 for g1, 2 kept for g2, and two of three on the other target.
    assert [task.done() for task in tasks] == [True, True, False]
    gpu.release("g1")
    await settle()
    assert second.done()


# -- runs of several nodes ---------------------------------------------------------------------------------------------


async def test_a_run_gets_all_its_nodes_or_none():
    pool = elastic(most=3, share=Size("TWO", cpus=1, memory_gb=4.0, gpus=0))
    first = submit(pool, "one")
    await settle()
    gang = asyncio.create_task(pool.acquire("gang", Resources(), 0, 3))
    late = submit(pool, "late")
    await settle()
    assert first.done()
    assert not gang.done()
    assert not late.done(), "who comes later does not take a node from a run that waits for all"
    assert pool.note("gang") == "needs 3 nodes at once, and 2 are free"
    assert [node.run_id for node in pool.nodes] == ["one", "", ""]
    pool.release("one")
    await settle()
    grant = gang.result()
    assert (grant.node, grant.more, grant.memory_gb, grant.cpus) == (1, (2, 3), 12.0, 3)
    assert [node.run_id for node in pool.nodes] == ["gang"] * 3
    assert pool.runs == ["gang", "late"]
    pool.release("gang")
    await settle()
    assert late.done()
    assert pool.machine.room.memory_gb == 12.0


async def test_nodes_of_a_run_are_its_own_after_a_restart():
    pool = elastic(most=4)
    pool.restore("gang", Grant((), 4, 8.0, node=2, more=(4,)))
    assert [(node.number, node.run_id) for node in pool.nodes] == [(2, "gang"), (4, "gang")]
    again = submit(pool, "gang")
    await settle()
    assert again.result().more == (4,)
    pool.release("gang")
    assert counts(pool.nodes)["idle"] == 2


def test_more_nodes_than_there_can_be_are_refused():
    with pytest.raises(ResourceUnavailable) as caught:
        elastic(name="small", most=2).check(Resources(), 3)
    assert caught.value.message == "3 nodes asked for; target 'small' has at most 2."
    with pytest.raises(ResourceUnavailable, match="6 CPUs asked for; target 'local' has 4"):
        local(NODE).check(Resources(cpus=3), 2)
    local(NODE).check(Resources(cpus=2), 2)


async def test_on_a_machine_of_slots_a_run_of_several_nodes_takes_one_slot():
    pool = local(NODE)
    grant = await pool.acquire("gang", Resources(gpus=1, memory_gb=2.0), 0, 2)
    assert (grant.gpus, grant.memory_gb, grant.more) == ((0, 1), 4.0, ())
    assert sum(node.run_id == "gang" for node in pool.nodes) == 1
