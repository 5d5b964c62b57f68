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


@case()
def lost_run_begins_again_under_a_killed_service(world: World) -> None:
    """The service is killed while it finds the run lost, puts away what there is of it, and begins it again."""
    run = world.submit(
        "begin = len(open('outputs/done').read()) if run.resume_from else 0\n"
        "for i in range(begin, 10**9 if run.attempt == 1 else begin + 20):\n"
        "    log(i)\n"
        "    with open('outputs/done', 'a') as file:\n"
        "        file.write('.')\n"
        "    time.sleep(0.01)\n",
        retries=1,
    )
    world.wait_running(run, world.random.randrange(2, 30))
    world.wait_status(run, "Running")
    kill(_shim(world, run))
    time.sleep(world.random.uniform(0, 0.6))
    world.kill_service()
    state = world.check(run, executions=2, complete_metrics=False)
    assert state["status"] == "Completed"
    assert [change["status"] for change in state["history"]].count("Queued") == 2
    steps = world.connection.get(f"/v1/runs/{run.id}/series", name="loss", points=20_000)["steps"]
    assert sorted(set(steps)) == list(range(max(steps) + 1)), "a step is missing"
    assert len(steps) <= len(set(steps)) + 1, "no step was done twice, but for the one that was cut short"


def _shim(world: World, run: Submitted) -> int:
    start = world.shim(run)
    assert start is not None
    return int(start["shim_pid"])


def _shims(world: World, run: Submitted) -> list[int]:
    return [pid for pid, command in world.processes_of(run) if "r0.launch.json" in command]
