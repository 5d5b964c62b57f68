"""`kill -9` of a run's shim: nobody can know any more how the process ended, so nobody says so, and nothing of it goes on."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from tests.faults.case import case
from tests.faults.world import STUBBORN, Submitted, World, eventually, kill, steady


@case()
def shim_killed_during_submit(world: World) -> None:
    run, body = world.request(steady(100))
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(world.connection.post, "/v1/runs", body)
        # Two processes show that command: the one who waits for a word, and the shim itself.
        shims = eventually(lambda: _shims(world, run), "no shim came")
        time.sleep(world.random.uniform(0, 0.06))
        kill(world.random.choice(_shims(world, run) or shims))
        sending.result()
    world.check(run)


@case()
def shim_killed_during_run(world: World) -> None:
    run = world.submit(steady(10_000))
    world.wait_running(run, world.random.randrange(1, 30))
    kill(_shim(world, run))
    state = world.check(run)
    assert state["status"] == "Failed"
    assert state["failure"]["title"] == "Supervisor lost, exit code unknown."


@case()
def shim_killed_during_cancel(world: World) -> None:
    run = world.submit((STUBBORN if world.random.random() < 0.7 else "") + steady(10_000))
    world.wait_running(run)
    world.while_canceling(run, lambda: kill(_shim(world, run)), grace=0.4, within=0.6)
    assert world.check(run)["status"] in {"Canceled", "Failed"}


@case()
def shim_killed_during_finalize(world: World) -> None:
    run = world.submit(steady(10))
    eventually(lambda: run.ended, "the script did not come to its end")
    time.sleep(world.random.uniform(0, 0.06))
    kill(_shim(world, run))
    world.check(run)


def _shim(world: World, run: Submitted) -> int:
    start = world.shim(run)
    assert start is not None
    return int(start["shim_pid"])


def _shims(world: World, run: Submitted) -> list[int]:
    return [pid for pid, command in world.processes_of(run) if "r0.launch.json" in command]
