"""`kill -9` of the training process: its shim sees it, and says so."""

from __future__ import annotations

import time

from tests.faults.case import case
from tests.faults.world import STUBBORN, Submitted, World, eventually, kill, steady


@case()
def training_killed_during_submit(world: World) -> None:
    run = world.submit(steady(10_000))
    eventually(lambda: world.shim(run), "the process did not start")
    time.sleep(world.random.uniform(0, 0.1))
    kill(_main(world, run))
    state = world.check(run)
    assert state["status"] == "Failed"
    assert "SIGKILL" in state["failure"]["title"]


@case()
def training_killed_during_run(world: World) -> None:
    run = world.submit("for i in range(10_000_000):\n    log(i)\n")  # as fast as it can: the kill meets a write
    world.wait_running(run, world.random.randrange(1, 2000))
    time.sleep(world.random.choice([0.0, 0.5]))  # by then it is more than one window can hold
    kill(_main(world, run))
    state = world.check(run)
    assert state["status"] == "Failed"
    assert "SIGKILL" in state["failure"]["title"]


@case()
def training_killed_during_cancel(world: World) -> None:
    run = world.submit(STUBBORN + steady(10_000))
    world.wait_running(run)
    world.while_canceling(run, lambda: kill(_main(world, run)), grace=0.5, within=0.6)
    assert world.check(run)["status"] in {"Canceled", "Failed"}


@case()
def training_killed_during_finalize(world: World) -> None:
    run = world.submit(steady(10))
    eventually(lambda: run.ended, "the script did not come to its end")
    time.sleep(world.random.uniform(0, 0.04))
    kill(_main(world, run))
    world.check(run)


def _main(world: World, run: Submitted) -> int:
    start = world.shim(run)
    assert start is not None
    return int(start["pid"])
