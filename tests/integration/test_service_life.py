"""The service as a process: one per workspace, started when asked for, gone when idle, replaced while runs go on."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from jupyter_mltrain._version import PROTOCOL
from jupyter_mltrain.client import starter
from jupyter_mltrain.client.connection import Connection
from jupyter_mltrain.errors import ProtocolMismatch
from tests.faults.world import REPOSITORY, UNTIL_TOLD, World, alive, eventually, kill, steady

_HELLO = """
import sys
import time
from pathlib import Path
from jupyter_mltrain.client import starter
from jupyter_mltrain.client.connection import Connection
print(Connection.open(Path(sys.argv[1])).get("/v1/hello")["pid"])
"""


def test_many_that_start_it_at_once_get_one(world: World) -> None:
    command = [sys.executable, "-c", _HELLO, str(world.root)]
    with ThreadPoolExecutor(6) as pool:
        done = list(
            pool.map(
                lambda _: subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False), range(6)
            )
        )
    assert [one.stderr for one in done] == [""] * 6
    assert len({one.stdout for one in done}) == 1
    assert int(done[0].stdout) == world.service_pid()


def test_it_starts_although_whoever_waited_for_it_was_killed(world: World) -> None:
    command = [sys.executable, "-P", "-m", "jupyter_mltrain.service", "--root", str(world.root)]
    with subprocess.Popen(command, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}) as waiting:
        service = eventually(world.service_pid, "the service is not there")
        kill(waiting.pid)
    eventually(lambda: starter.answers(world.layout), "it does not answer")
    assert world.service_pid() == service
    # It is still there once its first request is over: the broken pipe ended it in the middle of that.
    for _ in range(3):
        assert world.connection.get("/v1/hello")["pid"] == service
        time.sleep(0.05)


def test_it_says_who_it_is(world: World) -> None:
    hello = world.connection.get("/v1/hello")
    assert hello["protocol"] == PROTOCOL
    assert hello["pid"] == world.service_pid()
    assert hello["workspace"]["root"] == str(world.root)


def test_nobody_else_may_speak_to_it(world: World) -> None:
    world.connection.get("/v1/hello")
    socket = Path(world.socket())
    assert socket.stat().st_mode & 0o777 == 0o600
    assert world.layout.folder.stat().st_mode & 0o777 == 0o700
    assert world.layout.database.stat().st_mode & 0o077 == 0


def test_it_outlives_who_started_it(world: World) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _HELLO, str(world.root)], capture_output=True, text=True, cwd=REPOSITORY, check=True
    )
    pid = int(done.stdout)
    assert alive(pid)
    assert os.getsid(pid) == pid


def test_it_ends_when_idle_and_not_before_its_runs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_MLTRAIN_IDLE_SECONDS", "0.4")
    run = world.submit(steady(120))
    pid = world.service_pid()
    assert pid is not None
    eventually(lambda: run.ended or not alive(pid), "the run does not end")
    assert alive(pid), "it ended while a run was live"
    eventually(lambda: not alive(pid), "it does not end")
    assert not Path(world.socket()).exists()
    assert world.check(run)["status"] == "Completed"


def test_term_ends_it_and_the_run_goes_on(world: World) -> None:
    run = world.submit(steady(80))
    world.wait_running(run)
    pid = world.service_pid()
    assert pid is not None
    kill(pid, signal.SIGTERM)
    eventually(lambda: not alive(pid), "it does not end on TERM")
    assert world.check(run)["status"] == "Completed"


def test_a_run_goes_on_while_a_newer_service_takes_over(
    world: World, service_of_protocol: Callable[[int], None]
) -> None:
    service_of_protocol(PROTOCOL - 1)
    run = world.submit(UNTIL_TOLD + steady(20))
    eventually(lambda: run.starts, "the script does not start")
    old = world.service_pid()
    assert old is not None
    connection = Connection.open(world.root)
    assert connection.get("/v1/hello")["protocol"] == PROTOCOL
    assert not alive(old)
    assert world.service_pid() not in {None, old}
    world.wait_status(run, "Running")
    assert len(run.starts) == 1
    world.go_on()
    assert world.check(run)["status"] == "Completed"


def test_a_newer_service_is_left_alone_and_named(world: World, service_of_protocol: Callable[[int], None]) -> None:
    service_of_protocol(PROTOCOL + 1)
    run = world.submit(steady(60))
    world.wait_running(run)
    pid = world.service_pid()
    with pytest.raises(ProtocolMismatch) as raised:
        Connection.open(world.root)
    assert f"newer (0.{PROTOCOL + 1})" in raised.value.message
    assert "pip install -U" in raised.value.mend
    assert world.service_pid() == pid
    assert world.check(run)["status"] == "Completed"


def test_a_path_too_long_for_a_socket_works_too(
    tmp_path: Path, own_folders: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "run").mkdir(mode=0o700)
    with World(tmp_path / ("deep" * 30)) as world:
        run = world.submit(steady(2))
        assert world.check(run)["status"] == "Completed"
        assert not (world.layout.folder / "service.sock").exists()
        world.kill_service()
        assert world.state(run)["status"] == "Completed"


def test_doctor_tells_facts(world: World) -> None:
    told = world.connection.get("/v1/doctor")
    assert told["facts"]["service"]["pid"] == world.service_pid()
    assert told["facts"]["targets"]["local"]["ok"] is True
    assert told["facts"]["targets"]["local"]["slots"] == 8
    assert all(set(problem) == {"problem", "mend"} for problem in told["problems"])


def test_a_module_in_the_workspace_does_not_stand_in_for_the_library(world: World) -> None:
    (world.root / "json.py").write_text("raise SystemExit('mine')")
    (world.root / "sqlite3.py").write_text("raise SystemExit('mine')")
    assert world.connection.get("/v1/hello")["pid"]


def test_an_index_that_is_behind_the_folder_catches_up(world: World) -> None:
    """A service that is killed between the two leaves this; the folder is the record."""
    run = world.submit(steady(3))
    ended = world.check(run)
    world.kill_service()
    with closing(sqlite3.connect(world.layout.database)) as db, db:
        db.execute("UPDATE runs SET status = 'Finalizing', ended = NULL, revision = revision - 1000")
        db.execute("DELETE FROM history WHERE status = 'Completed'")
    again = world.check(run)
    assert again["ended"] == ended["ended"]
    assert again["history"] == ended["history"]
