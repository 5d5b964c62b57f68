"""The files of a model: found, copied, hashed."""

import errno
import os
import shutil

import pytest

from jupyter_mltrain.errors import DiskFull, PathNotFound, UsageError
from jupyter_mltrain.tracking import content


@pytest.fixture
def record(tmp_path):
    model = tmp_path / "run" / "outputs" / "model"
    (model / "variables").mkdir(parents=True)
    (model / "saved_model.pb").write_bytes(b"graph")
    (model / "variables" / "data").write_bytes(b"\0" * 3_000_000)
    (tmp_path / "run" / "outputs" / "model.keras").write_bytes(b"zip")
    (tmp_path / "run" / "spec.json").write_text("{}")
    return tmp_path / "run"


@pytest.mark.parametrize(
    "path", ["outputs/model", "model", "./outputs/model", "./model/", "outputs/./model", " outputs/model"]
)
def test_a_path_may_leave_out_outputs(record, path):
    assert content.find(record, path) == ("outputs/model", record / "outputs" / "model")


def test_while_a_run_goes_on_its_outputs_are_in_the_working_folder(tmp_path):
    (tmp_path / "work" / "outputs").mkdir(parents=True)
    (tmp_path / "work" / "outputs" / "model.keras").write_bytes(b"zip")
    assert content.find(tmp_path, "model.keras") == (
        "outputs/model.keras",
        tmp_path / "work" / "outputs" / "model.keras",
    )


@pytest.mark.parametrize(
    "path", ["outputs/modell", "../spec.json", "spec.json", "outputs/../spec.json", "", "/etc/passwd", "link"]
)
def test_what_is_not_there_is_told_with_what_is(record, path):
    (record / "outputs" / "link").symlink_to(record / "spec.json")
    with pytest.raises(PathNotFound) as error:
        content.find(record, path)
    assert "outputs/model/" in error.value.mend
    assert "outputs/model.keras" in error.value.mend


def test_a_run_without_outputs_says_so(tmp_path):
    with pytest.raises(PathNotFound, match="nothing"):
        content.find(tmp_path, "outputs/model")


def test_a_copy_has_the_hash_of_its_files(record, tmp_path):
    copied = content.copy(record / "outputs" / "model", tmp_path / "copy")
    assert (copied.bytes, copied.files) == (3_000_005, 2)
    assert copied.hash == content.tree_hash(tmp_path / "copy") == content.tree_hash(record / "outputs" / "model")
    assert (tmp_path / "copy" / "variables" / "data").read_bytes() == b"\0" * 3_000_000


def test_any_change_changes_the_hash(record):
    model = record / "outputs" / "model"
    hashes = {content.tree_hash(model)}
    (model / "variables" / "data").write_bytes(b"\0" * 2_999_999 + b"\1")
    hashes.add(content.tree_hash(model))
    (model / "saved_model.pb").rename(model / "saved_model.pbtxt")
    hashes.add(content.tree_hash(model))
    assert len(hashes) == 3


def test_one_file_is_copied_into_a_folder(record, tmp_path):
    copied = content.copy(record / "outputs" / "model.keras", tmp_path / "copy")
    assert (tmp_path / "copy" / "model.keras").read_bytes() == b"zip"
    assert copied.files == 1


@pytest.mark.parametrize("size", [0, 1, 1000, 1001, 2345])
@pytest.mark.parametrize("reflinks", [True, False])
def test_files_of_any_length_are_copied_whole(tmp_path, monkeypatch, size, reflinks):
    def refused(*_):
        raise OSError(errno.EXDEV, "two file systems")

    monkeypatch.setattr(content, "_BLOCK", 1000)
    monkeypatch.setattr(content, "_READ", 300)
    if not reflinks:
        monkeypatch.setattr(os, "copy_file_range", refused)
    data = os.urandom(size)
    (tmp_path / "weights").write_bytes(data)
    copied = content.copy(tmp_path / "weights", tmp_path / "copy")
    assert (tmp_path / "copy" / "weights").read_bytes() == data
    assert copied.bytes == size
    assert copied.hash == content.tree_hash(tmp_path / "copy")


def test_what_a_finished_run_left_gets_a_second_name_and_is_read_only(record, tmp_path):
    model = record / "outputs" / "model"
    held = tmp_path / "held"
    os.link(model / "saved_model.pb", held)  # somebody else's name for it: may be written to
    expected = content.tree_hash(model)
    linked = content.copy(model, tmp_path / "copy", link=True)
    assert (linked.hash, linked.bytes, linked.files) == (expected, 3_000_005, 2)
    data = tmp_path / "copy" / "variables" / "data"
    assert data.samefile(model / "variables" / "data")
    assert data.stat().st_mode & 0o222 == 0
    assert not (tmp_path / "copy" / "saved_model.pb").samefile(held), "who writes to it writes to the model"
    assert held.stat().st_mode & 0o200, "another's file was made read-only"
    again = content.copy(model, tmp_path / "again", link=True)
    assert again == linked
    assert (tmp_path / "again" / "variables" / "data").samefile(data)


def test_a_disk_without_links_gets_a_copy(record, tmp_path, monkeypatch):
    def refused(*_, **__):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refused)
    model = record / "outputs" / "model"
    assert content.copy(model, tmp_path / "copy", link=True).hash == content.tree_hash(model)
    assert not (tmp_path / "copy" / "saved_model.pb").samefile(model / "saved_model.pb")


def test_links_inside_are_copied_as_files(record, tmp_path):
    (record / "outputs" / "model" / "again").symlink_to("saved_model.pb")
    content.copy(record / "outputs" / "model", tmp_path / "copy")
    assert (tmp_path / "copy" / "again").read_bytes() == b"graph"
    assert not (tmp_path / "copy" / "again").is_symlink()


@pytest.mark.parametrize("make", ["link out", "pipe", "link to folder", "dead link"])
def test_what_is_no_plain_file_is_refused(record, tmp_path, make):
    odd = record / "outputs" / "model" / "odd"
    if make == "pipe":
        os.mkfifo(odd)
    else:
        odd.symlink_to({"link out": record / "spec.json", "link to folder": "variables", "dead link": "nowhere"}[make])
    with pytest.raises(UsageError, match="'odd'"):
        content.copy(record / "outputs" / "model", tmp_path / "copy")


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty"):
        content.copy(tmp_path / "empty", tmp_path / "copy")


def test_no_room_is_told_before_anything_is_copied(record, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 3_000_000))
    with pytest.raises(DiskFull, match="3,000,005 bytes"):
        content.copy(record / "outputs" / "model", tmp_path / "copy")
    assert list((tmp_path / "copy").iterdir()) == []
