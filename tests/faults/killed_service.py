"""`kill -9` of the service: what it was doing goes on in the next one, once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

from tests.faults.case import case
from tests.faults.world import World, eventually, steady

FILES = 200


@case()
def service_killed_during_submit(world: World) -> None:
    if world.random.random() < 0.7:
        world.connection.get("/v1/hello")  # else the kill meets the start of a service
    run, body = world.request(steady(10))
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(world.connection.post, "/v1/runs", body)
        time.sleep(world.random.uniform(0, 0.3))
        world.kill_service()
        assert sending.result()["id"] == run.id
    state = world.check(run)
    assert state["status"] == "Completed"
    listed = [one["id"] for one in world.connection.get("/v1/runs", limit=10_000)["runs"]]
    assert listed.count(run.id) == 1


@case()
def service_killed_during_run(world: World) -> None:
    run = world.submit(steady(60))
    world.wait_running(run, world.random.randrange(1, 50))
    assert world.kill_service() is not None
    if world.random.random() < 0.5:
        # It logs on with nobody there; what it said meanwhile is read later.
        eventually(lambda: run.ended, "the script did not end without a service")
    else:
        world.state(run)
        world.kill_service()
    assert world.check(run)["status"] == "Completed"


@case()
def service_killed_during_cancel(world: World) -> None:
    stubborn = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" if world.random.random() < 0.5 else ""
    run = world.submit(stubborn + steady(10_000))
    world.wait_running(run)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(world.cancel, run, 0.3)
        time.sleep(world.random.uniform(0, 0.5))
        world.kill_service()
        asking.result()
    assert world.check(run)["status"] == "Canceled"


@case()
def service_killed_during_finalize(world: World) -> None:
    outputs = f"for i in range({FILES}):\n    open(f'outputs/{{i}}.txt', 'w').write(str(i))\n"
    run = world.submit(steady(10) + outputs)
    eventually(lambda: world.exit(run), "the process did not end")
    time.sleep(world.random.uniform(0, 0.08))
    world.kill_service()
    state = world.check(run)
    assert state["status"] == "Completed"
    assert state["outputs"]["files"] == FILES
    listed = world.connection.get(f"/v1/runs/{run.id}/files")["files"]
    assert sum(f["path"].startswith("outputs/") for f in listed) == FILES


@case(slots=1)
def service_killed_while_runs_are_queued(world: World) -> None:
    runs = [world.submit(steady(10)) for _ in range(4)]
    time.sleep(world.random.uniform(0, 0.6))
    world.kill_service()
    states = [world.check(run) for run in runs]
    assert [state["status"] for state in states] == ["Completed"] * 4
    # Who was ready first runs first, also when the service died in between; and one at a time.
    states.sort(key=lambda state: _entered(state, "Queued"))
    for first, second in pairwise(states):
        assert _entered(first, "Finalizing") <= _entered(second, "Starting"), "two at once, or one overtook the other"


def _entered(state: dict[str, Any], status: str) -> float:
    [moment] = [change["time"] for change in state["history"] if change["status"] == status]
    return float(moment)
