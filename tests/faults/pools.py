"""Pools of nodes: what a `kill -9` of the service meets while they start, run and queue, and a target that goes meanwhile."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jupyter_mltrain.core.status import TERMINAL, Status
from jupyter_mltrain.errors import TargetInUse, TargetNotFound
from tests.faults.case import case
from tests.faults.world import Submitted, World, eventually, steady

NODES = 4
RUNS = 7
POOL = {"name": "pool", "size": "STANDARD_D1_V2", "max_nodes": NODES}


@case()
def service_killed_with_a_pool_of_four(world: World) -> None:
    world.connection.post("/v1/targets", POOL)
    requests = [world.request(steady(world.random.randrange(20, 200)), target="pool") for _ in range(RUNS)]
    with ThreadPoolExecutor(RUNS) as threads:
        sending = [threads.submit(world.connection.post, "/v1/runs", body) for _, body in requests]
        for _ in range(2):
            # Nodes are preparing, runs queue, some run, some are over.
            time.sleep(world.random.uniform(0, 1.5))
            world.kill_service()
        for each in sending:
            each.result()
    states = [world.check(run) for run, _ in requests]
    assert [state["status"] for state in states] == ["Completed"] * RUNS
    _never_more_than(NODES, states)
    target = world.connection.get("/v1/targets/pool")
    assert target["queued"] == 0
    assert [node["run"] for node in target["nodes"]] == [None] * len(target["nodes"])


@case()
def target_deleted_while_runs_come(world: World) -> None:
    world.connection.post("/v1/targets", {**POOL, "max_nodes": 1})
    made = [world.request(steady(3), target="pool") for _ in range(4)]

    def send(body: dict[str, Any]) -> bool:
        time.sleep(world.random.uniform(0, 0.2))
        try:
            world.connection.post("/v1/runs", body)
        except TargetNotFound:
            return False
        return True

    def delete() -> bool:
        time.sleep(world.random.uniform(0, 0.2))
        try:
            world.connection.delete("/v1/targets/pool")
        except TargetInUse:
            return False
        return True

    with ThreadPoolExecutor(5) as threads:
        deleting = threads.submit(delete)
        sent = list(threads.map(send, [body for _, body in made]))
        gone = deleting.result()
    # Who was taken runs to its end, also where another was taken off the list meanwhile; who was not left no trace.
    there = [run for (run, _), taken in zip(made, sent, strict=True) if taken]
    for run in there:
        assert world.check(run)["status"] == "Completed"
    known = {one["id"] for one in world.connection.get("/v1/runs", limit=100)["runs"]}
    assert known & {run.id for run, _ in made} == {run.id for run in there}
    assert (world.layout.computes / "pool.json").exists() is not gone
    if not gone:
        world.connection.delete("/v1/targets/pool")
    assert [target["name"] for target in world.connection.get("/v1/targets")["targets"]] == ["local"]


@case()
def canceled_in_the_queue_while_nodes_come_and_go(world: World) -> None:
    world.connection.post("/v1/targets", {**POOL, "max_nodes": 2, "idle_seconds": 0})
    runs = [world.submit(steady(20), target="pool") for _ in range(RUNS)]
    stopped = world.random.sample(runs, 3)
    for run in stopped:
        time.sleep(world.random.uniform(0, 0.3))
        world.cancel(run)
        most = world.random.randrange(1, 4)
        world.connection.patch("/v1/targets/pool", {"max_nodes": most})
    for run in runs:
        state = world.check(run)
        assert state["status"] in (("Canceled", "Completed") if run in stopped else ("Completed",))
    _nothing_is_held(world, runs)


@case()
def service_killed_while_a_run_gives_way(world: World) -> None:
    _a_machine_for_one(world)
    # Its first life has no end of its own: only who gives way comes to a second.
    second = world.base / f"second-{world.random.random()}"
    endless = f"second = os.path.exists({str(second)!r})\nopen({str(second)!r}, 'w').close()\n"
    low = world.submit(
        f"{endless}for i in range(20 if second else 1_000_000):\n    log(i)\n    time.sleep(0.01)\n", target="low"
    )
    world.wait_running(low, world.random.randrange(1, 20))
    other, body = world.request(steady(world.random.randrange(1, 40)), target="pool")
    world.connection.post("/v1/runs", body)
    time.sleep(world.random.uniform(0, 0.5))
    world.kill_service()
    assert world.check(other)["status"] == "Completed"
    state = world.check(low, complete_metrics=False, executions=2)
    assert state["status"] == "Completed"
    (again,) = [c for c in state["history"] if c["reason"].startswith("preempted")]
    assert again["status"] == Status.QUEUED
    assert again["evidence"]["preempted_by"]["run"] == other.id
    assert len(low.starts) == 2
    _never_more_than(1, [state, world.state(other)])


@case()
def canceled_while_it_gives_way(world: World) -> None:
    _a_machine_for_one(world)
    low = world.submit(steady(10_000), target="low")
    world.wait_running(low, 5)
    other = world.submit(steady(20), target="pool")
    time.sleep(world.random.uniform(0, 0.6))
    world.cancel(low)
    assert world.check(other)["status"] == "Completed"
    # Before it gave way, meanwhile, while it waited, or when it ran again.
    assert world.check(low, complete_metrics=False, executions=2)["status"] == "Canceled"


def _a_machine_for_one(world: World) -> None:
    """Memory for one run, and two targets that want it."""
    text = world.layout.config.read_text(encoding="utf-8")
    if "memory_gb = 4" not in text:
        small = text.replace("[targets.local]\n", "[targets.local]\nmemory_gb = 4\n")
        world.layout.config.write_text(small, encoding="utf-8")
    world.connection.post("/v1/targets", {**POOL, "max_nodes": 1})
    world.connection.post("/v1/targets", {**POOL, "name": "low", "max_nodes": 1, "priority": "lowpriority"})


def _nothing_is_held(world: World, runs: list[Submitted]) -> None:
    def free() -> bool:
        target = world.connection.get("/v1/targets/pool")
        return not target["queued"] and not any(node["run"] for node in target["nodes"])

    eventually(free, f"nodes are held by {[run.id for run in runs]}")


def _never_more_than(nodes: int, states: list[dict[str, Any]]) -> None:
    spans = [
        (
            next(c["time"] for c in reversed(state["history"]) if c["status"] == Status.STARTING),
            next(c["time"] for c in state["history"] if c["status"] in {Status.FINALIZING, *TERMINAL}),
        )
        for state in states
    ]
    most = max(sum(a <= moment < b for a, b in spans) for moment, _ in spans)
    assert most <= nodes, f"{most} runs at once on {nodes} nodes"
