"""A pool of low priority gives way: real processes, told in the history, begun anew with what they kept."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_mltrain import AmlCompute, ComputeTarget
from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.run import Run
from tests.faults.world import World, eventually

TRAINING = """
import os, signal, sys, time
from jupyter_mltrain import Run
run = Run.get_context()
again = os.path.exists("outputs/checkpoint")
print("again" if again else "first", sorted(os.listdir(".")), flush=True)
open("scratch", "w").write("x")
run.log("execution", 2 if again else 1)
if not again:
    child = run.child_run("fold")
    def stop(*_):
        open("outputs/checkpoint", "w").write("7")
        sys.exit(0)
    signal.signal(signal.SIGTERM, stop)
    time.sleep(600)
run.log("resumed", int(open("outputs/checkpoint").read()))
"""


@pytest.fixture
def experiment(world: World, experiment: Experiment) -> Experiment:
    """On a machine with memory for one node."""
    text = world.layout.config.read_text(encoding="utf-8")
    world.layout.config.write_text(
        text.replace("[targets.local]\n", "[targets.local]\nmemory_gb = 4\n"), encoding="utf-8"
    )
    for name, priority in (("pool", "dedicated"), ("cheap", "lowpriority")):
        asked = AmlCompute.provisioning_configuration("STANDARD_D1_V2", priority, max_nodes=1)
        ComputeTarget.create(experiment.workspace, name, asked)
    return experiment


def submit(experiment: Experiment, target: str, script: str, **more: Any) -> Run:
    files = {"a.py": script}
    return experiment.submit(
        ScriptRunConfig(script="a.py", files=files, environment="current", compute_target=target, **more)
    )


def test_a_run_of_low_priority_gives_way_and_begins_again(experiment: Experiment) -> None:
    cheap = submit(experiment, "cheap", TRAINING)
    eventually(lambda: cheap.get_status() == "Running" and list(cheap.get_children()), "it does not run")
    other = submit(experiment, "pool", "print('here')")
    other.wait_for_completion(wait_post_processing=True)
    cheap.wait_for_completion(wait_post_processing=True)
    state = cheap.refresh()
    path = [change["status"] for change in state["history"]]
    assert path[path.index("Running") :] == ["Running", "Queued", "Starting", "Running", "Finalizing", "Completed"]
    (again,) = [change for change in state["history"] if change["reason"].startswith("preempted")]
    assert again["reason"] == f"preempted by {other.display_name} (pool)"
    assert again["evidence"]["preempted_by"] == {"run": other.id, "name": other.display_name, "target": "pool"}
    assert again["evidence"]["exits"][0]["stopped"] == "requested"
    assert "SIGTERM" in again["evidence"]["stop"]["signals"]
    # What the SDK keeps is kept: outputs, metrics, the log; the rest of the working folder is new.
    assert cheap.get_metrics() == {"execution": [1, 2], "resumed": 7}
    assert cheap.series("execution")["values"] == [1, 2]
    log = cheap.get_log()
    first, _, second = log.partition(f"jupyter_mltrain: preempted by {other.display_name}")
    assert "first" in first
    assert "again" in second
    assert "scratch" not in second
    assert "outputs/checkpoint" in cheap.get_file_names()
    assert {stage["name"]: stage["state"] for stage in state["stages"]} == dict.fromkeys(
        ("Preparing", "Queued", "Starting", "Running", "Finalizing"), "done"
    )
    (child,) = cheap.get_children()
    assert child.get_status() == "Canceled", "it was of the execution that is gone"
    assert [node["runId"] for node in ComputeTarget(experiment.workspace, "cheap").list_nodes()] == [None]


def test_nobody_of_another_kind_gives_way(experiment: Experiment) -> None:
    """Not a dedicated run for one of low priority, nor one of low priority for its own kind."""
    first = submit(experiment, "pool", "import time\ntime.sleep(600)")
    eventually(lambda: first.get_status() == "Running", "it does not run")
    cheap = submit(experiment, "cheap", "import time\ntime.sleep(600)")

    def said() -> bool:
        return any("GB of this machine's memory are free" in stage["note"] for stage in cheap.refresh()["stages"])

    eventually(said, "it does not say what it waits for")
    assert {s["name"]: s["state"] for s in cheap.state["stages"]}["Queued"] == "active"
    first.cancel()
    eventually(lambda: cheap.get_status() == "Running", "it does not run")
    mate = submit(experiment, "cheap", "print(1)")
    eventually(lambda: mate.get_status() == "Queued", "it does not wait")
    assert cheap.get_status() == "Running"
    cheap.cancel()
    mate.wait_for_completion(wait_post_processing=True)
    for run in (first, cheap):
        run.wait_for_completion(wait_post_processing=True, raise_on_error=False)
    assert (first.get_status(), cheap.get_status()) == ("Canceled", "Canceled")


def test_one_that_was_preempted_waits_in_front_and_can_be_canceled(experiment: Experiment) -> None:
    cheap = submit(experiment, "cheap", "import time\nopen('outputs/kept', 'w').close()\ntime.sleep(600)")
    eventually(lambda: cheap.get_status() == "Running", "it does not run")
    eventually(lambda: "outputs/kept" in cheap.get_file_names(), "it does not write")
    later = submit(experiment, "cheap", "print(2)")
    other = submit(experiment, "pool", "import time\ntime.sleep(600)")
    eventually(lambda: other.get_status() == "Running", "nobody gave way: {}", lambda: other.refresh()["stages"])
    eventually(lambda: cheap.refresh()["queue_position"] == 1, "it is not in front")
    assert cheap.get_status() == "Queued"
    assert {s["name"]: s["state"] for s in cheap.state["stages"]}["Queued"] == "active"
    assert {s["name"]: s["state"] for s in cheap.state["stages"]}["Running"] == "pending"
    cheap.cancel()
    eventually(lambda: cheap.get_status() == "Canceled", "it was not cancelled: {}", cheap.get_status)
    assert "outputs/kept" in cheap.get_file_names()
    assert cheap.refresh()["outputs"]["files"] == 1
    other.cancel()
    later.wait_for_completion(wait_post_processing=True)
