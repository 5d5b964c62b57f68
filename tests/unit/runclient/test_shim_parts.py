"""Parts of the shim that need no process: frames, records, locks, cgroup files, archives."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mltrain import runclient
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import files, follow, memory, processes, records
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim.frames import (
    ALIVE,
    CHUNK,
    END,
    FrameError,
    Parser,
    Piece,
    encode,
)

pieces = st.builds(
    Piece,
    name=st.sampled_from(["r0.log", "r0-4711.metrics", "r12-1.metrics"]),
    offset=st.integers(0, 2**62),
    data=st.binary(min_size=1, max_size=300),
)


# -- frames


@given(sent=st.lists(st.one_of(pieces, st.just(None)), max_size=8), sizes=st.lists(st.integers(1, 97), min_size=1))
def test_frames_survive_any_cutting_into_reads(sent: list[Piece | None], sizes: list[int]) -> None:
    data = b"".join(ALIVE if piece is None else encode(piece) for piece in sent) + END
    parser = Parser()
    got: list[Piece] = []
    position = turn = 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        got += parser.feed(data[position : position + size])
        position, turn = position + size, turn + 1
    assert got == [piece for piece in sent if piece is not None]
    assert parser.ended


@given(sent=st.lists(pieces, min_size=1, max_size=4), data=st.data())
def test_a_cut_gives_whole_frames_only(sent: list[Piece], data: st.DataObject) -> None:
    stream = b"".join(encode(piece) for piece in sent) + END
    cut = data.draw(st.integers(0, len(stream) - 1))
    parser = Parser()
    got = list(parser.feed(stream[:cut]))
    assert got == sent[: len(got)]
    assert not parser.ended


@pytest.mark.parametrize(
    "data", [b"x" * 600, b"F 1 2\n", b"F -1 2 n\n", b"bash: not found\n", b"F 0 %d n\n" % (CHUNK + 1)]
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(FrameError):
        list(Parser().feed(data))


# -- records and locks


def test_a_record_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "r"
    assert records.read(str(path)) is None
    records.write(str(path), {"a": 1})
    assert records.read(str(path)) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["r"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_reserved_space_becomes_the_record(tmp_path: Path) -> None:
    path = tmp_path / "exit.json"
    reserved = records.Reserved(str(path))
    assert not path.exists()
    assert (tmp_path / "exit.json.tmp").stat().st_size == records.RESERVED
    reserved.write({"code": 0})
    assert json.loads(path.read_text()) == {"code": 0}


def test_a_lock_tells_who_lives(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    assert not records.is_held(path)
    held = records.take_lock(path, 0)
    assert held is not None
    assert records.is_held(path)
    assert records.take_lock(path, 0) is None
    os.close(held)
    assert not records.is_held(path)


def test_ranks_are_numbers_in_order(tmp_path: Path) -> None:
    assert records.ranks(str(tmp_path)) == []
    (tmp_path / "shim").mkdir()
    for name in ("r10.launch.json", "r2.launch.json", "rx.launch.json", "r3.exit.json"):
        (tmp_path / "shim" / name).touch()
    assert [rank.rank for rank in records.ranks(str(tmp_path))] == [2, 10]


# -- reading streams


def tail_of(tmp_path: Path, **offsets: int) -> follow.Tail:
    for name in ("streams", "shim"):
        (tmp_path / name).mkdir(exist_ok=True)
    return follow.Tail(str(tmp_path), offsets)


def test_files_take_turns_in_chunks(tmp_path: Path) -> None:
    with tail_of(tmp_path) as tail:
        (tmp_path / "streams/a").write_bytes(b"a" * (CHUNK + 5))
        (tmp_path / "streams/b").write_bytes(b"b")
        got = [(piece.name, piece.offset, len(piece.data)) for piece in tail.read()]
        assert got == [("a", 0, CHUNK), ("b", 0, 1), ("a", CHUNK, 5)]
        assert list(tail.read()) == []


def test_a_link_in_the_streams_is_not_followed(tmp_path: Path) -> None:
    with tail_of(tmp_path) as tail:
        (tmp_path / "secret").write_text("secret")
        (tmp_path / "streams/r0.log").symlink_to(tmp_path / "secret")
        with pytest.raises(OSError, match="symbolic"):
            list(tail.read())


def test_the_bell_rings_for_growth(tmp_path: Path) -> None:
    with tail_of(tmp_path) as tail:
        assert tail.fd >= 0
        with pytest.raises(BlockingIOError):
            os.read(tail.fd, 1000)
        (tmp_path / "streams/r0.log").write_bytes(b"x")
        assert os.read(tail.fd, 1000)


def test_without_a_bell_it_looks_more_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with tail_of(tmp_path) as tail:
        assert tail.fd == -1
        assert tail.pause == follow.QUICK


# -- processes


def test_a_name_with_parentheses_and_spaces(tmp_path: Path) -> None:
    program = tmp_path / "a) (b 1 2"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as child:
        # The name is the old one until the child has become the program.
        assert records.wait_for(lambda: getattr(processes.find(child.pid), "name", "") == "a) (b 1 2", 5)
        found = processes.find(child.pid)
        assert found is not None
        assert found.ppid == os.getpid()
        assert processes.same(child.pid, found.ticks) is not None
        assert processes.same(child.pid, found.ticks + 1) is None
        assert not processes.send(found._replace(ticks=1), 9)
        assert processes.send(found, 9)
        child.wait()
    assert not processes.send(found, 9)


def test_only_the_whole_id_counts() -> None:
    env = {"MLTRAIN_RUN_ID": "e_1_aabb"}
    with subprocess.Popen(["/bin/sleep", "60"], env=env) as child:
        assert records.wait_for(lambda: processes.carries(child.pid, "e_1_aabb"), 5)
        assert not processes.carries(child.pid, "e_1_aa")
        assert child.pid in {p.pid for p in processes.of_run("e_1_aabb", [])}
        child.kill()


# -- memory


@pytest.fixture
def v2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cgroup of version 2 in which only this process is."""
    parent = tmp_path / "mltrain.scope"
    parent.mkdir()
    (parent / "memory.events").write_text("low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\noom_group_kill 0\n")
    (parent / "cgroup.procs").write_text(f"{os.getpid()}\n")
    (parent / "cgroup.subtree_control").write_text("")
    monkeypatch.setattr(memory, "present", lambda *_: (str(parent), 2))
    return parent


def test_version_2_moves_the_shim_into_a_leaf_first(v2: Path) -> None:
    group = memory.group("run", 1000)
    assert group is not None
    assert group.limit == 1000
    assert (v2 / "run-shim" / "cgroup.procs").read_text() == str(os.getpid())
    assert (v2 / "cgroup.subtree_control").read_text() == "+memory"
    assert (v2 / "run" / "memory.max").read_text() == "1000"
    assert (v2 / "run" / "memory.oom.group").read_text() == "1"
    (v2 / "run" / "memory.events").write_text("oom_kill 2\n")
    assert group.oom_kills() == 2


def test_version_2_with_strangers_in_the_group_is_left_alone(v2: Path) -> None:
    (v2 / "cgroup.procs").write_text(f"{os.getpid()}\n1\n")
    group = memory.group("run", 1000)
    assert group is not None
    assert group.limit is None
    assert (v2 / "cgroup.subtree_control").read_text() == ""
    (v2 / "memory.events").write_text("oom_kill 4\n")
    assert group.oom_kills() == 3  # since it was looked at first


def test_without_cgroups_there_is_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "read", lambda _: "")
    assert memory.group("run", 1000) is None


@pytest.mark.parametrize(
    ("mount_root", "cgroup", "folder"),
    [
        ("/", "/user/scope", "/mnt/user/scope"),
        ("/docker/1", "/docker/1", "/mnt"),
        ("/docker/1", "/docker/1/x", "/mnt/x"),
    ],
)
def test_the_group_is_found_where_it_is_mounted(
    mount_root: str, cgroup: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {
        "/proc/self/mountinfo": f"29 23 0:26 {mount_root} /mnt rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate",
        "/proc/self/cgroup": f"0::{cgroup}",
    }
    monkeypatch.setattr(memory, "read", contents.__getitem__)
    monkeypatch.setattr(memory.os.path, "exists", lambda path: path == f"{folder}/memory.events")
    assert memory.present("memory", ("memory.oom_control", "memory.events")) == (folder, 2)


# -- files


def test_delete_takes_read_only_trees_and_follows_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o555)
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep" / "f").touch()
    (tree / "link").symlink_to(outside)
    (tree / "deep").chmod(0o500)
    for _ in range(2):
        files.delete(str(tree))
    assert not tree.exists()
    assert outside.stat().st_mode & 0o777 == 0o555


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil"])
def test_an_archive_that_leads_out_is_refused(name: str, tmp_path: Path) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    shim = str(runclient.folder() / runclient.SHIM)
    command = [sys.executable, "-I", "-S", shim, "unpack", str(tmp_path / "into")]
    said = subprocess.run(command, input=data.getvalue(), capture_output=True, check=False)
    assert said.returncode != 0
    assert not (tmp_path / "into").exists()
    assert not (tmp_path / "evil").exists()


def test_a_verb_that_is_none_says_so() -> None:
    command = [sys.executable, "-I", "-S", str(runclient.folder() / runclient.SHIM), "dance"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.stderr == "The shim has no verb 'dance'.\n"
