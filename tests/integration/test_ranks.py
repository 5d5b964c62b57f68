"""What a run of several processes tells of each, while it lives and after; what more processes gave."""

from __future__ import annotations

import json
import os
import signal

import pytest

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.distributed import TensorflowConfiguration
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.errors import UsageError
from tests.faults.world import World, eventually

LAGS = """
import json, os, time
from jupyter_mltrain import Run
run = Run.get_context()
def wait(name):
    while not os.path.exists(name):
        time.sleep(0.02)
kind = json.loads(os.environ["TF_CONFIG"])["task"]["type"]
if kind == "worker":
    for step in range(5):
        if run.rank == 1:
            wait(f"at-{step}")
            time.sleep(0.3)
        run.log("loss", 1.0, step=step)
        open(f"at-{step}", "w").close()
if run.rank == 1:
    wait("go")
    raise ValueError("no such batch")
time.sleep(10_000)
"""

# Rates are said outright, so that nothing depends on how fast this machine is.
COUNTS = """
import json, os
from jupyter_mltrain import Run
run = Run.get_context()
alone = "TF_CONFIG" not in os.environ
for step, rate in enumerate([1.0, 100.0 if alone else 80.0 - 20.0 * run.rank, 100.0 if alone else 80.0 - 20.0 * run.rank]):
    run.log("examples_per_second", rate, step=10 * (step + 1))
"""


def submit(experiment: Experiment, script: str, workers: int = 1, ps: int = 0) -> Run:
    several = TensorflowConfiguration(workers, ps) if workers > 1 else None
    return experiment.submit(
        ScriptRunConfig(
            script="train.py", files={"train.py": script}, environment="current", distributed_job_config=several
        )
    )


def test_each_rank_is_told_live_and_after(world: World, experiment: Experiment) -> None:
    run = submit(experiment, LAGS, 2, 1)

    def lags() -> bool:
        ranks = run.get_ranks()
        return [one["status"] for one in ranks] == ["running"] * 3 and ranks[1]["step"] == 4

    eventually(lags, "they are not: {}", run.get_ranks)
    ranks = run.get_ranks()
    assert [(one["rank"], one["role"], one["node"], one["host"]) for one in ranks] == [
        (0, "worker 0", 0, "local"), (1, "worker 1", 1, "local"), (2, "ps 0", 0, "local"),
    ]  # fmt: skip
    first, second, server = ranks
    assert (first["step"], first["behind"]) == (4, 0.0)
    assert second["behind"] is not None
    assert second["behind"] >= 0.3
    assert (server["step"], server["behind"], server["exit"]) == (None, None, "")
    state = run.refresh()
    assert state["processes"] == 3
    assert state["ranks"] is not None
    assert state["ranks"]["failed"] is None
    assert [one["status"] for one in state["ranks"]["ranks"]] == ["running"] * 3
    (world.layout.run(run.id) / "work" / "go").touch()
    run.wait_for_completion(raise_on_error=False, wait_post_processing=True)
    for told in (run.get_ranks(), (run.refresh()["ranks"] or {})["ranks"]):
        assert [(one["status"], one["exit"]) for one in told] == [
            ("ended", "ended: another rank failed"), ("failed", "exit code 1"), ("ended", "ended: another rank failed"),
        ]  # fmt: skip
    assert (run.refresh()["ranks"] or {})["failed"] == 1
    world.kill_service()
    assert [one["status"] for one in run.get_ranks()] == ["ended", "failed", "ended"], "the record tells it too"


def test_a_rank_whose_supervisor_is_killed_is_lost(world: World, experiment: Experiment) -> None:
    run = submit(experiment, "import time\ntime.sleep(10_000)\n", 2)
    eventually(lambda: [one["status"] for one in run.get_ranks()] == ["running"] * 2, "they do not run")
    start = json.loads((world.layout.run(run.id) / "shim" / "r1.start.json").read_text())
    os.kill(start["shim_pid"], signal.SIGKILL)
    run.wait_for_completion(raise_on_error=False, wait_post_processing=True)
    assert [one["status"] for one in run.get_ranks()] == ["ended", "lost"]
    assert (run.refresh()["ranks"] or {})["failed"] == 1


def test_what_more_processes_gave(experiment: Experiment) -> None:
    run = submit(experiment, COUNTS, 2)
    run.wait_for_completion(wait_post_processing=True)
    found = run.scaling()
    assert (found.examples, found.per_rank, found.processes) == (140.0, (80.0, 60.0), 2)
    assert found.efficiency is None
    assert "submit it once without `distributed_job_config`" in repr(found)

    other = submit(experiment, COUNTS + "\n# another script\n")
    other.wait_for_completion(wait_post_processing=True)
    assert run.scaling().baseline is None, "it did other work"
    given = run.scaling(baseline=other)
    assert (given.baseline, given.baseline_examples, given.efficiency) == (other.display_name, 100.0, 0.7)
    assert "70%" in repr(given)
    with pytest.raises(UsageError, match="2 processes"):
        other.scaling(baseline=run)

    alone = submit(experiment, COUNTS)
    alone.wait_for_completion(wait_post_processing=True)
    assert alone.refresh()["ranks"] is None
    assert "others are compared with it" in repr(alone.scaling())
    again = submit(experiment, COUNTS, 2)
    again.wait_for_completion(wait_post_processing=True)
    assert (again.scaling().baseline, again.scaling().efficiency) == (alone.display_name, 0.7)
    told = again.refresh()["ranks"]
    assert told is not None
    assert told["scaling"] is not None
    assert (told["examples"], told["scaling"]["efficiency"]) == (140.0, 0.7)
    assert {rank: metrics["examples_per_second"][-1] for rank, metrics in again.get_metrics(rank="all").items()} == {
        0: 80.0,
        1: 60.0,
    }
