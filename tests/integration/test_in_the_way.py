"""What may lie in a service's way: files, folders, other versions' databases, disks. One clear line each, nothing lost."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.client import starter
from jupyter_mltrain.client.connection import Connection
from jupyter_mltrain.errors import MLTrainError, NoFileLocks, ServiceUnavailable, StorageError, WorkspaceNotFound
from tests.faults.repeat import own_mounts
from tests.faults.world import REPOSITORY, World, steady


def refused(world: World, kind: type[MLTrainError]) -> MLTrainError:
    with pytest.raises(MLTrainError) as raised:
        Connection.open(world.root)
    error = raised.value
    assert type(error) is kind, error
    assert error.message
    assert error.mend
    assert "\n" not in error.message
    assert "Traceback" not in error.message
    return error


@pytest.fixture
def ended_run(world: World) -> Any:
    """A run that has ended, and no service."""
    run = world.submit(steady(3))
    world.check(run)
    world.kill_service()
    return run


def test_a_config_that_does_not_parse(world: World, ended_run: Any) -> None:
    text = world.layout.config.read_text()
    world.layout.config.write_text(text.replace('name = "faults"', "name = faults"))
    error = refused(world, StorageError)
    assert "config.toml does not parse" in error.message
    assert "line" in error.message
    world.layout.config.write_text(text)
    assert world.check(ended_run)["status"] == "Completed"


def test_a_config_without_what_it_needs(world: World) -> None:
    world.layout.config.write_text("name = 'x'\n")
    assert "has no `id`" in refused(world, StorageError).message
    world.layout.config.unlink()
    refused_as = pytest.raises(WorkspaceNotFound)
    with refused_as:
        Connection.open(world.root)


def test_a_config_that_asks_for_what_is_not_there(world: World) -> None:
    text = world.layout.config.read_text().replace("slots = 8", "slot = 8")
    world.layout.config.write_text(text)
    message = refused(world, ServiceUnavailable).message
    assert "A setting of the engine 'local' is wrong" in message
    assert "'slot'" in message


def test_a_database_of_a_newer_version(world: World, ended_run: Any) -> None:
    with sqlite3.connect(world.layout.database) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    error = refused(world, ServiceUnavailable)
    assert "newer jupyter_mltrain (schema 99)" in error.message
    assert "pip install -U" in error.message + error.mend
    with sqlite3.connect(world.layout.database) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (99,)
        assert db.execute("SELECT id FROM runs").fetchall() == [(ended_run.id,)]
    db.close()
    world.layout.database.unlink()
    assert world.check(ended_run)["status"] == "Completed"


def test_a_database_that_is_none(world: World, ended_run: Any) -> None:
    for name in ("service.db-wal", "service.db-shm"):
        (world.layout.folder / name).unlink(missing_ok=True)
    world.layout.database.write_bytes(b"not a database, certainly" * 400)
    error = refused(world, ServiceUnavailable)
    assert "cannot be used" in error.message
    assert "Move it away" in error.message
    world.layout.database.rename(world.root / "moved")
    assert world.check(ended_run)["status"] == "Completed"


def test_a_folder_where_the_socket_belongs(world: World) -> None:
    (world.layout.folder / "service.sock").mkdir()
    error = refused(world, ServiceUnavailable)
    assert "service.sock cannot be made" in error.message
    assert "Remove what lies in its way" in error.message
    (world.layout.folder / "service.sock").rmdir()
    assert world.check(world.submit(steady(1)))["status"] == "Completed"


@pytest.mark.parametrize("name", ["service.sock", "service.lock", "service.json"])
def test_a_file_where_socket_lock_or_address_belong(world: World, name: str) -> None:
    (world.layout.folder / name).write_text("left by something else")
    assert world.check(world.submit(steady(1)))["status"] == "Completed"


def test_a_folder_where_the_lock_belongs(world: World) -> None:
    world.layout.lock.mkdir()
    error = refused(world, StorageError)
    assert "service.lock is a folder" in error.message
    world.layout.lock.rmdir()
    assert world.check(world.submit(steady(1)))["status"] == "Completed"


def test_a_file_system_without_locks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def no_locks(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(starter.fcntl, "flock", no_locks)
    error = refused(world, NoFileLocks)
    assert "without file locks" in error.message
    assert "local disk" in error.mend
    monkeypatch.undo()
    assert world.service_pid() is None


_OWN_DISK = """
import json, subprocess, sys
from pathlib import Path
from jupyter_mltrain.client.connection import Connection
from jupyter_mltrain.client.workspaces import create_root
from jupyter_mltrain.errors import MLTrainError
disk, megabytes, kind = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)], check=True)
if kind == "create":
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
try:
    root = create_root(disk / "workspace")
    if kind == "open":
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    connection = Connection.open(root)
    body = {"experiment": "e", "script": "t.py", "files": {"t.py": "1"}, "environment": "current", "kernel_python": sys.executable}
    try:
        connection.post("/v1/runs", body)
    finally:
        total = connection.get("/v1/runs")["total"]
        connection.post("/v1/handover")
except MLTrainError as error:
    print(json.dumps({"class": type(error).__name__, "message": error.message, "mend": error.mend, "runs": locals().get("total", 0)}))
"""


@pytest.mark.parametrize(
    ("megabytes", "kind", "error", "says"),
    [
        (8, "submit", "DiskFull", "MB are free"),
        (64, "open", "NotWritable", "read-only"),
        (64, "create", "NotWritable", "cannot hold a workspace"),
    ],
)
def test_a_disk_that_says_no(
    tmp_path: Path, own_folders: None, megabytes: int, kind: str, error: str, says: str
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = [*own_mounts(), sys.executable, "-c", _OWN_DISK, str(disk), str(megabytes), kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["class"] == error, told
    assert says in told["message"], told
    assert told["mend"]
    assert told["runs"] == 0
