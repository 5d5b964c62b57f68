"""`kill -9` of the service: what it was doing goes on in the next one, once."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from typing import Any

from tests.faults.case import case
from tests.faults.world import STUBBORN, World, eventually, steady, value

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
    run = world.submit((STUBBORN if world.random.random() < 0.5 else "") + steady(10_000))
    world.wait_running(run)
    world.while_canceling(run, world.kill_service, grace=0.3, within=0.5)
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


@case()
def service_killed_while_a_script_has_child_runs(world: World) -> None:
    run = world.submit(
        """
        for fold in range(5):
            with run.child_run(f"fold {fold}") as child:
                for i in range(10):
                    child.log("x", i, step=i)
                    time.sleep(0.01)
        run.child_run("left").log("x", 0)
        """
    )
    for _ in range(2):
        time.sleep(world.random.uniform(0, 1.0))
        world.kill_service()
    assert world.check(run)["status"] == "Completed"
    children = {each["display_name"]: each for each in world.connection.get("/v1/runs", parent=run.id)["runs"]}
    ends = {name: each["status"] for name, each in children.items()}
    assert ends == {**{f"fold {fold}": "Completed" for fold in range(5)}, "left": "Failed"}
    for name, each in children.items():
        values = world.connection.get(f"/v1/runs/{each['id']}/values")["x"]
        window = world.connection.get(f"/v1/runs/{each['id']}/series", name="x")
        assert values == (0 if name == "left" else list(range(10))), name
        assert window["values"] == ([0] if name == "left" else list(range(10))), name


@case(slots=1)
def service_killed_while_runs_are_queued(world: World) -> None:
    gate = world.base / "gate"
    gate.unlink(missing_ok=True)
    first = world.submit(f"while not os.path.exists({str(gate)!r}):\n    time.sleep(0.01)\n" + steady(10))
    runs = [first, *(world.submit(steady(10)) for _ in range(3))]
    if world.random.random() < 0.7:
        eventually(lambda: first.starts, "the first one does not start")
    time.sleep(world.random.uniform(0, 0.3))
    world.kill_service()
    world.connection.get("/v1/hello")
    time.sleep(world.random.uniform(0, 0.3))  # time for a service that forgot who has the slot
    gate.touch()
    states = [world.check(run) for run in runs]
    assert [state["status"] for state in states] == ["Completed"] * 4
    # Who was ready first runs first, also when the service died in between; and one at a time.
    states.sort(key=lambda state: _entered(state, "Queued"))
    for first, second in pairwise(states):
        assert _entered(first, "Finalizing") <= _entered(second, "Starting"), "two at once, or one overtook the other"


@case()
def service_ends_while_it_is_asked(world: World) -> None:
    """Its last second (idle, or a newer one takes over) is nobody's error."""
    world.connection.get("/v1/hello")
    runs = [world.request(steady(3)) for _ in range(3)]
    with ThreadPoolExecutor(4) as pool:
        sending = []
        for number, (_, body) in enumerate(runs):
            if number == 1:
                pool.submit(world.connection.post, "/v1/handover")
            sending.append(pool.submit(world.connection.post, "/v1/runs", body))
            time.sleep(world.random.uniform(0, 0.02))
        assert [one.result()["id"] for one in sending] == [run.id for run, _ in runs]
    assert [world.check(run)["status"] for run, _ in runs] == ["Completed"] * 3


@case(publish=True)
def service_killed_while_it_publishes(world: World) -> None:
    """MLflow's process goes with the service, and the next one takes up where it was."""
    run = world.submit(steady(30))
    world.wait_running(run)
    time.sleep(world.random.uniform(0, 6))
    pid = world.kill_service()
    eventually(lambda: not _publishers(world), "MLflow's process outlives the service")
    assert pid is not None
    assert world.check(run)["status"] == "Completed"
    eventually(
        lambda: world.state(run)["tracking"]["state"] == "synced",
        "it is not published: {}",
        lambda: world.state(run)["tracking"],
    )
    with closing(sqlite3.connect(world.layout.folder / "mlflow.db")) as db:
        found = db.execute(
            "SELECT m.step, m.value FROM metrics m JOIN tags t ON t.run_uuid = m.run_uuid"
            " WHERE t.key = 'mltrain.run_id' AND t.value = ? AND m.key = 'loss' ORDER BY m.step",
            (run.id,),
        ).fetchall()
    assert found == [(step, value(step)) for step in range(30)]


def _publishers(world: World) -> list[str]:
    return [command for _, command in world.processes() if "tracking.child" in command]


def _entered(state: dict[str, Any], status: str) -> float:
    [moment] = [change["time"] for change in state["history"] if change["status"] == status]
    return float(moment)
