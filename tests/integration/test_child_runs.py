"""Runs that a script keeps below its own: nothing but its streams tells of them."""

from __future__ import annotations

import time

import pytest

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.errors import ConflictError
from tests.faults.world import UNTIL_TOLD, World, eventually

FOLDS = """
import sys, time
from azureml.core import Run
run = Run.get_context()
run.log("loss", 7)
for fold in range(3):
    with run.child_run(f"fold {fold}") as child:
        child.tag("fold", fold)
        for step in range(5):
            child.log("accuracy", fold + step / 10, step=step)
        child.log_row("table", a=fold, b="x")
        child.upload_file("weights.txt", "weights.txt")
        with child.child_run("deeper") as deeper:
            deeper.log("x", float("nan"))
first, second = run.create_children(tag_key="kind", tag_values=["bad", "given up"])
try:
    with first:
        first.log("y", 1)
        raise ValueError("the data is upside down")
except ValueError:
    pass
second.cancel()
second.log("late", 1)
"""


def submit(experiment: Experiment, script: str) -> Run:
    files = {"a.py": script, "weights.txt": "w"}
    return experiment.submit(ScriptRunConfig(script="a.py", files=files, environment="current"))


def by_name(run: Run, *, recursive: bool = False) -> dict[str, Run]:
    return {child.display_name: child for child in run.get_children(recursive=recursive)}


def test_folds_of_a_script(experiment: Experiment) -> None:
    run = submit(experiment, FOLDS)
    run.wait_for_completion(wait_post_processing=True)
    assert run.get_metrics() == {"loss": 7}, "what the children logged is theirs"
    children = by_name(run)
    assert len(children) == 5
    for fold in range(3):
        child = children[f"fold {fold}"]
        assert child.get_status() == "Completed"
        assert child.get_metrics()["accuracy"] == [fold + step / 10 for step in range(5)]
        assert child.get_metrics()["table"] == {"a": fold, "b": "x"}
        assert child.series("accuracy")["values"] == [fold + step / 10 for step in range(5)], "its charts have it too"
        assert child.get_tags() == {"fold": str(fold)}
        assert "outputs/weights.txt" in child.get_file_names()
        assert child.refresh()["outputs"]["files"] == 1
        assert child.parent is not None
        assert child.parent.id == run.id
        (deeper,) = child.get_children()
        assert (deeper.display_name, deeper.get_status()) == ("deeper", "Completed")
    (bad,), (given_up,) = run.get_children(tags={"kind": "bad"}), run.get_children(tags={"kind": "given up"})
    assert bad.get_status() == "Failed"
    assert bad.refresh()["failure"]["title"] == "ValueError: the data is upside down"
    assert "Traceback" in bad.get_log()
    assert given_up.get_status() == "Canceled"
    assert "late" not in given_up.get_metrics()
    assert "has ended" in run.get_log()
    assert run.refresh()["outputs"]["files"] == 0, "their files are theirs"
    assert [one.id for one in experiment.get_runs()] == [run.id]
    assert len(list(experiment.get_runs(include_children=True))) == 9
    with pytest.raises(ConflictError, match="Submit the run that it is in again"):
        bad.rerun()


def test_what_a_child_says_is_seen_while_it_runs(world: World, experiment: Experiment) -> None:
    run = submit(
        experiment,
        "import time\nfrom jupyter_mltrain import Run\nchild = Run.get_context().child_run('now')\n"
        "child.log('x', 1)\ntime.sleep(600)\n",
    )
    eventually(lambda: by_name(run), "the child does not appear")
    child = by_name(run)["now"]
    eventually(lambda: child.get_metrics() == {"x": 1}, "its metrics do not: {}", child.get_metrics)
    eventually(lambda: child.get_status() == "Running", "it is {}", child.get_status)
    world.kill_service()
    assert child.get_status() == "Running"
    began = time.monotonic()
    run.cancel()
    run.wait_for_completion(wait_post_processing=True, raise_on_error=False)
    assert time.monotonic() - began < 300, "it waited for the script"
    assert (run.get_status(), child.get_status()) == ("Canceled", "Canceled")


@pytest.mark.parametrize(("end", "parent"), [("import os; os._exit(3)", "Failed"), ("", "Completed")])
def test_a_child_that_nobody_ended_has_failed(experiment: Experiment, end: str, parent: str) -> None:
    run = submit(
        experiment,
        f"from jupyter_mltrain import Run\nchild = Run.get_context().child_run('left')\nchild.log('x', 1)\n{end}\n",
    )
    run.wait_for_completion(wait_post_processing=True, raise_on_error=False)
    assert run.get_status() == parent
    child = by_name(run)["left"]
    assert child.get_status() == "Failed"
    assert child.refresh()["failure"]["title"] == "The script ended before it completed this run."
    assert child.get_metrics() == {"x": 1}


def test_a_child_can_be_canceled_from_outside(world: World, experiment: Experiment) -> None:
    run = submit(
        experiment,
        "import os, time\nfrom jupyter_mltrain import Run\n"
        f"child = Run.get_context().child_run('a')\n{UNTIL_TOLD}child.complete()\n",
    )
    eventually(lambda: by_name(run), "the child does not appear")
    child = by_name(run)["a"]
    child.cancel()
    eventually(lambda: child.get_status() == "Canceled", "it is {}", child.get_status)
    world.go_on()
    run.wait_for_completion(wait_post_processing=True)
    assert (run.get_status(), child.get_status()) == ("Completed", "Canceled")


def test_no_script_can_take_another_run_for_its_child(experiment: Experiment) -> None:
    other = submit(experiment, "pass")
    other.wait_for_completion(wait_post_processing=True)
    run = submit(
        experiment,
        "import json, os\nstreams = os.environ['MLTRAIN_STREAMS']\n"
        f"for name in ({other.id!r}, '.hidden'):\n"
        "    with open(f'{streams}/{name}.begin', 'w') as file:\n"
        "        file.write(json.dumps({'id': name, 'parent': 'x', 't': 1}) + '\\n')\n"
        "open(f'{streams}/junk.begin', 'w').write('no json\\n')\n",
    )
    run.wait_for_completion(wait_post_processing=True)
    assert run.get_status() == "Completed"
    assert list(run.get_children()) == []
    assert other.refresh()["parent"] is None
    assert any("not kept" in notice for notice in run.refresh()["notices"])
