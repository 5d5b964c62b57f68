"""What is submitted: the request as data, and the id that makes a second sending harmless."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.errors import InvalidName, UsageError, WorkspaceNotFound
from tests.unit.api.fake_service import FakeConnection, state


def test_a_config_becomes_a_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = ScriptRunConfig(
        source_directory=".",
        script="train.py",
        arguments=["--lr", 0.1, "--epochs", 3],
        data=[("mnist", None, "--data-folder")],
        gpus=1,
        max_run_duration_seconds=60,
    )
    request = config.request()
    assert request["source_directory"] == str(tmp_path)
    assert request["arguments"] == ["--lr", "0.1", "--epochs", "3"]
    assert request["data"] == [{"name": "mnist", "version": None, "argument": "--data-folder"}]
    assert request["resources"] == {"gpus": 1, "cpus": None, "memory_gb": None, "max_run_seconds": 60}
    assert request["kernel_python"] == sys.executable
    assert request["environment"] is None, "what is not said is left to the workspace"


@pytest.mark.parametrize("both", [{}, {"script": "a.py", "command": ["ls"]}])
def test_a_config_needs_one_of_script_and_command(both: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="a script or a command"):
        ScriptRunConfig(**both).request()  # type: ignore[arg-type]


@pytest.mark.parametrize("argument", [True, None, [1], b"x", Path("x")])
def test_arguments_are_texts_and_numbers(argument: object) -> None:
    with pytest.raises(UsageError, match=type(argument).__name__) as raised:
        ScriptRunConfig(script="a.py", arguments=[argument]).request()  # type: ignore[list-item]
    assert "str(" in raised.value.mend


def test_submit_makes_the_id_itself(workspace: Workspace, service: FakeConnection) -> None:
    service.answers["POST /v1/runs"] = lambda body: state("NotStarted", id=body["run_id"])
    experiment = Experiment(workspace, "train-digits")
    config = ScriptRunConfig(script="a.py", files={"a.py": ""}, tags={"a": "1", "b": "2"})
    first, second = experiment.submit(config, tags={"b": "3"}), experiment.submit(config)
    assert re.fullmatch(r"train-digits_\d+_[0-9a-f]{8}", first.id)
    assert first.id != second.id
    bodies = [body for _, path, body in service.asked if path == "/v1/runs"]
    assert [body["run_id"] for body in bodies] == [first.id, second.id]
    assert bodies[0]["tags"] == {"a": "1", "b": "3"}
    assert config.tags == {"a": "1", "b": "2"}


@pytest.mark.parametrize("name", ["", "<b>", "ü", "-a", "a b", "x" * 256])
def test_an_experiment_has_a_name_that_the_sdk_allows(workspace: Workspace, name: str) -> None:
    with pytest.raises(InvalidName):
        Experiment(workspace, name)


def test_runs_come_page_by_page(workspace: Workspace, service: FakeConnection) -> None:
    ids = [f"r{i}" for i in range(450)]

    def page(given: dict[str, int]) -> dict[str, object]:
        chosen = ids[given["offset"] : given["offset"] + given["limit"]]
        return {"runs": [state("Completed", id=one) for one in chosen], "total": len(ids)}

    service.answers["GET /v1/runs"] = page
    runs = Experiment(workspace, "e").get_runs()
    assert service.asked == [], "nothing is asked before somebody looks"
    assert [run.id for run in runs] == ids
    assert len(service.asked) == 3


def test_a_workspace_is_found_from_below_and_missed_with_a_mend(workspace: Workspace, tmp_path: Path) -> None:
    below = workspace.root / "a" / "b"
    below.mkdir(parents=True)
    found = Workspace.from_config(below)
    assert (found.root, found.id, found.name) == (workspace.root, workspace.id, "tests")
    with pytest.raises(WorkspaceNotFound, match=r"%mltrain init"):
        Workspace.from_config(tmp_path)
