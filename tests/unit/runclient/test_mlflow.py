"""MLflow's own client in a script, with no server: what it logs is in the run's stream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain import runclient

SCRIPT = """
import mlflow, sys
mlflow.set_experiment("any name the script likes")
with mlflow.start_run() as run:
    assert run.info.run_id == "e_1_aa", run.info.run_id
    mlflow.log_metric("loss", 0.5, step=3)
    mlflow.log_metric("loss", float("inf"), step=4)
    mlflow.log_metrics({"a": 1, "b": 2}, step=1)
    mlflow.log_params({"lr": 0.1})
    mlflow.set_tag("who", "me")
    mlflow.log_text("hello", "deep/note.txt")
    with mlflow.start_run(nested=True, run_name="child"):
        mlflow.log_metric("loss", 7)
    assert [m.value for m in mlflow.MlflowClient().get_metric_history("e_1_aa", "loss")] == [0.5, float("inf")]
found = mlflow.get_run("e_1_aa")
assert found.data.metrics["a"] == 1
assert found.data.params == {"lr": "0.1"}
assert found.info.status == "FINISHED"
with mlflow.start_run():
    mlflow.log_metric("again", 1)
for i in range(300):
    mlflow.log_metric("sync", i, step=i, synchronous=False)
mlflow.flush_async_logging()
from mlflow.entities import Metric
client = mlflow.MlflowClient()
for _ in range(2):  # as MLflow 3 does for a logged model
    client.log_batch("e_1_aa", metrics=[Metric("tied", 1.0, 1000, 0, model_id="m-1")])
from jupyter_mltrain import Run
Run.get_context().log("ours", 1)
print("done")
"""


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], Path]:
    root = tmp_path_factory.mktemp("run")
    for name in ("streams", "work/outputs"):
        (root / name).mkdir(parents=True)
    env = {
        "PATH": os.defpath, "HOME": str(root), "PYTHONPATH": str(runclient.folder()), "MLTRAIN_RUN_ID": "e_1_aa",
        "MLTRAIN_STREAMS": str(root / "streams"), "MLTRAIN_EXPERIMENT": "e", "MLFLOW_TRACKING_URI": "mltrain://run",
        "MLFLOW_RUN_ID": "e_1_aa", "MLFLOW_DISABLE_TELEMETRY": "1",
    }  # fmt: skip
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        cwd=root / "work", env=env, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert said.stdout.endswith("done\n"), said.stderr
    (path,) = (root / "streams").iterdir()
    return [json.loads(line) for line in path.read_bytes().splitlines()], root / "work"


def test_metrics_with_their_steps_and_times(records: tuple[list[Any], Path]) -> None:
    points = [(r[0], r[1], r[3]) for r in records[0] if isinstance(r, list)]
    assert points[:4] == [("loss", 3, 0.5), ("loss", 4, float("inf")), ("a", 1, 1.0), ("b", 1, 2.0)]
    # MLflow's own queue has several threads; each value comes once, with its step.
    assert sorted(p[1:] for p in points if p[0] == "run-4/sync") == [(i, float(i)) for i in range(300)]
    assert all(r[2] > 1.7e9 for r in records[0] if isinstance(r, list) and r[0] != "tied")


def test_params_tags_artifacts(records: tuple[list[Any], Path]) -> None:
    said = [(r["k"], r["key"], r["value"]) for r in records[0] if isinstance(r, dict)]
    assert ("param", "lr", "0.1") in said
    assert ("tag", "who", "me") in said
    assert (records[1] / "outputs" / "deep" / "note.txt").read_text() == "hello"


def test_further_runs_log_under_their_name(records: tuple[list[Any], Path]) -> None:
    names = {r[0] for r in records[0] if isinstance(r, list)}
    assert {"child/loss", "run-3/again"} <= names


def test_a_metric_that_mlflow_sends_twice_is_kept_once(records: tuple[list[Any], Path]) -> None:
    assert [r for r in records[0] if isinstance(r, list) and r[0] == "tied"] == [["tied", 0, 1.0, 1.0]]


def test_our_client_writes_the_same_file(records: tuple[list[Any], Path]) -> None:
    assert records[0][-1][0] == "ours"
