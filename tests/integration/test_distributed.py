"""Runs of several processes through the Python API: all of them are one run, and end together."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.distributed import MpiConfiguration, TensorflowConfiguration
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.core.wire import Failure
from jupyter_mltrain.errors import PreflightError, ResourceUnavailable, RunFailed
from jupyter_mltrain.testing.bench import gone, living
from tests.faults.world import World, eventually

SAY = """
import json, os, sys, time
from jupyter_mltrain import Run
run = Run.get_context()
config = json.loads(os.environ["TF_CONFIG"])
task = config["task"]
print("here is", task["type"], task["index"], "as rank", run.rank)
run.log("rank", run.rank)
open(f"outputs/{task['type']}-{task['index']}.json", "w").write(json.dumps([config, os.getpid()]))
"""


def submit(experiment: Experiment, script: str, workers: int = 2, ps: int = 0, **more: Any) -> Run:
    return experiment.submit(
        ScriptRunConfig(
            script="train.py",
            files={"train.py": script},
            environment="current",
            distributed_job_config=TensorflowConfiguration(workers, ps, **more),
        )
    )


def pids(world: World, run: Run, count: int) -> dict[str, int]:
    """The processes of a run by task, once so many are there."""
    found: dict[str, int] = {}

    def there() -> bool:
        for path in (world.layout.run(run.id) / "work" / "outputs").glob("*-*.json"):
            if text := path.read_text():
                found[path.stem] = json.loads(text)[1]
        return len(found) == count

    eventually(there, "not all processes came: {}", lambda: found)
    return found


def failure(run: Run) -> Failure:
    with pytest.raises(RunFailed):
        run.wait_for_completion(wait_post_processing=True)
    told = run.refresh()["failure"]
    assert told is not None
    return told


def test_all_processes_are_one_run(world: World, experiment: Experiment) -> None:
    # Workers that are done would end the server before it has said a word.
    run = submit(experiment, SAY + "while len(os.listdir('outputs')) < 3:\n    time.sleep(0.05)\n", 2, 1)
    run.wait_for_completion(wait_post_processing=True)
    folder = world.layout.run(run.id) / "outputs"
    configs = [json.loads((folder / f"{task}.json").read_text())[0] for task in ("worker-0", "worker-1", "ps-0")]
    cluster = configs[0]["cluster"]
    assert [len(cluster["worker"]), len(cluster["ps"])] == [2, 1]
    addresses = [*cluster["worker"], *cluster["ps"]]
    assert len(set(addresses)) == 3
    assert all(address.startswith("127.0.0.1:") for address in addresses)
    assert all(config["cluster"] == cluster and config["environment"] == "cloud" for config in configs)
    assert [config["task"] for config in configs] == [
        {"type": "worker", "index": 0}, {"type": "worker", "index": 1}, {"type": "ps", "index": 0},
    ]  # fmt: skip
    assert run.get_metrics() == {"rank": 0}, "the metrics are those of rank 0"
    assert [m["rank"] for m in run.refresh()["metrics"]] == [0, 1, 2]
    assert run.get_metrics(rank=2) == {"rank": 2}
    assert "here is worker 0 as rank 0" in run.get_log()
    assert "here is ps 0 as rank 2" in run.get_log("user_logs/std_log_2.txt")
    exits = run.refresh()["history"][-2]["evidence"]["exits"]
    assert [(e["rank"], e["code"]) for e in exits[:2]] == [(0, 0), (1, 0)]
    assert (exits[2]["rank"], exits[2]["stopped"]) == (2, "the others are done") or exits[2]["code"] == 0


def test_who_never_returns_is_ended_when_the_chief_is_done(experiment: Experiment) -> None:
    run = submit(experiment, SAY + 'time.sleep(1 if task["type"] == "chief" else 10_000)\n', 1, 1, chief=True)
    run.wait_for_completion(wait_post_processing=True)
    assert run.get_status() == "Completed"
    exits = run.refresh()["history"][-2]["evidence"]["exits"]
    assert [e["stopped"] for e in exits] == ["", "the others are done", "the others are done"]


def test_an_evaluator_has_time_for_what_the_others_left(world: World, experiment: Experiment) -> None:
    script = SAY + (
        'if task["type"] == "evaluator":\n'
        '    while not os.path.exists("../shim/r0.exit.json"):\n'
        "        time.sleep(0.05)\n"
        "    time.sleep(3)  # longer than it takes to see that the others are done\n"
        '    open("outputs/score", "w").write("0.9")\n'
    )
    run = submit(experiment, script, 1, 0, evaluator=True)
    run.wait_for_completion(wait_post_processing=True)
    exits = run.refresh()["history"][-2]["evidence"]["exits"]
    assert [(e["code"], e["stopped"]) for e in exits] == [(0, ""), (0, "")]
    outputs = world.layout.run(run.id) / "outputs"
    assert (outputs / "score").read_text() == "0.9"
    config = json.loads((outputs / "evaluator-0.json").read_text())[0]
    assert list(config["cluster"]) == ["worker"]


def test_who_does_not_join_is_named(experiment: Experiment) -> None:
    script = SAY + (
        "import socket\n"
        'if task["index"] == 0:\n'
        '    host, _, port = config["cluster"]["worker"][0].partition(":")\n'
        "    server = socket.create_server((host, int(port)))\n"
        "time.sleep(10_000)\n"
    )
    run = submit(experiment, script, 2, 0, join_timeout_seconds=1)
    told = failure(run)
    assert told["title"].startswith("Rank 1 (worker 1, node 1) did not join the others within 1 s")
    assert (told["rank"], told["evidence"][-1]) == (1, "ended for it: rank 1")
    assert "--join-timeout" in told["mend"]
    assert not living(run.id)


def test_the_first_failure_ends_the_others_and_leads(experiment: Experiment) -> None:
    script = SAY + 'time.sleep(1)\nif run.rank == 1:\n    raise ValueError("no such batch")\ntime.sleep(10_000)\n'
    run = submit(experiment, script, 3)
    told = failure(run)
    assert (told["title"], told["rank"]) == ("ValueError: no such batch on rank 1", 1)
    assert "raise ValueError" in (told["traceback"] or "")
    assert told["evidence"][-1] == "ended for it: rank 0, rank 2"
    exits = {e["rank"]: e for e in run.refresh()["history"][-2]["evidence"]["exits"]}
    assert max(e["ended"] for e in exits.values()) - exits[1]["ended"] < 60
    assert not living(run.id)


def test_a_killed_rank_ends_the_run(world: World, experiment: Experiment) -> None:
    run = submit(experiment, SAY + "time.sleep(10_000)\n")
    os.kill(pids(world, run, 2)["worker-1"], signal.SIGKILL)
    told = failure(run)
    assert "SIGKILL on rank 1" in told["title"]
    assert not living(run.id)


def test_a_killed_service_changes_nothing(world: World, experiment: Experiment) -> None:
    script = SAY + 'while not os.path.exists("go"):\n    time.sleep(0.05)\n'
    run = submit(experiment, script)
    before = pids(world, run, 2)
    eventually(lambda: run.refresh()["status"] == "Running", "it does not run")
    world.kill_service()
    (world.layout.run(run.id) / "work" / "go").touch()
    run.wait_for_completion(wait_post_processing=True)
    assert all(gone(pid) for pid in before.values())
    assert not living(run.id)


def test_without_a_service_the_ranks_still_end_together(world: World, experiment: Experiment) -> None:
    run = submit(experiment, SAY + "time.sleep(10_000)\n", 2, 1)
    there = pids(world, run, 3)
    world.kill_service()
    os.kill(there["worker-0"], signal.SIGKILL)
    eventually(lambda: not living(run.id), "processes are left: {}", lambda: living(run.id))
    assert "SIGKILL on rank 0" in failure(run)["title"]


def test_a_cancel_ends_all(world: World, experiment: Experiment) -> None:
    run = submit(experiment, SAY + "time.sleep(10_000)\n")
    there = pids(world, run, 2)
    run.cancel()
    run.wait_for_completion(raise_on_error=False, wait_post_processing=True)
    assert run.get_status() == "Canceled"
    assert all(gone(pid) for pid in there.values())


def test_what_cannot_run_is_refused_before_anything_is_there(experiment: Experiment) -> None:
    def config(how: MpiConfiguration | TensorflowConfiguration, **more: object) -> ScriptRunConfig:
        return ScriptRunConfig(
            script="a.py", files={"a.py": SAY}, environment="current", distributed_job_config=how, **more
        )  # type: ignore[arg-type]

    with pytest.raises(PreflightError, match="'current' has no Horovod, which 2 processes") as told:
        experiment.submit(config(MpiConfiguration(node_count=2)))
    assert "`-e tensorflow-horovod`" in told.value.mend
    with pytest.raises(ResourceUnavailable, match="256 CPUs asked for; target 'local' has"):
        experiment.submit(config(TensorflowConfiguration(256, 0), cpus=1))
    assert list(experiment.get_runs()) == []
