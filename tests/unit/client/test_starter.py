"""Starting a service: whose exit codes mean what, where the socket lies, what the disk must allow."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.client import starter
from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.errors import NoFileLocks, NotWritable, ServiceUnavailable, StorageError


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / ".mltrain").mkdir()
    return Layout(tmp_path)


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """Stand-ins for the processes that are spawned: each takes its turn and gives its exit code."""

    def prepare(*turns: int | Callable[[], int]) -> list[list[str]]:
        commands: list[list[str]] = []

        def run(args: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
            commands.append(args)
            turn = turns[min(len(commands), len(turns)) - 1]
            return subprocess.CompletedProcess(args, turn() if callable(turn) else turn)

        monkeypatch.setattr(starter.subprocess, "run", run)
        return commands

    return prepare


class Living:
    """A service as others see it: it holds the lock and listens."""

    def __init__(self, layout: Layout) -> None:
        self._lock = layout.lock.open("a")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(starter.socket_path(layout))
        self._socket.listen()

    def end(self) -> None:
        self._socket.close()
        self._lock.close()


def test_one_that_starts_is_waited_for(layout: Layout, spawned: Any) -> None:
    living: list[Living] = []

    def start() -> int:
        living.append(Living(layout))
        return 0

    commands = spawned(start)
    starter.start(layout)
    assert len(commands) == 1
    assert commands[0][-2:] == ["--root", str(layout.root)]
    living[0].end()


def test_who_lost_the_race_uses_the_winner(layout: Layout, spawned: Any) -> None:
    winner = Living(layout)
    assert len(spawned(starter.LOST_RACE)) == 0
    starter.start(layout)
    winner.end()


def test_a_winner_that_ended_is_replaced(layout: Layout, spawned: Any) -> None:
    living: list[Living] = []

    def start() -> int:
        living.append(Living(layout))
        return 0

    commands = spawned(starter.LOST_RACE, start)
    starter.start(layout)
    assert len(commands) == 2
    living[0].end()


@pytest.mark.parametrize("code", [137, -9])
def test_one_that_is_killed_while_it_starts_is_started_again(layout: Layout, spawned: Any, code: int) -> None:
    living: list[Living] = []

    def start() -> int:
        living.append(Living(layout))
        return 0

    commands = spawned(code, code, start)
    starter.start(layout)
    assert len(commands) == 3
    living[0].end()
    commands = spawned(code)
    with pytest.raises(ServiceUnavailable, match="did not start"):
        starter.start(layout)
    assert len(commands) == 4


def test_one_that_fails_is_quoted(layout: Layout, spawned: Any) -> None:
    layout.log.write_text("Traceback …\nValueError: no such thing\n")
    commands = spawned(1)
    with pytest.raises(ServiceUnavailable, match=r"exit code 1\): ValueError: no such thing") as raised:
        starter.start(layout)
    assert len(commands) == 1
    assert str(layout.log) in raised.value.mend


def test_one_that_never_answers_is_given_up(layout: Layout, spawned: Any) -> None:
    spawned(0)
    with pytest.raises(ServiceUnavailable, match="did not answer"):
        starter.start(layout, patience=0.05)


def test_short_paths_listen_in_the_workspace_long_ones_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    short = Layout(Path("/w"))
    assert starter.socket_path(short) == starter.new_socket_path(short, "id") == "/w/.mltrain/service.sock"
    long = Layout(tmp_path / ("x" * 100))
    long.folder.mkdir(parents=True)
    with pytest.raises(FileNotFoundError):
        starter.socket_path(long)
    chosen = starter.new_socket_path(long, "0123456789abcdef")
    assert len(chosen) < 108
    assert stat.S_IMODE(Path(chosen).parent.stat().st_mode) == 0o700
    long.address.write_text(json.dumps({"socket": chosen}))
    assert starter.socket_path(long) == chosen


def test_a_runtime_folder_of_somebody_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "jupyter-mltrain").mkdir()
    (tmp_path / "jupyter-mltrain").chmod(0o777)
    with pytest.raises(StorageError, match="not a private folder"):
        starter.new_socket_path(Layout(tmp_path / ("x" * 100)), "id")


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOLCK, NoFileLocks),
        (errno.EOPNOTSUPP, NoFileLocks),
        (errno.EROFS, NotWritable),
        (errno.EACCES, NotWritable),
    ],
)
def test_what_the_disk_says_becomes_one_error(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    def fails(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(starter.fcntl, "flock", fails)
    with pytest.raises(error) as raised:
        starter.check_locks(layout)
    assert raised.value.mend  # type: ignore[attr-defined]


def test_a_full_disk_does_not_keep_a_service_from_being_asked(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(starter.tempfile, "TemporaryFile", full)
    starter.check_locks(layout)
