"""Runs that go on: from the outputs of an earlier run, and from their own where their processes were lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain import AmlCompute, ComputeTarget, Dataset
from jupyter_mltrain.api.config import RunConfiguration, ScriptRunConfig
from jupyter_mltrain.api.distributed import TensorflowConfiguration
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.resuming import DataPathComputeBinding
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.errors import (
    ConflictError,
    InvalidName,
    MLTrainError,
    PathNotFound,
    RunFailed,
    RunNotFound,
    UsageError,
)
from tests.faults.world import World, eventually, kill

TRAINING = """
import argparse, json, os, random, sys, time
from jupyter_mltrain import Run

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=8)
parser.add_argument("--hold", type=int, default=-1)
parser.add_argument("--resume-from")
given = parser.parse_args()
run = Run.get_context()
print("attempt", run.attempt, "of rank", run.rank, "from", run.resume_from, flush=True)
own = "checkpoint.json" if run.rank == 0 else f"checkpoint-{run.rank}.json"
state = {"step": 0, "weight": 1.0, "random": random.Random(7).getstate()}
if run.resume_from and os.path.exists(os.path.join(run.resume_from, own)):
    state = json.load(open(os.path.join(run.resume_from, own)))
numbers = random.Random()
numbers.setstate((state["random"][0], tuple(state["random"][1]), state["random"][2]))
while state["step"] < given.steps:
    if run.attempt == 1 and state["step"] == given.hold:
        open(f"outputs/held-{run.rank}", "w").close()
        print("holds", flush=True)
        time.sleep(600)
    state["step"] += 1
    state["weight"] -= 0.1 * (state["weight"] - numbers.random())
    run.log("weight", state["weight"], step=state["step"])
    state["random"] = numbers.getstate()
    with open("outputs/new", "w") as file:
        json.dump(state, file)
    os.replace("outputs/new", f"outputs/{own}")
"""


def config(*arguments: Any, **more: Any) -> ScriptRunConfig:
    files = {"train.py": TRAINING}
    return ScriptRunConfig(script="train.py", files=files, arguments=arguments, environment="current", **more)


def done(run: Run) -> Run:
    run.wait_for_completion(wait_post_processing=True)
    return run


def checkpoint(world: World, run: Run) -> dict[str, object]:
    return json.loads((world.layout.run(run.id) / "outputs" / "checkpoint.json").read_text())


def lose(world: World, run: Run, *ranks: int) -> None:
    """Kill the script and its supervisor, as a machine does that loses power."""
    folder = world.layout.run(run.id)
    for rank in ranks:
        eventually((folder / "work" / "outputs" / f"held-{rank}").exists, "the script does not get there")
        start = json.loads((folder / "shim" / f"r{rank}.start.json").read_text())
        kill(start["shim_pid"])
        kill(start["pid"])


@pytest.fixture
def whole(world: World, experiment: Experiment) -> Run:
    """The training, undisturbed."""
    return done(experiment.submit(config()))


def test_a_lost_run_goes_on_from_its_checkpoint(world: World, experiment: Experiment, whole: Run) -> None:
    run = experiment.submit(config("--hold", 5, retries=2))
    eventually(lambda: run.get_status() == "Running", "it does not run")
    # Nobody looks while it happens: who comes later finds it gone.
    world.kill_service()
    lose(world, run, 0)
    state = done(run).refresh()
    assert checkpoint(world, run) == checkpoint(world, whole)
    assert run.series("weight")["values"] == whole.series("weight")["values"], "no step is missing or was done twice"
    path = [change["status"] for change in state["history"]]
    assert path[path.index("Running") :] == ["Running", "Queued", "Starting", "Running", "Finalizing", "Completed"]
    (lost,) = [change for change in state["history"] if change["reason"].startswith("lost")]
    assert lost["reason"] == "lost: supervisor lost, exit code unknown"
    assert set(lost["evidence"]) == {"lost", "seen", "exits", "stop"}
    assert lost["evidence"]["seen"]["ranks"]["0"]["alive"] is False
    assert any("Attempt 1 was lost" in notice for notice in state["notices"])
    assert {stage["name"]: stage["note"] for stage in state["stages"]}["Running"] == "attempt 2"
    first, _, second = run.get_log().partition("jupyter_mltrain: lost: supervisor lost")
    assert "attempt 1 of rank 0 from None" in first
    assert "attempt 2 of rank 0 from" in second
    assert "work/outputs" in second


def test_a_run_that_is_lost_too_often_has_failed(world: World, experiment: Experiment) -> None:
    run = experiment.submit(config("--hold", 2))
    lose(world, run, 0)
    with pytest.raises(RunFailed, match="Supervisor lost"):
        done(run)
    assert "Queued" not in [change["status"] for change in run.refresh()["history"]][3:]
    assert checkpoint(world, run)["step"] == 2, "what it had made is kept"


def test_all_ranks_begin_again(world: World, experiment: Experiment, whole: Run) -> None:
    """One rank is lost: the run is, and every rank goes on from where it was."""
    run = experiment.submit(
        config("--hold", 4, retries=1, distributed_job_config=TensorflowConfiguration(2, 0)),
    )
    folder = world.layout.run(run.id)
    eventually((folder / "work" / "outputs" / "held-0").exists, "the first rank does not get there")
    lose(world, run, 1)
    done(run)
    assert run.refresh()["notices"][-1].startswith("Attempt 1 was lost")
    expected = checkpoint(world, whole)
    assert checkpoint(world, run) == expected
    assert json.loads((folder / "outputs" / "checkpoint-1.json").read_text()) == expected
    for rank in (0, 1):
        assert f"attempt 2 of rank {rank}" in (folder / "streams" / f"r{rank}.log").read_text()


def test_a_run_of_low_priority_that_is_lost_begins_again(world: World, experiment: Experiment) -> None:
    asked = AmlCompute.provisioning_configuration("STANDARD_D1_V2", "lowpriority", max_nodes=1)
    ComputeTarget.create(experiment.workspace, "cheap", asked)
    run = experiment.submit(config("--hold", 3, compute_target="cheap"))
    lose(world, run, 0)
    done(run)
    assert checkpoint(world, run)["step"] == 8
    assert [change["status"] for change in run.refresh()["history"]].count("Queued") == 2


def test_a_run_goes_on_from_another(world: World, experiment: Experiment, whole: Run) -> None:
    """By each way to say it, in one process and in two; whatever became of the earlier run."""
    half = done(experiment.submit(config("--steps", 4)))
    canceled = experiment.submit(config("--hold", 4))
    eventually((world.layout.run(canceled.id) / "work" / "outputs" / "held-0").exists, "it does not get there")
    with pytest.raises(ConflictError, match=f"{canceled.display_name} is Running") as refused:
        experiment.submit(config(resume_from=canceled))
    assert "Wait for it" in refused.value.mend
    canceled.cancel()
    eventually(lambda: canceled.get_status() == "Canceled", "it does not end")
    before = checkpoint(world, half)

    reference = half._get_outputs_datapath().create_data_reference(
        "model_location", datapath_compute_binding=DataPathComputeBinding(mode="mount")
    )
    by_reference = RunConfiguration()
    by_reference.data_references = {reference.data_reference_name: reference.to_config()}
    two = TensorflowConfiguration(2, 0)
    runs = [
        experiment.submit(config(resume_from=half)),
        experiment.submit(config(resume_from=canceled.display_name)),
        experiment.submit(config(resume_from=half._get_outputs_datapath(), distributed_job_config=two)),
        experiment.submit(config("--resume-from", reference)),
        experiment.submit(config("--resume-from", str(reference), run_config=by_reference)),
    ]
    for run in map(done, runs):
        assert checkpoint(world, run) == checkpoint(world, whole)
        folder = world.layout.run(run.id)
        (said,) = [read for read in run.refresh()["data"] if read.get("input") == "resume_from"]
        source = canceled if run is runs[1] else half
        assert (said["name"], said["files"] > 0) == (f"outputs of {source.display_name}", True)
        assert run.get_details()["runDefinition"]["resume_from"] == source.id
        assert run.state["arguments"][-2:] == ["--resume-from", "DatasetConsumptionConfig:resume_from"]
        assert f"from {world.layout.run(source.id) / 'outputs'}" in (folder / "streams" / "r0.log").read_text()
    both = [
        (world.layout.run(runs[2].id) / "streams" / f"r{rank}.log").read_text().split(" from ")[1] for rank in (0, 1)
    ]
    assert both[0] == both[1], "each rank sees the same folder"
    again = done(runs[0].rerun())
    assert checkpoint(world, again) == checkpoint(world, whole)
    assert checkpoint(world, half) == before
    assert not any("changed while" in notice for notice in again.refresh()["notices"])


def test_what_cannot_be_gone_on_from_is_told(
    world: World, experiment: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = done(experiment.submit(ScriptRunConfig(script="a.py", files={"a.py": "print(1)"}, environment="current")))
    made = done(experiment.submit(config("--steps", 1)))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").touch()
    named = Dataset.File.from_files(tmp_path / "d").as_named_input("resume_from").as_mount()
    other = Run(Experiment(Workspace.create("other", path=tmp_path / "other"), "e"), "e_1_abc")
    other._state = {"display_name": "far-fox-1"}  # type: ignore[typeddict-item]
    wrong: list[tuple[type[MLTrainError], str, ScriptRunConfig]] = [
        (PathNotFound, f"{empty.display_name} left no outputs", config(resume_from=empty)),
        (RunNotFound, "There is no run 'nobody'", config(resume_from="nobody")),
        (UsageError, "far-fox-1 is in the workspace 'other'", config(resume_from=other)),
        (UsageError, "resume_from is a int", config(resume_from=7)),
        (UsageError, "of their own", config("--resume-from", "x", resume_from=made)),
        (InvalidName, "a dataset has that name", config("--resume-from", named, resume_from=made)),
    ]
    for kind, said, refused in wrong:
        with pytest.raises(kind, match=said) as error:
            experiment.submit(refused)
        assert "\n" not in error.value.message
    assert len(list(experiment.get_runs())) == 2, "nothing was started"
    # One that was removed since: told when the run is prepared, and by `rerun`.
    later = done(experiment.submit(config(resume_from=made)))
    experiment.workspace.connection.post("/v1/prune", {"older_than": 0, "keep": 1, "dry_run": False})
    with pytest.raises(RunNotFound):
        later.rerun()
