"""Workspaces by folder, by name, and by the SDK's config.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.errors import ConflictError, UserErrorException, WorkspaceNotFound


@pytest.fixture(autouse=True)
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_MLTRAIN_STATE", str(tmp_path / "state"))


def test_a_config_of_the_sdk_becomes_a_workspace_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    (project / "notebooks").mkdir(parents=True)
    told = {"subscription_id": "s", "resource_group": "r", "workspace_name": "team"}
    (project / "config.json").write_text(json.dumps(told))
    monkeypatch.chdir(project / "notebooks")
    first = Workspace.from_config()
    assert (first.name, first.root) == ("team", project)
    again = Workspace.from_config(path=str(project / "config.json"))
    assert again.id == first.id, "the second time it is the same workspace"
    assert f"{first.name}{first.location}{first.subscription_id}{first.resource_group}" == "teamlocallocallocal"


def test_a_folder_with_mltrain_comes_first(tmp_path: Path) -> None:
    root = Workspace.create("own", tmp_path / "w").root
    (root / ".azureml").mkdir()
    (root / ".azureml" / "config.json").write_text("{")
    assert Workspace.from_config(root).name == "own"


def test_write_config_leads_back_from_elsewhere(tmp_path: Path) -> None:
    workspace = Workspace.create("w", tmp_path / "w")
    elsewhere = tmp_path / "elsewhere"
    workspace.write_config(elsewhere)
    assert Workspace.from_config(elsewhere).root == workspace.root
    workspace.write_config(elsewhere, "other.json")
    assert Workspace.from_config(elsewhere, _file_name="other.json").id == workspace.id


def test_neither_is_a_user_error_that_names_the_mend(tmp_path: Path) -> None:
    with pytest.raises(UserErrorException, match=r"%mltrain init"):
        Workspace.from_config(tmp_path)


def test_workspaces_are_found_by_name(tmp_path: Path) -> None:
    made = Workspace.create("alpha", tmp_path / "a", subscription_id="s", resource_group="r", location="eastus")
    assert Workspace.get("alpha", subscription_id="s").root == made.root
    assert Workspace.get("whatever", id=made.id).root == made.root
    with pytest.raises(WorkspaceNotFound, match="alpha"):
        Workspace.get("alpa")
    Workspace.create("alpha", tmp_path / "b")
    with pytest.raises(ConflictError, match="2 workspaces"):
        Workspace.get("alpha")
    assert sorted(w.root.name for w in Workspace.list()["alpha"]) == ["a", "b"]


def test_an_argument_that_nobody_knows_is_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="colour"):
        Workspace.create("a", tmp_path, colour="red")
