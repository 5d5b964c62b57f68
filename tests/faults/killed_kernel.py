"""`kill -9` of the kernel, a real one, from which a cell was submitted: the run does not notice."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from tests.faults.case import case
from tests.faults.world import PATIENCE, Submitted, World, eventually, steady


@case()
def kernel_killed_during_submit(world: World) -> None:
    run = _unnamed(world)
    with _kernel(world) as (manager, client):
        client.execute(_cell(world, run, steady(20)))
        time.sleep(world.random.uniform(0, 0.4))
        manager.shutdown_kernel(now=True)
    # What the kernel had sent may still be on its way through the service.
    found = _find(world, run)
    deadline = time.monotonic() + 2
    while not found and time.monotonic() < deadline:
        time.sleep(0.05)
        found = _find(world, run)
    started = bool(run.starts)  # read before the last look: what starts is known by then
    if found or _find(world, run):
        assert world.check(run)["status"] == "Completed"
    else:
        assert not started, "it runs, and nobody knows of it"


@case()
def kernel_killed_during_run(world: World) -> None:
    run = _unnamed(world)
    with _kernel(world) as (manager, client):
        client.execute(_cell(world, run, steady(60), wait=world.random.random() < 0.5))
        world.wait_running(run, world.random.randrange(1, 50))
        manager.shutdown_kernel(now=True)
    assert _find(world, run)
    assert world.check(run)["status"] == "Completed"


@case()
def kernel_killed_during_cancel(world: World) -> None:
    run = _unnamed(world)
    with _kernel(world) as (manager, client):
        client.execute(_cell(world, run, steady(10_000)))
        world.wait_running(run)
        client.execute("%mltrain cancel latest")
        time.sleep(world.random.uniform(0, 0.2))
        manager.shutdown_kernel(now=True)
    assert _find(world, run)
    # It may have died before it asked; asking again is harmless.
    world.cancel(run)
    assert world.check(run)["status"] == "Canceled"


@case()
def kernel_killed_during_finalize(world: World) -> None:
    run = _unnamed(world)
    with _kernel(world) as (manager, client):
        client.execute(_cell(world, run, steady(20)))
        eventually(lambda: run.ended, "the script did not come to its end")
        time.sleep(world.random.uniform(0, 0.1))
        manager.shutdown_kernel(now=True)
    assert _find(world, run)
    assert world.check(run)["status"] == "Completed"


@contextmanager
def _kernel(world: World) -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    manager = KernelManager()
    environment = {**os.environ, "IPYTHONDIR": str(world.base / "ipython")}
    manager.start_kernel(cwd=str(world.root), env=environment)
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE)
        client.execute("%load_ext jupyter_mltrain")
        yield manager, client
    finally:
        client.stop_channels()
        if manager.is_alive():
            manager.shutdown_kernel(now=True)
        manager.context.destroy()


def _unnamed(world: World) -> Submitted:
    """A run whose id the kernel will choose; a tag tells it from others."""
    mark = uuid.uuid4().hex
    return Submitted(mark, world.base / "told" / mark)


def _cell(world: World, run: Submitted, script: str, *, wait: bool = False) -> str:
    _, body = world.request(script)
    options = f"-e current --tag mark={run.id} --set FAULT_TOLD={run.told}{' --wait' if wait else ''}"
    return f"%%mltrain {options}\n{body['files']['train.py']}"


def _find(world: World, run: Submitted) -> bool:
    """Give the run the id that it got, if it was submitted."""
    for one in world.connection.get("/v1/runs", limit=10_000)["runs"]:
        if one["tags"].get("mark") == run.told.name:
            run.id = one["id"]
            return True
    return False
