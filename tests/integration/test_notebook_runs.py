"""Runs that a kernel logs itself, and runs below runs."""

from __future__ import annotations

import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.lookup import run as run_named
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.errors import ConflictError, RunNotFound, UserErrorException
from tests.faults.world import World, eventually, kill


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "nb.py").write_text("print('the notebook')")
    monkeypatch.chdir(folder)
    return folder


def test_a_notebook_logs_a_run_and_completes_it(experiment: Experiment, here: Path, tmp_path: Path) -> None:
    run = experiment.start_logging()
    assert run.get_status() == "Running"
    assert (here / "outputs").is_dir(), "notebooks depend on it being made"
    for step in range(3):
        run.log("loss", 1 / (step + 1), step=step)
    run.log_row("epoch", lr=0.1, n=1)
    run.log_list("many", range(3))
    (here / "outputs" / "model.txt").write_text("weights")
    (here / "other.txt").write_text("uploaded")
    run.upload_file("other.txt", "other.txt")
    run.complete()
    assert run.get_status() == "Completed"
    metrics = run.get_metrics()
    assert metrics == {"loss": [1, 0.5, 1 / 3], "epoch": {"lr": 0.1, "n": 1}, "many": [0, 1, 2]}
    assert {"outputs/model.txt", "outputs/other.txt"} <= set(run.get_file_names())
    assert run.series("loss")["values"] == [1, 0.5, 1 / 3], "the card's charts have it too"
    archive = run.restore_snapshot(path=tmp_path / "snapshots")
    assert Path(archive).name == f"{run.get_snapshot_id()}.zip"
    assert zipfile.ZipFile(archive).read("nb.py") == b"print('the notebook')"
    assert "Type: mltrain.notebookrun" in repr(run)


def test_what_is_raised_within_is_the_cause(experiment: Experiment) -> None:
    run = experiment.start_logging(snapshot_directory=None)
    with pytest.raises(ZeroDivisionError), run:
        _ = 1 / 0
    state = run.refresh()
    assert state["status"] == "Failed"
    assert "ZeroDivisionError" in state["failure"]["title"]
    with experiment.start_logging(snapshot_directory=None) as good:
        raise SystemExit(0)
    assert good.get_status() == "Completed"


def test_fail_says_why(experiment: Experiment) -> None:
    run = experiment.start_logging(snapshot_directory=None)
    run.fail("the data is upside down", error_code="E7")
    assert run.get_status() == "Failed"
    assert "E7: the data is upside down" in run.get_log()
    with pytest.raises(ConflictError):
        run.complete()


def test_a_cancel_ends_the_run_and_not_the_notebook(experiment: Experiment) -> None:
    run = experiment.start_logging(snapshot_directory=None)
    run.cancel()
    eventually(lambda: run.get_status() == "Canceled", "it was not cancelled: {}", run.get_status)
    run.log("late", 1)
    with pytest.raises(ConflictError, match="ended"):
        run.complete()


def test_a_kernel_that_dies_takes_its_run_with_it(world: World, experiment: Experiment) -> None:
    code = (
        "import sys, time\n"
        "from jupyter_mltrain import Experiment, Workspace\n"
        f"run = Experiment(Workspace({str(world.root)!r}), 'tests').start_logging(snapshot_directory=None)\n"
        "run.log('loss', 0.5)\nprint(run.id, flush=True)\ntime.sleep(600)\n"
    )
    kernel = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert kernel.stdout is not None
    run_id = kernel.stdout.readline().strip()
    kernel.stdout.close()
    kill(kernel.pid)
    kernel.wait()
    run = run_named(run_id, experiment.workspace)
    eventually(lambda: run.get_status() == "Failed", "it did not fail: {}", run.get_status)
    assert "kernel" in run.refresh()["failure"]["title"]
    assert run.get_metrics() == {"loss": 0.5}


def test_it_goes_on_over_a_restart_of_the_service(world: World, experiment: Experiment) -> None:
    run = experiment.start_logging(snapshot_directory=None)
    run.log("loss", 1)
    world.kill_service()
    run.log("loss", 2)
    assert run.get_status() == "Running"
    run.complete()
    assert run.get_metrics()["loss"] == [1, 2]
    assert run.series("loss")["values"] == [1, 2]


def test_children(experiment: Experiment) -> None:
    with experiment.start_logging(snapshot_directory=None) as parent:
        for fold in parent.create_children(tag_key="fold", tag_values=["1", "2"]):
            fold.log("accuracy", 0.9)
            fold.complete()
        with parent.child_run("deep") as child, child.child_run("deeper") as grandchild:
            grandchild.log("x", 1)
        submitted = parent.submit_child(
            ScriptRunConfig(script="a.py", files={"a.py": "print(1)"}, environment="current")
        )
        submitted.wait_for_completion()
    assert [run.id for run in experiment.get_runs()] == [parent.id], "children are not shown unless asked for"
    assert len(list(experiment.get_runs(include_children=True))) == 6
    assert len(list(parent.get_children())) == 4
    assert len(list(parent.get_children(recursive=True))) == 5
    assert [run.get_tags() for run in parent.get_children(tags={"fold": "2"})] == [{"fold": "2"}]
    assert [run.id for run in parent.get_children(type="mltrain.scriptrun")] == [submitted.id]
    assert grandchild.parent is not None
    assert grandchild.parent.id == child.id
    assert parent.parent is None
    metrics = parent.get_metrics(recursive=True)
    assert metrics[grandchild.id] == {"x": 1}
    with pytest.raises(UserErrorException, match="count"):
        parent.create_children()
    with pytest.raises(RunNotFound):
        experiment.submit(ScriptRunConfig(script="a.py", files={"a.py": ""}, environment="current"), parent="none")


def test_properties_never_change_and_runs_are_found_by_them(experiment: Experiment) -> None:
    script = "from jupyter_mltrain import Run\nrun = Run.get_context()\nrun.add_properties({'by': 'script'})\nrun.tag('kind', 'b')\n"
    config = ScriptRunConfig(script="a.py", files={"a.py": script}, environment="current")
    run = experiment.submit(config, tags={"kind": "a"})
    run.wait_for_completion(wait_post_processing=True)
    run.add_properties({"accuracy": 0.9})  # type: ignore[dict-item]
    run.add_properties({"accuracy": "0.9"})
    assert run.get_properties() == {"by": "script", "accuracy": "0.9"}
    for wrong in ({"accuracy": "1"}, {"by": "me"}):
        with pytest.raises(ConflictError, match="never change"):
            run.add_properties(wrong)
    other = experiment.submit(config)
    other.wait_for_completion(wait_post_processing=True)
    assert [one.id for one in experiment.get_runs(properties="accuracy")] == [run.id]
    assert [one.id for one in experiment.get_runs(tags={"kind": "b"})] == [other.id]
    assert [one.id for one in experiment.get_runs(tags={"kind": "a"}, properties={"by": "script"})] == [run.id]
    assert list(experiment.get_runs(tags={"kind": 'a" OR 1=1'})) == []
    run.remove_tags(["kind"])
    assert run.get_tags() == {}


def test_experiments_are_listed(workspace: Workspace) -> None:
    for name in ("first", "second"):
        with Experiment(workspace, name).start_logging(snapshot_directory=None):
            time.sleep(0.01)
    assert [one.name for one in Experiment.list(workspace)] == ["second", "first"]
    assert set(workspace.experiments) == {"first", "second"}


def test_a_notebook_is_no_place_to_submit_to(experiment: Experiment) -> None:
    config = ScriptRunConfig(script="a.py", files={"a.py": ""}, environment="current", compute_target="notebook")
    with pytest.raises(UserErrorException, match="start_logging"):
        experiment.submit(config)
    with experiment.start_logging(snapshot_directory=None) as run:
        pass
    with pytest.raises(ConflictError, match="submit again"):
        run.rerun()
