"""The stream's writer: one line per record, whole, whatever the disk and the script do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from jupyter_mltrain import runclient
from jupyter_mltrain.runclient.injected.jupyter_mltrain import _stream
from jupyter_mltrain.runclient.injected.jupyter_mltrain._stream import Stream


def records_in(folder: Path) -> dict[str, list[object]]:
    return {path.name: [json.loads(line) for line in path.read_bytes().splitlines()] for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def fresh_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stream, "_said", set())


def script(code: str, folder: Path, *, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run `code` as a script of a run whose streams are in `folder`; `limit`: the most bytes a file may have."""
    env = {
        "MLTRAIN_RUN_ID": "e_1_aa",
        "MLTRAIN_STREAMS": str(folder),
        "PYTHONPATH": str(runclient.folder()),
        "PATH": os.defpath,
    }
    before = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n" if limit else ""
    source = before + "from jupyter_mltrain import Run\nrun = Run.get_context()\n" + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-c", source],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder.parent,
    )


def test_each_record_is_there_when_write_returns(tmp_path: Path) -> None:
    stream = Stream(str(tmp_path), "3")
    for i in range(3):
        stream.write(b"[%d]\n" % i)
        assert (tmp_path / f"r3-{os.getpid()}.metrics").read_bytes().endswith(b"[%d]\n" % i)


def test_threads_do_not_mix_their_records(tmp_path: Path) -> None:
    stream = Stream(str(tmp_path), "0")

    def work(number: int) -> None:
        for i in range(500):
            stream.write(json.dumps([number, i, "x" * (i % 50)]).encode() + b"\n")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (found,) = records_in(tmp_path).values()
    for number in range(8):
        assert [r[1] for r in found if r[0] == number] == list(range(500))  # type: ignore[index]


def test_a_forked_process_writes_a_file_of_its_own(tmp_path: Path) -> None:
    ended = script(
        """
        import os
        run.log("parent", 1)
        pid = os.fork()
        if pid == 0:
            run.log("child", 2)
            os._exit(0)
        os.waitpid(pid, 0)
        run.log("parent", 3)
        """,
        tmp_path,
    )
    assert ended.stderr == ""
    found = sorted([[r[0] for r in records] for records in records_in(tmp_path).values()])  # type: ignore[index]
    assert found == [["child"], ["parent", "parent"]]


def test_a_fork_while_another_thread_logs_does_not_hang_the_child(tmp_path: Path) -> None:
    ended = script(
        """
        import os, threading
        stop = threading.Event()
        def work():
            while not stop.is_set():
                run.log("busy", 1.0)
        thread = threading.Thread(target=work)
        thread.start()
        for i in range(20):
            pid = os.fork()
            if pid == 0:
                run.log("child", i)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        stop.set()
        thread.join()
        """,
        tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    children = [records for records in records_in(tmp_path).values() if records[0][0] == "child"]  # type: ignore[index]
    assert len(children) == 20


def test_a_signal_handler_may_log(tmp_path: Path) -> None:
    ended = script(
        """
        import os, signal
        signal.signal(signal.SIGALRM, lambda *_: run.log("handler", 1))
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        for i in range(50_000):
            run.log("main", i)
        signal.setitimer(signal.ITIMER_REAL, 0)
        """,
        tmp_path,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    (found,) = records_in(tmp_path).values()
    assert [r[3] for r in found if r[0] == "main"] == list(range(50_000))  # type: ignore[index]
    assert any(r[0] == "handler" for r in found)  # type: ignore[index]


def test_killed_after_n_logs_all_n_are_there(tmp_path: Path) -> None:
    for count in (1, 10, 1000):
        folder = tmp_path / str(count)
        folder.mkdir()
        ended = script(f"import os\nfor i in range({count}): run.log('a', i)\nos.kill(os.getpid(), 9)", folder)
        assert ended.returncode == -signal.SIGKILL
        (found,) = records_in(folder).values()
        assert [r[3] for r in found] == list(range(count))  # type: ignore[index]


def test_a_descriptor_that_the_script_closed_is_opened_again(tmp_path: Path) -> None:
    ended = script("import os\nrun.log('a', 1)\nos.closerange(3, 5000)\nfor i in range(3): run.log('b', i)", tmp_path)
    assert ended.stderr == ""
    (found,) = records_in(tmp_path).values()
    assert [r[0] for r in found] == ["a", "b", "b", "b"]  # type: ignore[index]


def test_low_descriptors_are_left_to_the_script(tmp_path: Path) -> None:
    folder = tmp_path / "streams"
    folder.mkdir()
    code = """
    import os
    run.log("a", 1)
    os.closerange(3, 256)
    files = [open(f"mine{i}", "w") for i in range(10)]  # they take the numbers that are free now
    run.log("b", 2)
    for file in files:
        file.write("x")
    """
    ended = script(code, folder)
    assert ended.stderr == ""
    assert [(tmp_path / f"mine{i}").read_text() for i in range(10)] == ["x"] * 10


def test_a_file_that_may_not_grow_costs_a_warning_and_no_whole_record_is_spoilt(tmp_path: Path) -> None:
    ended = script("for i in range(500): run.log('loss', i)\nprint('trained on')", tmp_path, limit=10_007)
    assert (ended.returncode, ended.stdout) == (0, "trained on\n")
    assert ended.stderr.count("training goes on") == 1
    assert "File too large" in ended.stderr
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    assert len(data) == 10_007
    lines = data.split(b"\n")[:-1]  # what follows the last line end is a record that is not whole: no record
    assert [json.loads(line)[3] for line in lines] == list(range(len(lines)))
    torn = not data.endswith(b"\n")
    assert f" {500 - len(lines) - torn} records" in ended.stderr


def disk_with_room(monkeypatch: pytest.MonkeyPatch, bytes_: int) -> list[int]:
    """What is written takes of the room that is returned; a test may give it more."""
    room = [bytes_]
    real = os.write

    def write(fd: int, data: bytes) -> int:
        taken = data[: room[0]]
        if not taken:
            raise OSError(28, "No space left on device")
        room[0] -= len(taken)
        return real(fd, taken)

    monkeypatch.setattr(_stream.os, "write", write)
    return room


def test_a_cut_record_is_completed_once_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room runs out in the middle of a record, stays out for two, and comes back."""
    room = disk_with_room(monkeypatch, 12)
    stream = Stream(str(tmp_path), "0")
    stream.write(b"[1,1,1]\n")
    stream.write(b"[2,2,2]\n")  # four of its bytes fit
    stream.write(b"[3,3,3]\n")
    stream.write(b"[4,4,4]\n")
    room[0] = 1000
    stream.write(b"[5,5,5]\n")
    (path,) = tmp_path.iterdir()
    assert path.read_bytes() == b"[1,1,1]\n[2,2,2]\n[5,5,5]\n"


@pytest.mark.parametrize("missing", [1, 4])
def test_what_follows_a_cut_record_is_lost_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], missing: int
) -> None:
    """Also where but a line's end is missing, which is the end of every record."""
    room = disk_with_room(monkeypatch, 8 - missing)
    stream = Stream(str(tmp_path), "0")
    for record in (b"[1,1,1]\n", b"[2,2,2]\n", b"[3,3,3]\n"):
        stream.write(record)
    room[0] = 1000
    stream.write(b"[4,4,4]\n")
    stream.closing()
    (path,) = tmp_path.iterdir()
    assert path.read_bytes() == b"[1,1,1]\n[4,4,4]\n"
    assert "2 records of this run" in capfd.readouterr().err


def test_a_record_that_is_written_in_parts_stays_whole_among_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def write(fd: int, data: bytes) -> int:
        written = real(fd, data[: len(data) // 2 or 1])
        time.sleep(0)  # let another thread come between the parts, if it may
        return written

    monkeypatch.setattr(_stream.os, "write", write)
    stream = Stream(str(tmp_path), "0")
    threads = [threading.Thread(target=lambda: [stream.write(b"[1,22,333]\n") for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert next(tmp_path.iterdir()).read_bytes() == b"[1,22,333]\n" * 800


def test_flush_completes_a_cut_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    room = [3]

    def write(fd: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        taken, room[0] = data[: room[0]], 0
        return real(fd, taken)

    monkeypatch.setattr(_stream.os, "write", write)
    stream = Stream(str(tmp_path), "0")
    stream.write(b"[1,1,1]\n")
    room[0] = 100
    stream.flush()
    assert next(tmp_path.iterdir()).read_bytes() == b"[1,1,1]\n"


def test_a_torn_end_of_an_earlier_process_of_that_number_is_closed(tmp_path: Path) -> None:
    path = tmp_path / f"r0-{os.getpid()}.metrics"
    path.write_bytes(b'["a",0,1.0,1]\n["b",0,')
    Stream(str(tmp_path), "0").write(b"[1]\n")
    assert path.read_bytes() == b'["a",0,1.0,1]\n["b",0,\n[1]\n'


@pytest.mark.parametrize("folder", ["/proc/nothing-can-be-made-here", "/dev/null"])
def test_no_place_to_write_is_one_warning(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    stream = Stream(folder, "0")
    for _ in range(100):
        stream.write(b"[1]\n")
    assert capsys.readouterr().err.count("\n") == 1


def test_a_closed_standard_error_harms_nothing(tmp_path: Path) -> None:
    ended = script(
        "import sys, os\nsys.stderr.close()\nrun.log('a', object())\nsys.stderr = None\nrun.log('a', [1].append)\nprint('on')",
        tmp_path,
    )
    assert (ended.returncode, ended.stdout) == (0, "on\n")
