"""Pools of nodes and a clock for tests."""

from __future__ import annotations

import asyncio

from jupyter_mltrain.core.compute import Capacity, Grant
from jupyter_mltrain.core.spec import Resources
from jupyter_mltrain.core.target import Size
from jupyter_mltrain.service.machine import Machine
from jupyter_mltrain.service.nodes import Scale
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
