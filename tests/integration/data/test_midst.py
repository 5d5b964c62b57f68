"""Data on its way to a run, and what comes in between: kills, cancels, removals, crowds."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.dataset import Dataset
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.errors import (
    ConflictError,
)
from tests.faults.world import World, eventually
from tests.integration.data.scripts import READ, seen
from tests.unit.data.local_mirror import LocalMirror


def test_a_service_killed_while_it_fetches_goes_on_where_it_was(
    world: World, workspace: Workspace, submit: Callable[..., Run], server: LocalMirror, tmp_path: Path
) -> None:
    size = 3_000_000
    server.files["big.bin"], server.etags["big.bin"] = os.urandom(size), '"big"'
    dataset = Dataset.File.from_files(server.url("big.bin")).register(workspace, "big")
    server.cut, server.cuts, server.stall = size // 2, 1, True
    run = submit(dataset.as_mount())
    parts = Path(os.environ["JUPYTER_MLTRAIN_CACHE"]) / "datasets" / ".addresses"
    eventually(lambda: any(part.stat().st_size == size // 2 for part in parts.glob("*.part")), "half of it never came")
    world.kill_service()
    server.release()
    read = seen(run, tmp_path)
    assert read["path"].endswith("/big.bin")
    assert Path(read["path"]).read_bytes() == server.files["big.bin"]
    assert server.bodies() == [("big.bin", None), ("big.bin", f"bytes={size // 2}-")]


def test_a_cancel_ends_a_fetch(workspace: Workspace, submit: Callable[..., Run], server: LocalMirror) -> None:
    dataset = Dataset.File.from_files(server.url("part-0.csv")).register(workspace, "p")
    server.hold.clear()
    run = submit(dataset.as_mount())
    assert server.in_body.wait(60)
    run.cancel()
    server.hold.set()
    assert eventually(lambda: run.refresh()["status"] == "Canceled", "it goes on")


def test_a_copy_goes_with_a_run_that_never_ran(
    world: World, experiment: Experiment, folder: Path, server: LocalMirror
) -> None:
    """One input is copied already when the other cannot be had."""
    whole = Dataset.File.from_files(folder).as_named_input("whole").as_download()
    server.hold.clear()
    never = Dataset.File.from_files(server.url("part-0.csv"), validate=False).as_named_input("never")
    config = ScriptRunConfig(script="x.py", files={"x.py": READ}, environment="current", arguments=[whole, never])
    run = experiment.submit(config)
    copy = world.root / ".mltrain" / "runs" / run.id / "data"
    assert server.in_body.wait(60)
    eventually((copy / "whole" / "a.csv").is_file, "nothing was copied")
    run.cancel()
    server.hold.set()
    eventually(lambda: run.refresh()["status"] == "Canceled", "it goes on")
    eventually(lambda: not copy.exists(), "the copy was left behind")


def test_what_a_run_reads_is_not_removed_under_it(
    workspace: Workspace, submit: Callable[..., Run], server: LocalMirror, tmp_path: Path
) -> None:
    dataset = Dataset.File.from_files([server.url("part-0.csv"), server.url("part-1.csv")]).register(workspace, "parts")
    go = tmp_path / "go"
    run = submit(
        dataset.as_mount(), f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.02)\n{READ}"
    )
    eventually(lambda: run.refresh()["status"] == "Running", "it does not run")
    with pytest.raises(ConflictError, match="reads parts:1 now"):
        workspace.connection.post("/v1/datasets/parts/remove", {"what": "cache"})
    go.touch()
    assert len(seen(run, tmp_path)["seen"]) == 2
    freed = workspace.connection.post("/v1/datasets/parts/remove", {"what": "cache"})["bytes"]
    assert freed == sum(len(server.files[f"part-{i}.csv"]) for i in range(2))
    assert not workspace.connection.get("/v1/datasets/parts")["cached"]


def test_many_runs_that_wait_for_data_do_not_stop_the_service(
    workspace: Workspace, submit: Callable[..., Run], server: LocalMirror
) -> None:
    dataset = Dataset.File.from_files(server.url("part-0.csv")).register(workspace, "p")
    server.hold.clear()
    runs = [submit(dataset.as_mount()) for _ in range(12)]
    assert server.in_body.wait(60)
    # It answers though none of them can go on.
    assert len(workspace.connection.get("/v1/datasets", timeout=60)["datasets"]) == 3
    server.hold.set()
    for run in runs:
        run.wait_for_completion(wait_post_processing=True)
    assert len(server.bodies()) == 1
