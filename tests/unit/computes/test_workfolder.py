"""Working folders: made whole from the snapshot, and what the run made moved into its record."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from jupyter_mltrain.computes import workfolder
from jupyter_mltrain.errors import EngineError


@pytest.fixture
def record(tmp_path: Path) -> Path:
    folder = tmp_path / "record"
    folder.mkdir()
    return folder


def snapshot(record: Path, files: dict[str, bytes], mode: int = 0o444) -> Path:
    blobs = record.parent / "blobs"
    entries = []
    for path, data in files.items():
        sha256 = hashlib.sha256(data).hexdigest()
        (blobs / sha256[:2]).mkdir(parents=True, exist_ok=True)
        (blobs / sha256[:2] / sha256).write_bytes(data)
        entries.append({"path": path, "size": len(data), "mode": mode, "sha256": sha256})
    (record / "snapshot.json").write_text(json.dumps({"format": 1, "digest": "", "files": entries}))
    return blobs


def test_files_are_copies_that_may_be_changed(record: Path) -> None:
    blobs = snapshot(record, {"a/b/ü.py": b"code", "run.sh": b"sh"}, 0o555)
    work = record / "work"
    workfolder.materialise(record, blobs, work)
    assert (work / "run.sh").stat().st_mode & 0o777 == 0o755
    (work / "a/b/ü.py").write_text("changed")
    assert sorted(p.name for p in work.iterdir()) == ["a", "logs", "outputs", "run.sh"]
    assert b"code" in {p.read_bytes() for p in blobs.rglob("*") if p.is_file()}
    workfolder.materialise(record, blobs, work)
    assert (work / "a/b/ü.py").read_text() == "changed"


def test_a_making_that_was_cut_short_is_begun_anew(record: Path) -> None:
    blobs = snapshot(record, {"a.py": b"a"})
    (record / "work.partial" / "old").mkdir(parents=True)
    workfolder.materialise(record, blobs, record / "work")
    assert sorted(p.name for p in (record / "work").iterdir()) == ["a.py", "logs", "outputs"]


@pytest.mark.parametrize("path", ["../evil", "/etc/evil", "a/../../evil", ""])
def test_a_path_that_leads_out_is_refused(path: str, record: Path) -> None:
    blobs = snapshot(record, {path: b"x"})
    with pytest.raises(EngineError):
        workfolder.materialise(record, blobs, record / "work")
    assert not (record.parent / "evil").exists()


def made(record: Path) -> Path:
    work = record / "work"
    (work / "outputs/deep").mkdir(parents=True)
    (work / "logs").mkdir()
    (work / "outputs/deep/model").write_bytes(b"m" * 100)
    (work / "logs/events").write_text("e")
    return work


@pytest.mark.parametrize("rename_works", [True, False])
def test_collect_moves_once(record: Path, rename_works: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    work = made(record)
    if not rename_works:
        real = Path.rename

        def rename(self: Path, target: Path) -> Path:
            if self.is_relative_to(work):
                raise OSError(18, "Invalid cross-device link")
            return real(self, target)

        monkeypatch.setattr(Path, "rename", rename)
    for _ in range(2):
        workfolder.collect(work, record)
    assert (record / "outputs/deep/model").read_bytes() == b"m" * 100
    assert (record / "logs/events").read_text() == "e"
    assert list(work.iterdir()) == []


def test_collect_adds_what_a_cut_short_move_left(record: Path) -> None:
    work = made(record)
    (record / "outputs/deep").mkdir(parents=True)
    (record / "outputs/deep/first").write_text("moved before")
    (record / "outputs/deep/model").write_text("half")
    workfolder.collect(work, record)
    assert (record / "outputs/deep/first").read_text() == "moved before"
    assert (record / "outputs/deep/model").read_bytes() == b"m" * 100


def test_outputs_that_the_script_made_a_link_are_copied(record: Path, tmp_path: Path) -> None:
    work = made(record)
    big = tmp_path / "big disk"
    (work / "outputs").rename(big)
    (work / "outputs").symlink_to(big)
    workfolder.collect(work, record)
    assert not (record / "outputs").is_symlink()
    assert (record / "outputs/deep/model").exists()
    assert (big / "deep/model").exists()


def test_links_are_kept_or_become_what_they_reach(record: Path, tmp_path: Path) -> None:
    work = made(record)
    (work / "ckpt").mkdir()
    (work / "ckpt/w").write_text("weights")
    (tmp_path / "shared").write_text("of somebody")
    links = {
        "in": "deep",
        "ckpt": "../ckpt/w",
        "folder": "../ckpt",
        "out": str(tmp_path / "shared"),
        "loop": "..",
        "self": "self",
    }
    for name, target in links.items():
        (work / "outputs" / name).symlink_to(target)
    workfolder.collect(work, record)
    outputs = record / "outputs"
    assert (outputs / "in").readlink() == Path("deep")
    assert (outputs / "ckpt").read_text() == "weights"
    assert not (outputs / "ckpt").is_symlink()
    assert (outputs / "folder/w").read_text() == "weights"
    assert (outputs / "out").readlink() == tmp_path / "shared"
    assert (outputs / "loop").is_symlink()
    assert (outputs / "self").is_symlink()


def test_a_script_that_removed_its_folders_is_no_error(record: Path) -> None:
    (record / "work").mkdir()
    workfolder.collect(record / "work", record)
    assert not (record / "outputs").exists()


def test_outputs_that_are_a_file_are_kept_as_one(record: Path) -> None:
    (record / "work").mkdir()
    (record / "work/outputs").write_text("a file")
    workfolder.collect(record / "work", record)
    assert (record / "outputs").read_text() == "a file"
