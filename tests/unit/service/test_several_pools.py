"""Several targets on one machine, and runs of several nodes."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_mltrain.core.compute import Capacity, Grant
from jupyter_mltrain.core.spec import Resources
from jupyter_mltrain.core.target import Size
from jupyter_mltrain.errors import ResourceUnavailable
from jupyter_mltrain.service.machine import Machine
from jupyter_mltrain.service.nodes import Scale, counts
from jupyter_mltrain.service.scheduler import Pool
from tests.unit.service.pools import NODE, elastic, local, settle, submit

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
