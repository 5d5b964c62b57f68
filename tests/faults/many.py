"""Several at once: clients that send the same run, runs that want the same slots."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.faults.case import case
from tests.faults.world import PATIENCE, REPOSITORY, World, steady

CLIENTS = 4
RUNS = 20
SLOTS = 4

_SEND = """
import json, sys
from pathlib import Path
from jupyter_mltrain.client.connection import Connection
request = json.load(sys.stdin)
print(Connection.open(Path(sys.argv[1])).post("/v1/runs", request)["id"])
"""


@case()
def double_submit(world: World) -> None:
    """Several processes send the same run at the same time; in half of the rounds the service is killed meanwhile."""
    run, body = world.request(steady(10))
    clients = [
        subprocess.Popen(
            [sys.executable, "-c", _SEND, str(world.root)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY,
        )
        for _ in range(CLIENTS)
    ]  # fmt: skip
    text = json.dumps(body)
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = [pool.submit(client.communicate, text, PATIENCE) for client in clients]
        if world.random.random() < 0.5:
            time.sleep(world.random.uniform(0, 0.5))
            world.kill_service()
        said = [answer.result() for answer in answers]
    assert [out.strip() for out, _ in said] == [run.id] * CLIENTS, said
    assert world.check(run)["status"] == "Completed"
    listed = [one["id"] for one in world.connection.get("/v1/runs", limit=10_000)["runs"]]
    assert listed.count(run.id) == 1


@case()
def sent_again_after_the_service_was_killed(world: World) -> None:
    run, body = world.request(steady(10))
    world.connection.post("/v1/runs", body)
    time.sleep(world.random.uniform(0, 0.3))
    world.kill_service()
    assert world.connection.post("/v1/runs", body)["id"] == run.id
    assert world.check(run)["status"] == "Completed"
    # And once more, when all is over.
    assert world.connection.post("/v1/runs", body)["status"] == "Completed"
    assert len(run.starts) == 1


@case(slots=SLOTS)
def twenty_runs_at_once(world: World) -> None:
    requests = [world.request(steady(5)) for _ in range(RUNS)]
    with ThreadPoolExecutor(RUNS) as pool:
        list(pool.map(lambda request: world.connection.post("/v1/runs", request[1]), requests))
    states = [world.check(run) for run, _ in requests]
    assert [state["status"] for state in states] == ["Completed"] * RUNS
    assert len({state["number"] for state in states}) == RUNS
    starts = [(change["time"], 1) for s in states for change in s["history"] if change["status"] == "Starting"]
    ends = [(change["time"], -1) for s in states for change in s["history"] if change["status"] == "Finalizing"]
    busy = most = 0
    for _, step in sorted(starts + ends):
        busy += step
        most = max(most, busy)
    assert 2 <= most <= SLOTS
