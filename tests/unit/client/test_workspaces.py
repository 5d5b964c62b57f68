"""Which folder is the workspace, how one is made, and the registry of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jupyter_mltrain.client import workspaces
from jupyter_mltrain.errors import ConflictError, NotWritable, StorageError, WorkspaceNotFound


@pytest.fixture(autouse=True)
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_MLTRAIN_STATE", str(tmp_path / "state"))
    return tmp_path / "state" / "workspaces"


def test_the_nearest_folder_upward_is_the_workspace(tmp_path: Path) -> None:
    outer = workspaces.create_root(tmp_path / "outer")
    inner = workspaces.create_root(outer / "a" / "inner")
    deep = inner / "b" / "c"
    deep.mkdir(parents=True)
    assert workspaces.find_root(deep) == inner
    assert workspaces.find_root(outer / "a") == outer
    assert workspaces.find_root(tmp_path) is None
    with pytest.raises(WorkspaceNotFound, match=r"%mltrain init"):
        workspaces.require_root(tmp_path)


def test_a_folder_without_a_config_is_none_yet(tmp_path: Path) -> None:
    (tmp_path / ".mltrain").mkdir()
    assert workspaces.find_root(tmp_path) is None
    assert workspaces.create_root(tmp_path) == tmp_path


def test_a_workspace_is_private_and_ignored_by_git(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        root = workspaces.create_root(tmp_path / "w", 'a "quoted" näme')
    finally:
        os.umask(old)
    assert (root / ".mltrain").stat().st_mode & 0o777 == 0o700
    assert (root / ".mltrain" / ".gitignore").read_text() == "*\n"
    config = workspaces.read_config(root)
    assert config.name == 'a "quoted" näme'
    assert config.raw["strict"] is False
    assert workspaces.registered(config.id) == root


def test_a_second_one_is_a_conflict_unless_that_is_fine(tmp_path: Path) -> None:
    root = workspaces.create_root(tmp_path / "w")
    first = workspaces.read_config(root).id
    with pytest.raises(ConflictError):
        workspaces.create_root(root)
    assert workspaces.read_config(workspaces.create_root(root, exist_ok=True)).id == first


def test_home_and_root_are_no_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for place in (tmp_path, Path("/")):
        with pytest.raises(StorageError, match="no place"):
            workspaces.create_root(place)
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotWritable) as raised:
        workspaces.create_root(tmp_path / "file" / "w")
    assert raised.value.mend


@pytest.mark.parametrize(
    ("text", "says"), [("id = ", "does not parse"), ("name = 'x'", "has no `id`"), ("id = 3", "has no `id`")]
)
def test_a_broken_config_is_named(tmp_path: Path, text: str, says: str) -> None:
    root = workspaces.create_root(tmp_path / "w")
    (root / ".mltrain" / "config.toml").write_text(text)
    with pytest.raises(StorageError, match=says) as raised:
        workspaces.read_config(root)
    assert "config.toml" in raised.value.message


def test_the_registry_follows_a_moved_workspace_and_forgets_a_deleted_one(tmp_path: Path, registry: Path) -> None:
    root = workspaces.create_root(tmp_path / "w")
    known = workspaces.read_config(root).id
    moved = root.rename(tmp_path / "moved")
    assert workspaces.registered(known) is None
    workspaces.register(known, moved)
    assert workspaces.registered(known) == moved
    assert registry.stat().st_mode & 0o777 == 0o700
    (registry / f"{known}.json").write_text("{torn")
    assert workspaces.registered(known) is None


def test_an_id_from_a_notebook_does_not_lead_out_of_the_registry(tmp_path: Path, registry: Path) -> None:
    root = workspaces.create_root(tmp_path / "w")
    (registry.parent / "evil.json").write_text(f'{{"root": "{root}"}}')
    assert workspaces.registered("../evil") is None


def test_a_registry_that_cannot_be_written_costs_no_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "blocked").write_text("")
    monkeypatch.setenv("JUPYTER_MLTRAIN_STATE", str(tmp_path / "blocked"))
    assert workspaces.create_root(tmp_path / "w").is_dir()
