from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.errors import DiskFull, PathNotFound, SourceError
from jupyter_mltrain.service import snapshot as module
from jupyter_mltrain.service.snapshot import take


@pytest.fixture
def layout(tmp_path):
    found = Layout(tmp_path / "ws")
    found.folder.mkdir(parents=True)
    return found


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "src"
    (folder / "pkg").mkdir(parents=True)
    (folder / "train.py").write_text("print(1)")
    (folder / "pkg" / "m.py").write_text("x = 1")
    return folder


def age(folder):
    """As if the files had been there for a while: a fresh one may still change within the clock's tick."""
    past = time.time() - 100
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (past, past), follow_symlinks=False)


def paths(snapshot):
    return [f["path"] for f in snapshot.files]


def test_contents_are_kept_once_and_read_only(layout, source):
    (source / "copy.py").write_text("print(1)")
    taken = take(layout, source, {"cell.py": "x = 2", "train.py": "print(2)"})
    assert paths(taken) == ["cell.py", "copy.py", "pkg/m.py", "train.py"]
    blobs = [p for p in layout.blobs.glob("??/*") if p.parent.name != "known"]
    # The folder's own train.py was stored, too: its content is copy.py's.
    assert len(blobs) == 4
    assert all(p.stat().st_mode & 0o777 == 0o444 for p in blobs)
    by_path = {f["path"]: f["sha256"] for f in taken.files}
    assert (layout.blobs / by_path["train.py"][:2] / by_path["train.py"]).read_text() == "print(2)"


def test_equal_content_has_an_equal_digest_and_a_change_another(layout, source):
    first = take(layout, source, {})
    assert take(layout, source, {}).digest == first.digest
    (source / "train.py").write_text("print(3)")
    changed = take(layout, source, {})
    assert changed.digest != first.digest
    (source / "train.py").chmod(0o755)
    assert take(layout, source, {}).digest != changed.digest


def test_a_second_snapshot_reads_only_what_changed(layout, source, monkeypatch):
    age(source)
    monkeypatch.setattr(module, "_RACY_SECONDS", -1e9)
    take(layout, source, {})
    (source / "pkg" / "m.py").write_text("y = 2")
    read = []
    add = module._Blobs.add_file
    monkeypatch.setattr(module._Blobs, "add_file", lambda self, path: read.append(Path(path).name) or add(self, path))
    take(layout, source, {})
    assert read == ["m.py"]


def test_a_file_changed_within_the_clocks_tick_is_read_again(layout, source):
    take(layout, source, {})
    before = (source / "train.py").stat()
    (source / "train.py").write_text("print(9)")
    os.utime(source / "train.py", ns=(before.st_atime_ns, before.st_mtime_ns))
    taken = take(layout, source, {})
    sha = next(f["sha256"] for f in taken.files if f["path"] == "train.py")
    assert (layout.blobs / sha[:2] / sha).read_text() == "print(9)"


def test_links_pipes_and_secrets(layout, source):
    os.mkfifo(source / "pipe")
    (source / "loop").symlink_to(source)
    (source / "dead").symlink_to(source / "nothing")
    (source / "link.py").symlink_to(source / "train.py")
    (source / ".env").write_text("KEY=1")
    (source / "credentials.json").write_text("{}")
    (source / ".mltrainignore").write_text("!credentials.json\n*.tmp\n")
    (source / "a.tmp").write_text("")
    taken = take(layout, source, {})
    assert paths(taken) == [".mltrainignore", "credentials.json", "link.py", "pkg/m.py", "train.py"]
    assert taken.secrets == [".env"]
    assert taken.ignored == 1
    said = " ".join(taken.notices)
    assert ".env" in said
    assert "pipe" in said
    assert "dead" in said


def test_only_the_first_ignore_file_counts(layout, source):
    (source / ".gitignore").write_text("*.py")
    assert paths(take(layout, source, {})) == [".gitignore"]
    (source / ".amlignore").write_text("pkg/")
    assert "train.py" in paths(take(layout, source, {}))


def test_odd_names(layout, source):
    names = ["a b.py", "é😀.py", "x" * 251 + ".py", "<script>.py", os.fsdecode(b"\xff\xfe.py")]
    for name in names:
        (source / name).write_text("")
    assert set(names) <= set(paths(take(layout, source, {})))


def test_a_folder_that_is_not_there_or_cannot_be_read(layout, source, monkeypatch):
    with pytest.raises(PathNotFound):
        take(layout, source / "none", {})

    def refuse(self, path):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(module._Blobs, "add_file", refuse)
    with pytest.raises(SourceError, match=r"m.py|train.py"):
        take(layout, source, {})


def test_a_full_disk_is_one_error_with_figures(layout, source, monkeypatch):
    def full(self, path):
        raise OSError(errno.ENOSPC, "No space left on device", path)

    monkeypatch.setattr(module._Blobs, "add_file", full)
    with pytest.raises(DiskFull, match="MB free"):
        take(layout, source, {})


def test_a_dry_run_stores_nothing(layout, source):
    taken = take(layout, source, {"cell.py": ""}, store=False)
    assert len(taken.files) == 3
    assert not layout.blobs.exists()


def test_large_ones_are_named(layout, source, monkeypatch):
    monkeypatch.setattr(module, "WARN_FILES", 1)
    assert "2 files" in " ".join(take(layout, source, {}).notices)
