from __future__ import annotations

import asyncio

import pytest

from jupyter_mltrain.core.compute import Capacity, Grant
from jupyter_mltrain.core.spec import Resources
from jupyter_mltrain.errors import ResourceUnavailable
from jupyter_mltrain.service.scheduler import Pool

NODE = Capacity(slots=3, cpus=4, memory_gb=16.0, gpus=("A", "B"))


async def settle():
    for _ in range(3):
        await asyncio.sleep(0)


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
        Pool("local", NODE).check(resources)
    assert caught.value.message.startswith(said)


def test_a_gpu_where_there_is_none_is_refused_naming_it():
    with pytest.raises(ResourceUnavailable, match="1 GPUs asked for; target 'local' has none"):
        Pool("local", Capacity(1, 2, 8.0)).check(Resources(gpus=1))


async def test_first_come_first_served_within_the_slots():
    moved = []
    pool = Pool("local", NODE, moved.append)
    tasks = [asyncio.create_task(pool.acquire(f"r{i}", Resources())) for i in range(5)]
    await settle()
    assert [t.done() for t in tasks] == [True, True, True, False, False]
    assert (pool.position("r3"), pool.position("r4"), pool.position("r0")) == (1, 2, None)
    pool.release("r1")
    await settle()
    assert [t.done() for t in tasks] == [True, True, True, True, False]
    assert moved == ["r4"]
    tasks[4].cancel()
    await settle()
    assert pool.position("r4") is None


async def test_gpus_belong_to_one_run():
    pool = Pool("local", NODE)
    assert (await pool.acquire("a", Resources(gpus=1))).gpus == (0,)
    assert (await pool.acquire("b", Resources(gpus=1))).gpus == (1,)
    waiting = asyncio.create_task(pool.acquire("c", Resources(gpus=2)))
    small = asyncio.create_task(pool.acquire("d", Resources()))
    await settle()
    # The large one is not overtaken, though a slot is free.
    assert not waiting.done()
    assert not small.done()
    pool.release("a")
    await settle()
    assert not waiting.done()
    pool.release("b")
    await settle()
    assert waiting.result().gpus == (0, 1)
    assert small.done()


async def test_a_cancelled_wait_gives_back_what_it_got_at_the_same_moment():
    pool = Pool("local", Capacity(1, 1, 1.0))
    await pool.acquire("a", Resources())
    waiting = asyncio.create_task(pool.acquire("b", Resources()))
    await settle()
    pool.release("a")
    waiting.cancel()
    await settle()
    assert (await asyncio.wait_for(pool.acquire("c", Resources()), 1)) == Grant()


async def test_a_restored_run_keeps_its_place():
    pool = Pool("local", Capacity(1, 4, 8.0, ("A",)))
    pool.restore("old", Grant(gpus=(0,)))
    new = asyncio.create_task(pool.acquire("new", Resources(gpus=1)))
    await settle()
    assert not new.done()
    pool.release("old")
    await settle()
    assert new.result().gpus == (0,)
