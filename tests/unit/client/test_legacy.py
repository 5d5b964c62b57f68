"""The SDK's config.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jupyter_mltrain.client import legacy
from jupyter_mltrain.errors import UserErrorException

THREE = {"subscription_id": "s", "resource_group": "r", "workspace_name": "w"}
SCOPE = {"Id": None, "Scope": "/subscriptions/s/resourceGroups/r/providers/P/workspaces/w"}


def put(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("content", [THREE, SCOPE])
def test_both_forms_are_read(tmp_path: Path, content: object) -> None:
    found = legacy.read(put(tmp_path / "config.json", content))
    assert (found.subscription_id, found.resource_group, found.name) == ("s", "r", "w")


def test_a_folder_above_with_azureml_beats_the_file_beside(tmp_path: Path) -> None:
    put(tmp_path / ".azureml" / "config.json", {**THREE, "workspace_name": "above"})
    put(tmp_path / "deep" / "config.json", {**THREE, "workspace_name": "beside"})
    found = legacy.find(tmp_path / "deep")
    assert found is not None
    assert found.name == "above"
    assert found.root == tmp_path, "the workspace lies beside .azureml, not in it"


def test_project_json_and_a_name_of_ones_own(tmp_path: Path) -> None:
    put(tmp_path / "aml_config" / "project.json", THREE)
    put(tmp_path / "mine.json", {**THREE, "workspace_name": "mine"})
    found = legacy.find(tmp_path)
    assert found is not None
    assert found.root == tmp_path
    named = legacy.find(tmp_path, "mine.json")
    assert named is not None
    assert named.name == "mine"


def test_a_config_of_another_program_is_none(tmp_path: Path) -> None:
    put(tmp_path / "config.json", {"theme": "dark"})
    assert legacy.find(tmp_path) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "no JSON"), ("[]", "subscription_id"), ({"subscription_id": "s"}, "resource_group and no workspace_name")],
)
def test_what_is_wrong_with_it_is_said(tmp_path: Path, content: object, said: str) -> None:
    path = put(tmp_path / ".azureml" / "config.json", content)
    with pytest.raises(UserErrorException, match=said) as raised:
        legacy.find(tmp_path)
    assert str(path) in str(raised.value)


def test_what_is_written_is_found(tmp_path: Path) -> None:
    wanted = legacy.LegacyConfig(Path(), "w", "local", "local", "an-id")
    path = legacy.write(tmp_path, None, wanted)
    found = legacy.find(tmp_path / "not" / "there")
    assert found is not None
    assert (found.path, found.name, found.id) == (path.resolve(), "w", "an-id")
