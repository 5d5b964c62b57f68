"""What a disk and a database do on a bad day."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.case import case
from tests.faults.world import World, eventually, steady, value


@case()
def torn_last_record(world: World) -> None:
    """The process dies in the middle of a record, as a power cut or a full disk would leave it."""
    count = world.random.randrange(1, 30)
    tear = (
        "import glob\n"
        "[path] = glob.glob(os.environ['MLTRAIN_STREAMS'] + '/*.metrics')\n"
        "fd = os.open(path, os.O_WRONLY | os.O_APPEND)\n"
        f"os.write(fd, b'[\"loss\",{count},1795416468.5,0.12345'[:{world.random.randrange(1, 30)}])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = world.submit(steady(count, 0) + tear)
    state = world.check(run)
    assert state["status"] == "Failed"
    assert state["metric_points"] == count


@case()
def database_locked_by_another_process(world: World) -> None:
    """Locked while a service starts, while a run is submitted, or at some moment of the run."""
    moment = world.random.choice(["start", "submit", "run"])
    world.connection.get("/v1/hello")
    if moment == "start":
        world.kill_service()
    run, body = world.request(steady(60))
    if moment == "run":
        world.connection.post("/v1/runs", body)
        world.wait_running(run, world.random.randrange(1, 50))
    with ThreadPoolExecutor(1) as pool:
        with _locked(world.layout.database):
            sending = pool.submit(world.connection.post, "/v1/runs", body)
            time.sleep(1.2)
        assert sending.result()["id"] == run.id
    assert world.check(run)["status"] == "Completed"


@case()
def index_deleted_between_two_lives(world: World) -> None:
    """`service.db` is an index: what it knew is made anew from the run folders."""
    before = world.submit(steady(3))
    known = world.check(before)
    run = world.submit(steady(60))
    time.sleep(world.random.uniform(0, 0.5))
    world.kill_service()
    for name in ("service.db", "service.db-wal", "service.db-shm"):
        (world.layout.folder / name).unlink(missing_ok=True)
    assert world.check(run)["status"] == "Completed"
    again = world.check(before)
    for key in (
        "status",
        "number",
        "display_name",
        "created",
        "started",
        "ended",
        "history",
        "outputs",
        "metrics",
        "tags",
    ):
        assert again[key] == known[key], key
    after = world.submit(steady(1))
    latest = world.check(after)
    assert latest["number"] > world.state(run)["number"] > again["number"]
    assert world.connection.get("/v1/runs/latest")["id"] == after.id


@case(tmpfs_mb=96)
def disk_full(world: World) -> None:
    """The disk is full for a part of the run. Training goes on; what could be written is there, whole and in order."""
    count = 60
    run = world.submit(steady(count, 0.02))
    world.wait_running(run, world.random.randrange(1, 40))
    filler = world.root / "filler"
    _fill(filler)
    if world.random.random() < 0.5:
        world.kill_service()
    eventually(lambda: run.ended, "the script did not come to its end on a full disk")
    time.sleep(world.random.uniform(0, 0.3))
    filler.unlink()
    state = world.check(run, complete_metrics=False)
    assert state["status"] == "Completed"
    window = world.connection.get(f"/v1/runs/{run.id}/series", name="loss", points=20_000)
    values = world.connection.get(f"/v1/runs/{run.id}/values")["loss"]
    # `log` cannot wait for a disk: what it could not write is lost, and said. The rest is there once, in order.
    assert window["values"] == values == [value(step) for step in window["steps"]]
    assert window["steps"] == sorted(set(window["steps"]))
    assert set(window["steps"]) <= set(range(count))
    assert len(values) >= 1


def _fill(path: Path) -> None:
    """Take all that is free, to the last byte."""
    with path.open("wb", buffering=0) as file:
        block = 1 << 20
        while block:
            try:
                file.write(b"\0" * block)
            except OSError:
                block //= 2
    assert os.statvfs(path.parent).f_bavail <= 1


@contextlib.contextmanager
def _locked(database: Path) -> Iterator[None]:
    """Another process' write lock on a database, as a backup program or a curious user might hold."""
    holder = sqlite3.connect(database, timeout=10, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.execute("ROLLBACK")
        holder.close()
