"""What MLflow is told of a run beside its points."""

import json

import pytest

from jupyter_mltrain.core.status import Status
from jupyter_mltrain.tracking.header import header_of

RUN = "mnist_1700000000_deadbeef"


def header(tmp_path, spec=None, **state):
    if spec:
        (tmp_path / "spec.json").write_text(json.dumps({"format": 1, "run_id": RUN, **spec}))
    return header_of(RUN, tmp_path, state)


def test_the_spec_is_enough(tmp_path):
    found = header(
        tmp_path, {"experiment": "mnist", "display_name": "brave-otter-7", "target": "local", "environment": "tf"}
    )
    assert (found.experiment, found.run_name, found.started) == ("mnist", "brave-otter-7", 1700000000.0)
    assert found.mlflow_status == "SCHEDULED"
    assert not found.terminal
    assert found.tags["mltrain.environment"] == "tf"


def test_the_state_is_told_in_tags(tmp_path):
    found = header(
        tmp_path,
        {"experiment": "mnist", "script": "train.py", "tags": {"a": "old"}},
        id=RUN,
        status="Failed",
        started=1700000001.5,
        ended=1700000002.5,
        environment={"name": "tensorflow", "version": 3, "key": "k"},
        data=[{"name": "mnist", "version": 2}],
        git={"commit": "c0ffee", "branch": "main"},
        failure={"title": "out of memory"},
        notes="see <b>here</b>",
        workspace={"id": "w"},
        tags={"a": "b", "mlflow.runName": "mine", "🦦": 1},
    )
    assert found.tags == {
        "mltrain.run_id": RUN,
        "mltrain.status": "Failed",
        "mltrain.environment": "tensorflow:3",
        "mltrain.environment.key": "k",
        "mltrain.data.mnist": "2",
        "mltrain.workspace": "w",
        "mltrain.failure": "out of memory",
        "mltrain.git.commit": "c0ffee",
        "mltrain.git.branch": "main",
        "mlflow.note.content": "see <b>here</b>",
        "mlflow.source.type": "JOB",
        "mlflow.source.name": "train.py",
        "mlflow.source.git.commit": "c0ffee",
        "mlflow.source.git.branch": "main",
        "a": "b",
        "mlflow:2ErunName": "mine",
        ":F0:9F:A6:A6": "1",
    }
    assert (found.started, found.ended, found.terminal) == (1700000001.5, 1700000002.5, True)


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_one_in_mlflow(tmp_path, status):
    found = header(tmp_path, status=status.value)
    expected = {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED"}
    waiting = {"NotStarted", "Preparing", "Queued"}
    assert found.mlflow_status == expected.get(status.value, "SCHEDULED" if status.value in waiting else "RUNNING")


@pytest.mark.parametrize(
    ("arguments", "params"),
    [
        (["--batch-size", "64", "--lr=0.1"], {"batch-size": "64", "lr": "0.1"}),
        (["--offset", "-3", "--verbose", "--name", "x"], {"offset": "-3", "verbose": "true", "name": "x"}),
        (["train", "-e", "5"], {"argument.0": "train", "e": "5"}),
        (["--layer", "1", "--layer", "2"], {"layer": "1 2"}),
        (["--<b>", "1"], {"argument.0": "--<b>", "argument.1": "1"}),
        (["--a<b>", "1"], {"a:3Cb:3E": "1"}),
        ([], {}),
    ],
)
def test_arguments_are_parameters(tmp_path, arguments, params):
    assert header(tmp_path, arguments=arguments).params == params


def test_a_long_argument_is_cut_there_and_whole_beside(tmp_path):
    found = header(tmp_path, arguments=["--text", "x" * 10_000])
    assert found.params == {"text": "x" * 6000}
    assert json.loads(found.values[0])["record"] == {"k": "param", "key": "text", "value": "x" * 10_000}


def test_the_digest_tells_a_change(tmp_path):
    one = header(tmp_path, status="Running", tags={"a": "1"})
    assert one.digest == header(tmp_path, status="Running", tags={"a": "1"}).digest
    assert one.digest != header(tmp_path, status="Running", tags={"a": "2"}).digest
    assert one.digest != header(tmp_path, status="Running", tags={"a": "1"}, display_name="x").digest


def test_half_a_character_can_be_sent(tmp_path):
    found = header(tmp_path, tags={"a": "\ud800"}, display_name="\udfff")
    assert found.tags["a"] == "\ufffd"
    assert found.run_name == "\ufffd"
