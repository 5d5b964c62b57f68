"""Archives to and from where runs are: nothing of a stranger's archive lands outside, nothing is half there."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from jupyter_mltrain.computes.archives import Entry, archive, of_tree, of_work, pieces, unpack
from jupyter_mltrain.errors import EngineError, EngineUnreachable


def member(name, data=b"x", kind=tarfile.REGTYPE, link="", mode=0o644):
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode = kind, link, mode
    made.size = len(data) if kind == tarfile.REGTYPE else 0
    return made, data


def tar(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as made:
        for info, data in members:
            made.addfile(info, io.BytesIO(data) if info.size else None)
    out.seek(0)
    return out


def outside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "into")


@pytest.mark.parametrize(
    "bad",
    [
        member("../evil"),
        member("outputs/../../evil"),
        member("/evil"),
        member("/outputs/evil"),
        member("other/evil"),
        member("outputsevil"),
        member("outputs/device", kind=tarfile.CHRTYPE),
        member("outputs/pipe", kind=tarfile.FIFOTYPE),
        member("outputs/hard", kind=tarfile.LNKTYPE, link="../evil"),
        member("outputs/hard", kind=tarfile.LNKTYPE, link="/etc/passwd"),
        member("outputs/hard", kind=tarfile.LNKTYPE, link="outputs/not-there"),
    ],
)
def test_what_would_land_elsewhere_is_refused_and_the_rest_is_taken(bad, tmp_path):
    into = tmp_path / "into"
    found = unpack(tar(bad, member("outputs/good", b"kept")), into, top="outputs")
    assert found.refused == [bad[0].name]
    assert [path.name for path in into.iterdir()] == ["good"]
    assert outside(tmp_path) == []


def test_links_are_never_written_through(tmp_path):
    into, elsewhere = tmp_path / "into", tmp_path / "elsewhere"
    elsewhere.mkdir()
    into.mkdir()
    (into / "before").symlink_to(elsewhere)
    members = [
        member("outputs/link", kind=tarfile.SYMTYPE, link=str(elsewhere)),
        member("outputs/link/a"),
        member("outputs/before/b"),
        member("outputs/before/deep/c"),
        member("outputs/before", b"now a file"),
    ]
    found = unpack(tar(*members), into, top="outputs")
    assert found.links == {"link": str(elsewhere)}
    assert list(elsewhere.iterdir()) == []
    assert (into / "before").read_bytes() == b"now a file"
    assert not (into / "before").is_symlink()


def test_no_file_gets_rights_that_it_should_not_have(tmp_path):
    unpack(
        tar(member("o/run", mode=0o6755), member("o/locked", mode=0o000), member("o/open", mode=0o777)),
        tmp_path,
        top="o",
    )
    modes = {path.name: path.stat().st_mode & 0o7777 for path in tmp_path.iterdir()}
    assert modes == {"run": 0o755, "locked": 0o600, "open": 0o755}


def test_a_second_name_of_a_file_is_a_file(tmp_path):
    unpack(tar(member("o/a", b"content"), member("o/b", kind=tarfile.LNKTYPE, link="o/a")), tmp_path, top="o")
    assert (tmp_path / "b").read_bytes() == b"content"


def test_an_archive_that_was_cut_is_told_and_leaves_no_part_of_a_file(tmp_path):
    whole = tar(member("o/first", b"1"), member("o/second", os.urandom(100_000))).getvalue()
    with pytest.raises(EngineUnreachable):
        unpack(io.BytesIO(whole[:40_000]), tmp_path, top="o")
    assert [path.name for path in tmp_path.iterdir()] == ["first"]


def test_there_and_back_in_pieces(tmp_path):
    source, into = tmp_path / "source", tmp_path / "into"
    (source / "deep").mkdir(parents=True)
    long = "é" * 127 + "x"
    (source / "deep" / long).write_bytes(b"long")
    (source / "large").write_bytes(content := os.urandom(1_000_000))
    (source / "empty").touch()
    (source / "link").symlink_to(source / "large")
    entries = (Entry(f"t/{one.name}", one.path, one.link, one.data, one.mode) for one in of_tree(source))
    unpack(pieces(archive(entries, (1000, 1000))), into, top="t")
    assert (into / "deep" / long).read_bytes() == b"long"
    assert (into / "large").read_bytes() == (into / "link").read_bytes() == content
    assert (into / "empty").read_bytes() == b""


def test_what_cannot_be_sent_is_no_lost_connection(tmp_path):
    with pytest.raises(EngineError, match="gone cannot be sent: No such file") as caught:
        b"".join(archive([Entry("gone", tmp_path / "gone")]))
    assert not isinstance(caught.value, EngineUnreachable)


def test_data_takes_no_files_place(tmp_path):
    (tmp_path / "snapshot.json").write_text('{"files": [{"path": "in/a.txt", "sha256": "00", "mode": 420}]}')
    with pytest.raises(EngineError, match="cannot stand at 'in'"):
        list(of_work(tmp_path, tmp_path, {"in": "/data"}))
