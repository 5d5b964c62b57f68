"""`kill -9` of one of several processes, of its shim, and of the service beside them: all end together, nothing is left."""

from __future__ import annotations

import json
from typing import Any

from tests.faults.case import case
from tests.faults.world import Submitted, World, eventually, kill

RANKS = 3
_ENDLESS = "while True:\n    time.sleep(0.05)\n"
_BOUND = 60.0
"""Seconds between the first end and the last: about 4 on an idle machine."""


@case()
def one_rank_killed(world: World) -> None:
    """Also where nobody but the shims is there to see it."""
    victim, state = _end_with_one_killed(world, "pid")
    assert f"SIGKILL on rank {victim}" in state["failure"]["title"]
    exits = {one["rank"]: one for one in _evidence(state)["exits"]}
    others = [n for n in range(RANKS) if n != victim]
    assert [exits[n]["stopped"] for n in others] == ["another rank failed"] * 2
    assert state["failure"]["evidence"][-1] == f"ended for it: {', '.join(f'rank {n}' for n in others)}"
    assert max(exits[n]["ended"] for n in others) - exits[victim]["ended"] < _BOUND


@case()
def shim_of_one_rank_killed(world: World) -> None:
    """Nobody holds its process any more; without a service the other shims end it."""
    victim, state = _end_with_one_killed(world, "shim_pid")
    assert state["failure"]["rank"] == victim, state
    assert "upervisor" in state["failure"]["title"]


@case()
def service_killed_while_ranks_train(world: World) -> None:
    run, _ = _training(world, "while not os.path.exists('../../../../on'):\n    time.sleep(0.01)\n")
    world.kill_service()
    world.go_on()
    state = world.check(run, complete_metrics=False, executions=RANKS)
    (world.root / "on").unlink()
    assert state["status"] == "Completed"
    assert [one["code"] for one in _evidence(state)["exits"]] == [0] * RANKS


def _end_with_one_killed(world: World, which: str) -> tuple[int, dict[str, Any]]:
    """The rank whose `which` of its start record was killed, in half of the rounds with no service, and the run's end."""
    run, victim = _training(world)
    alone = world.random.random() < 0.5
    if alone:
        world.kill_service()
    kill(_start(world, run, victim)[which])
    if alone:
        eventually(lambda: not world.processes_of(run), "ranks are left: {}", lambda: world.processes_of(run))
    state = world.check(run, complete_metrics=False, executions=RANKS)
    assert state["status"] == "Failed"
    return victim, state


def _training(world: World, script: str = _ENDLESS) -> tuple[Submitted, int]:
    """A run whose ranks are all at work, and one of them by chance."""
    run = world.submit(script, distribution={"launcher": "tensorflow", "nodes": RANKS})
    eventually(lambda: len(run.starts) == RANKS, "not all ranks came: {}", run.lines)
    return run, world.random.randrange(RANKS)


def _start(world: World, run: Submitted, rank: int) -> dict[str, Any]:
    return json.loads((world.folder(run) / "shim" / f"r{rank}.start.json").read_text())


def _evidence(state: dict[str, Any]) -> dict[str, Any]:
    return next(change["evidence"] for change in state["history"] if change["status"] == "Finalizing")
