"""When the front end is built anew, and what its lock file may say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import hatch_build

ROOT = Path(hatch_build.__file__).parent


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A source tree in miniature; returns the list of npm commands that were asked for."""
    for name in ("js/package.json", "js/package-lock.json", "js/src/lab/mime.tsx", "js/src/lab/mime.test.tsx"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    package = tmp_path / "jupyter_mltrain"
    monkeypatch.setattr(hatch_build, "ROOT", tmp_path)
    monkeypatch.setattr(hatch_build, "BUILT", (package / "labextension" / "package.json",))
    monkeypatch.setattr(hatch_build, "STAMP", package / "labextension" / "sources.sha256")
    asked: list[tuple[str, ...]] = []

    def npm(*arguments: str) -> None:
        asked.append(arguments)
        (package / "labextension").mkdir(parents=True, exist_ok=True)
        (package / "labextension" / "package.json").write_text("{}")

    monkeypatch.setattr(hatch_build, "npm", npm)
    return asked


def test_it_is_built_once_and_again_when_a_source_changed(tree, tmp_path):
    assert hatch_build.build_front_end() is True
    assert [command[0] for command in tree] == ["install", "run"]
    assert hatch_build.build_front_end() is False
    (tmp_path / "js/src/lab/mime.tsx").write_text("2")
    assert hatch_build.build_front_end() is True
    (tmp_path / "js/src/lab/new.ts").write_text("1")
    assert hatch_build.build_front_end() is True
    (tmp_path / "js/src/lab/new.ts").unlink()
    assert hatch_build.build_front_end() is True


def test_a_changed_test_or_date_builds_nothing(tree, tmp_path):
    hatch_build.build_front_end()
    (tmp_path / "js/src/lab/mime.test.tsx").write_text("2")
    (tmp_path / "js/src/lab/mime.tsx").touch()
    assert hatch_build.build_front_end() is False


def test_what_is_missing_is_built_whatever_the_stamp_says(tree, tmp_path):
    hatch_build.build_front_end()
    (tmp_path / "jupyter_mltrain/labextension/package.json").unlink()
    assert hatch_build.build_front_end() is True


def test_a_build_that_failed_leaves_no_stamp(tree, monkeypatch):
    def broken(*arguments: str) -> None:
        raise RuntimeError("npm")

    monkeypatch.setattr(hatch_build, "npm", broken)
    with pytest.raises(RuntimeError):
        hatch_build.build_front_end()
    assert not hatch_build.STAMP.exists()


def test_the_lock_file_names_checksums_and_no_registry():
    packages = json.loads((ROOT / "js" / "package-lock.json").read_text("utf-8"))["packages"]
    locked = {name: entry for name, entry in packages.items() if name}
    assert locked
    assert all("integrity" in entry for entry in locked.values())
    assert not [name for name, entry in locked.items() if "resolved" in entry]


def test_versions_of_package_and_front_end_are_the_same():
    from jupyter_mltrain import __version__

    assert json.loads((ROOT / "js" / "package.json").read_text("utf-8"))["version"] == __version__
