"""A run through the Python API, from submit to its record."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.lookup import latest
from jupyter_mltrain.api.lookup import run as run_named
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.errors import ConflictError, PathNotFound, RunFailed
from tests.faults.world import UNTIL_TOLD, World, eventually, steady

ALL_KINDS = """
import sys
from jupyter_mltrain import Run
run = Run.get_context()
for i, value in enumerate([0.1, float("nan"), float("inf"), float("-inf"), 2**60 + 1]):
    run.log("odd", value, step=i)
run.log("once", 0.25)
run.log("word", "yes")
run.log_list("many", [1, 2, 3])
run.log_row("table", x=1, y=2.5)
run.log_row("table", x=2, y=3.5)
run.tag("by", "script")
run.progress(3, 4)
print("arguments", sys.argv[1:])
open("outputs/model.txt", "w").write("weights")
import os
os.makedirs("outputs/deep/er")
open("outputs/deep/er/x.bin", "wb").write(bytes(range(256)) * 4)
open("logs/own.log", "w").write("mine")
"""


def config(script: str, **more: object) -> ScriptRunConfig:
    return ScriptRunConfig(script="train.py", files={"train.py": script}, environment="current", **more)  # type: ignore[arg-type]


def test_what_a_script_says_and_makes_comes_back(
    experiment: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = experiment.submit(config(ALL_KINDS, arguments=["--lr", 0.1]), tags={"of": "test"})
    details = run.wait_for_completion(show_output=True)
    said = capsys.readouterr().out
    assert f"RunId: {run.id}" in said
    assert "arguments ['--lr', '0.1']" in said
    assert "Execution Summary" in said
    assert details["status"] == "Completed"
    assert details["runDefinition"]["arguments"] == ["--lr", "0.1"]
    metrics = run.get_metrics()
    assert metrics["odd"][0] == 0.1
    assert math.isnan(metrics["odd"][1])
    assert metrics["odd"][2:4] == [math.inf, -math.inf]
    assert metrics["odd"][4] == 2**60 + 1, "an integer above 2**53 was rounded"
    assert metrics["once"] == 0.25
    assert metrics["word"] == "yes"
    assert metrics["many"] == [1, 2, 3]
    assert metrics["table"] == {"x": [1, 2], "y": [2.5, 3.5]}
    assert run.get_tags() == {"of": "test", "by": "script"}
    assert run.state["progress"]["value"] == 3
    names = run.get_file_names()
    assert {"outputs/model.txt", "outputs/deep/er/x.bin", "logs/own.log", "user_logs/std_log.txt"} <= set(names)
    run.download_file("outputs/deep/er/x.bin", tmp_path / "got.bin")
    assert (tmp_path / "got.bin").read_bytes() == bytes(range(256)) * 4
    run.download_files(prefix="outputs", output_directory=tmp_path / "all", append_prefix=False)
    assert (tmp_path / "all" / "model.txt").read_text() == "weights"
    assert "arguments" in run.get_log()
    assert run.get_log(tail=3) == run.get_log()[-3:]


def test_a_run_is_found_again_by_name_id_and_latest(experiment: Experiment, workspace: Workspace) -> None:
    run = experiment.submit(config("pass", display_name="brave-try"))
    run.wait_for_completion()
    for key in (run.id, "brave-try"):
        assert run_named(key, workspace).id == run.id
    assert latest(workspace).id == run.id
    second = experiment.submit(config("pass"))
    second.wait_for_completion(wait_post_processing=True)
    assert latest(workspace).id == second.id
    assert second.number == run.number + 1
    assert [r.id for r in experiment.get_runs()] == [second.id, run.id]
    assert [r.id for r in experiment.get_runs(status="Completed")] == [second.id, run.id]
    assert list(experiment.get_runs(status="Failed")) == []


def test_a_failure_names_its_cause(experiment: Experiment) -> None:
    run = experiment.submit(config("print('before', flush=True)\nraise ValueError('shapes (3,) and (4,)')"))
    with pytest.raises(RunFailed, match=r"ValueError: shapes \(3,\) and \(4,\)") as raised:
        run.wait_for_completion()
    state = run.refresh()
    assert state["status"] == "Failed"
    assert state["failure"]["traceback"].splitlines()[-1] == "ValueError: shapes (3,) and (4,)"
    assert "exit code 1" in state["failure"]["evidence"]
    assert raised.value.mend
    assert "before" in run.get_log()
    stages = {stage["name"]: stage["state"] for stage in state["stages"]}
    assert stages["Running"] == "failed"
    assert stages["Finalizing"] == "done"


def test_a_script_over_before_anybody_looked_has_run(world: World) -> None:
    run = world.submit("")
    state = world.check(run)
    assert [c["status"] for c in state["history"]] == [
        "NotStarted", "Preparing", "Queued", "Starting", "Running", "Finalizing", "Completed",
    ]  # fmt: skip
    assert state["duration"] is not None
    assert state["started"] is not None


def test_the_time_limit_ends_a_run_and_says_so(world: World) -> None:
    run = world.submit(steady(10_000), resources={"max_run_seconds": 0.5})
    state = world.check(run)
    assert state["status"] == "Failed"
    assert state["failure"]["title"] == "The time limit was reached."
    assert "stopped: time limit" in state["failure"]["evidence"]


def test_cancel_ends_a_run_and_an_ended_run_says_so(world: World) -> None:
    run = world.submit(steady(10_000))
    world.wait_running(run)
    assert world.cancel(run)
    assert world.cancel(run) or world.state(run)["status"] == "Canceled"  # asking twice is harmless
    state = world.check(run)
    assert state["status"] == "Canceled"
    assert state["failure"] is None
    with pytest.raises(ConflictError, match="is Canceled already"):
        world.connection.post(f"/v1/runs/{run.id}/cancel")


def test_runs_wait_in_line_and_a_waiting_one_can_be_canceled(narrow: World) -> None:
    first, second, third = (narrow.submit(UNTIL_TOLD) for _ in range(3))
    eventually(lambda: first.starts, "it does not start")
    eventually(lambda: narrow.state(third)["queue_position"] == 2, "no line forms")
    assert narrow.state(second)["queue_position"] == 1
    narrow.cancel(second)
    state = narrow.check(second)
    assert state["status"] == "Canceled"
    assert not second.starts
    assert narrow.state(third)["queue_position"] == 1
    narrow.go_on()
    assert [narrow.check(run)["status"] for run in (first, third)] == ["Completed", "Completed"]


def test_secrets_reach_the_script_and_nothing_else(world: World) -> None:
    value = "hunter2-5f0c1b"
    script = "assert os.environ['API_KEY'] == 'hunter2-' + '5f0c1b'\nlog(0)\n" + UNTIL_TOLD
    run = world.submit(script, secrets={"API_KEY": value})
    world.wait_running(run)
    shown = [
        world.connection.bytes(path)[0]
        for path in (f"/v1/runs/{run.id}", f"/v1/runs/{run.id}/spec", "/v1/runs", "/v1/doctor")
    ]
    assert not any(value.encode() in text for text in shown)
    assert [path for path in world.layout.folder.rglob("*") if value.encode() in _content(path)] == []
    world.go_on()
    assert world.check(run)["status"] == "Completed"
    assert world.connection.get(f"/v1/runs/{run.id}/spec")["secrets"] == ["API_KEY"]


def _content(path: Path) -> bytes:
    """Empty for what is no file, or is not there any more: it is a living workspace."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_run_that_waited_for_its_secret_in_a_killed_service_says_so(narrow: World) -> None:
    first = narrow.submit(UNTIL_TOLD)
    second = narrow.submit(steady(1), secrets={"API_KEY": "hunter2"})
    eventually(lambda: narrow.state(second)["status"] == "Queued", "it does not wait")
    narrow.kill_service()
    narrow.go_on()
    state = narrow.check(second)
    assert state["status"] == "Failed"
    assert "API_KEY is gone" in state["failure"]["title"]
    assert not second.starts
    assert narrow.check(first)["status"] == "Completed"


def test_a_sending_after_the_kill_brings_the_secret_again(narrow: World) -> None:
    first = narrow.submit(UNTIL_TOLD)
    second, body = narrow.request("assert os.environ['API_KEY'] == 'hunter2'\n", secrets={"API_KEY": "hunter2"})
    narrow.connection.post("/v1/runs", body)
    eventually(lambda: narrow.state(second)["status"] == "Queued", "it does not wait")
    narrow.kill_service()
    assert narrow.connection.post("/v1/runs", body)["id"] == second.id
    narrow.go_on()
    assert [narrow.check(run)["status"] for run in (first, second)] == ["Completed", "Completed"]


def test_who_follows_a_run_is_answered_by_the_next_service(world: World) -> None:
    run = world.submit(steady(5))
    seen = world.check(run)["revision"]
    world.kill_service()
    world.connection.get("/v1/hello")
    began = time.monotonic()
    assert world.connection.get(f"/v1/runs/{run.id}", after=seen, wait=50)["revision"] > seen
    assert time.monotonic() - began < 40, "it waited for more news"


def test_processes_that_a_script_left_are_ended_and_named(world: World) -> None:
    run = world.submit("subprocess.Popen(['sleep', '600'], start_new_session=True)\n")
    state = world.check(run)
    assert state["status"] == "Completed"
    exits = next(c["evidence"]["exits"] for c in state["history"] if c["status"] == "Finalizing")
    assert any("sleep" in name for name in exits[0]["leftovers"])


def test_a_long_poll_answers_when_something_happens(world: World) -> None:
    run = world.submit(UNTIL_TOLD + steady(3, 0))
    state = world.wait_status(run, "Running")
    world.go_on()
    began = time.monotonic()
    newer = world.connection.get(f"/v1/runs/{run.id}", after=state["revision"], wait=50)
    assert newer["revision"] > state["revision"]
    assert time.monotonic() - began < 40, "it waited its time out"
    world.check(run)


def test_the_log_comes_as_it_is_written_and_from_any_offset(world: World) -> None:
    # Unbuffered, `print` writes a line and its end apart, and a reader may come in between.
    run = world.submit(f"os.write(1, b'one\\n')\n{UNTIL_TOLD}os.write(1, b'two\\n')\n")
    path = f"/v1/runs/{run.id}/log"
    data, headers = world.connection.bytes(path, wait=20)
    while not data:
        data, headers = world.connection.bytes(path, wait=20)
    assert data == b"one\n"
    assert headers["x-next-offset"] == "4"
    assert headers["x-complete"] == "0"
    world.go_on()
    data, headers = world.connection.bytes(path, offset=4, wait=20)
    while not data:
        data, headers = world.connection.bytes(path, offset=4, wait=20)
    assert data == b"two\n"
    assert headers["x-offset"] == "4"
    world.check(run)
    data, headers = world.connection.bytes(path, offset=-4)
    assert data == b"two\n"
    assert headers["x-complete"] == "1"
    assert world.connection.bytes(path, offset=10_000)[0] == b""


def test_names_notes_and_pins_change_and_last(world: World) -> None:
    run = world.submit("")
    world.check(run)
    path = f"/v1/runs/{run.id}"
    world.connection.patch(
        path, {"display_name": "the good one", "notes": "batch 64", "pinned": True, "tags": {"a": "b"}}
    )
    world.kill_service()
    state = world.state(run)
    assert (state["display_name"], state["notes"], state["pinned"], state["tags"]) == (
        "the good one",
        "batch 64",
        True,
        {"a": "b"},
    )
    assert world.connection.get("/v1/runs/the good one")["id"] == run.id


def test_a_model_in_the_outputs_tells_its_signature_before_it_is_registered(world: World) -> None:
    layers = [{"class_name": "InputLayer", "config": {"name": "a", "dtype": "float32", "batch_shape": [None, 4]}}]
    config = {"class_name": "Functional", "config": {"layers": layers, "output_layers": [["out", 0, 0]]}}
    run = world.submit(
        "import json, zipfile\n"
        "with zipfile.ZipFile('outputs/m.keras', 'w') as archive:\n"
        f"    archive.writestr('config.json', json.dumps({config!r}))\n"
        "    archive.writestr('metadata.json', json.dumps({'keras_version': '3.12.0'}))\n"
    )
    world.wait(run)
    found = world.connection.get(f"/v1/runs/{run.id}/inspect", path="outputs/m.keras")
    assert (found["framework"], found["framework_version"]) == ("Keras", "3.12.0")
    assert found["signature"]["call"]["inputs"] == {"a": {"dtype": "float32", "shape": [None, 4]}}
    with pytest.raises(PathNotFound, match=r"m\.keras"):
        world.connection.get(f"/v1/runs/{run.id}/inspect", path="outputs/none")
    with pytest.raises(PathNotFound):
        world.connection.get(f"/v1/runs/{run.id}/inspect", path="../../config.toml")
