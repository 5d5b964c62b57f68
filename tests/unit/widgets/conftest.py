"""Run states as the service sends them, hand-made, and the part of a connection that outputs read from."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jupyter_mltrain.errors import RunNotFound
from jupyter_mltrain.widgets import watch

if TYPE_CHECKING:
    from tests.unit.widgets.one_run import Service

T0 = 1795416000.0  # 2026-11-23 06:40 UTC


def stage(
    name: str, state: str, started: float | None = None, ended: float | None = None, note: str = ""
) -> dict[str, Any]:
    return {"name": name, "state": state, "started": started, "ended": ended, "note": note}


def metric(name: str, values: list[float], stride: int = 10) -> dict[str, Any]:
    finite = [v for v in values if math.isfinite(v)]
    low, high = min(finite), max(finite)
    return {
        "name": name,
        "rank": 0,
        "count": len(values),
        "last": values[-1],
        "last_step": (len(values) - 1) * stride,
        "min": low,
        "min_step": values.index(low) * stride,
        "max": high,
        "max_step": values.index(high) * stride,
    }


def accuracy(points: int = 120) -> list[float]:
    return [0.985 - 0.12 * math.exp(-9 * i / 119) + 0.004 * math.sin(i * 2.3) for i in range(points)]


def loss(points: int = 120) -> list[float]:
    return [0.06 + 0.9 * math.exp(-7 * i / 119) + 0.02 * math.sin(i * 1.7) for i in range(points)]


def base(status: str, **changes: Any) -> dict[str, Any]:
    state: dict[str, Any] = {
        "id": "tutorial-tf-mnist_1795416000_0a1b2c3d",
        "experiment": "tutorial-tf-mnist",
        "display_name": "brave-otter-7",
        "status": status,
        "revision": 9,
        "created": T0,
        "started": T0 + 0.5,
        "ended": T0 + 69.5,
        "duration": 69.0,
        "target": "local",
        "environment": {"name": "tensorflow", "version": 3, "key": "9f2c4e1a7b60d853"},
        "data": [{"name": "mnist", "version": 1}],
        "arguments": ["--batch-size", "64", "--learning-rate", "0.001"],
        "command": None,
        "stages": [
            stage("Preparing", "done", T0, T0 + 0.1, "cached"),
            stage("Queued", "done", T0 + 0.1, T0 + 0.1),
            stage("Starting", "done", T0 + 0.1, T0 + 0.5),
            stage("Running", "done", T0 + 0.5, T0 + 68.9),
            stage("Finalizing", "done", T0 + 68.9, T0 + 69.5),
        ],
        "history": [{"status": "Preparing", "time": T0, "reason": "", "evidence": {}}],
        "progress": None,
        "failure": None,
        "tracking": {"state": "synced", "pending": 0, "message": ""},
        "metrics": [metric("val_accuracy", accuracy()), metric("loss", loss()), metric("test_accuracy", [0.9786])],
        "metric_points": 11244,
        "substitutions": [],
        "tags": {"stage": "tutorial"},
        "notes": "",
        "pinned": False,
        "git": {"commit": "3413ed3c0ffee", "branch": "main"},
        "resources": {"gpus": None, "cpus": 2, "memory_gb": None, "max_run_seconds": None},
        "used": {},
        "snapshot": {"files": 1, "bytes": 1843, "digest": "c0ffee00"},
        "outputs": {"files": 3, "bytes": 412_000},
        "models": [],
        "queue_position": None,
        "notices": [],
        "workspace": {"id": "2f1d8c8e-0b7e-4c9b-9a51-1f0c7a3e5d11", "name": "tutorials"},
        "recorded": T0 + 80,
    }
    return state | changes


def running_state() -> dict[str, Any]:
    state = base("Running", ended=None, duration=None, recorded=T0 + 42.5)
    state["stages"][3] = stage("Running", "active", T0 + 0.5)
    state["stages"][4] = stage("Finalizing", "pending")
    state["progress"] = {"label": "epoch", "value": 12, "total": 20, "eta": 27.0}
    state["metrics"] = [metric("val_accuracy", accuracy(72)), metric("loss", loss(72))]
    state["outputs"] = {"files": 0, "bytes": 0}
    state["tracking"] = {"state": "pending", "pending": 12, "message": ""}
    return state


def failed_state() -> dict[str, Any]:
    state = base("Failed", display_name="quiet-heron-2", ended=T0 + 9.6, duration=9.1)
    state["stages"][3] = stage("Running", "failed", T0 + 0.5, T0 + 9.4)
    state["stages"][4] = stage("Finalizing", "done", T0 + 9.4, T0 + 9.6)
    state["progress"] = {"label": "epoch", "value": 3, "total": 20, "eta": None}
    state["failure"] = {
        "title": "Out of memory on rank 1: the process used 4.0 GB of its 4 GB limit and was killed.",
        "evidence": ["signal 9", "oom_kill counter 0 → 1", "last heartbeat 0.8 s before", "2,811 metric points kept"],
        "traceback": 'Traceback (most recent call last):\n  File "/home/ann/ws/.mltrain/runs/r1/work/cell.py", line 12, in'
        ' <module>\n    model.fit(x, y)\n  File "/home/ann/.cache/mltrain/env/lib/python3.11/site-packages/keras/src/trainer.py",'
        " line 377, in fit\n    raise MemoryError\nMemoryError",
        "rank": 1,
        "mend": "Rerun with `--memory 8`.",
    }
    state["substitutions"] = [
        {"kind": "target", "asked": "STANDARD_NC6", "given": "cpu", "reason": "this machine has no GPU"}
    ]
    state["metrics"] = [metric("loss", [*loss(20), math.nan, math.inf, *loss(18)])]
    return state


def rank(number: int, status: str, ended: str = "", **changes: Any) -> dict[str, Any]:
    return {
        "rank": number,
        "role": f"worker {number}",
        "node": number // 2,
        "host": f"gpu-box-{number // 2}",
        "status": status,
        "step": 40 - number,
        "behind": number * 0.4,
        "gpus": [f"{number % 2} NVIDIA L4, 83 %"],
        "cpu": 91.0,
        "memory": 2_000_000_000,
        "examples": 120.4,
        "exit": ended,
    } | changes


def ranked_state() -> dict[str, Any]:
    """Four processes on two hosts, of which the third failed first."""
    state = failed_state() | {"display_name": "loud-crane-3", "substitutions": []}
    state["failure"] |= {"title": "ValueError: no such batch on rank 2", "rank": 2, "mend": ""}
    state["metrics"] = [metric("loss", loss(40)) | {"rank": number} for number in (1, 0, 2, 3)]
    state["processes"] = 4
    state["ranks"] = {
        "ranks": [
            rank(0, "ended", "SIGTERM, ended for rank 2"),
            rank(1, "ended", "SIGTERM, ended for rank 2"),
            rank(2, "failed", "exit code 1"),
            rank(3, "lost", "<no word>", step=None, behind=None, gpus=[], examples=None),
        ],
        "failed": 2,
        "examples": 480.6,
        "scaling": {
            "processes": 4,
            "examples": 478.0,
            "per_rank": [120.4, 119.0, 120.4, 118.2],
            "baseline": {"run_id": "tutorial_1_a", "name": "calm-wren-1", "examples": 130.0},
            "efficiency": 0.919,
        },
    }
    return state


class Recorded:
    """A connection to a service that holds one run: series by metric name, one log."""

    def __init__(self, series: dict[str, list[float]], log: bytes = b"", stride: int = 10) -> None:
        self.series, self.log, self.stride = series, log, stride
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def get(self, path: str, /, **params: Any) -> Any:
        self.asked.append((path, params))
        name = params["name"]
        if name not in self.series:
            raise RunNotFound("no such series")
        values = [_wire(v) for v in self.series[name]]
        return {
            "name": name,
            "total": len(values),
            "steps": [i * self.stride for i in range(len(values))],
            "values": values,
        }

    def bytes(self, path: str, /, **params: Any) -> tuple[bytes, dict[str, str]]:
        self.asked.append((path, params))
        if not self.log:
            raise RunNotFound("no log yet")
        return self.log[params["offset"] :], {"X-Complete": "1"}


def _wire(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


@pytest.fixture
def running() -> tuple[dict[str, Any], Recorded]:
    log = b"".join(b"epoch %d accuracy %.4f\n" % (i, 0.9 + i / 200) for i in range(12))
    return running_state(), Recorded({"val_accuracy": accuracy(72), "loss": loss(72)}, log)


@pytest.fixture
def completed() -> tuple[dict[str, Any], Recorded]:
    series = {"val_accuracy": accuracy(), "loss": loss(), "test_accuracy": [0.9786]}
    used = {"memory": "2.0 GB", "CPU": "93 s"}
    return base("Completed", used=used), Recorded(
        series, b"downloading\nepoch 20 accuracy 0.9786\nsaved outputs/model\n"
    )


@pytest.fixture
def failed() -> tuple[dict[str, Any], Recorded]:
    log = b"epoch 2 accuracy 0.9412\n\repoch 3  10/938\repoch 3 512/938\n\x1b[31mKilled\x1b[0m (rank 1)\n"
    return failed_state(), Recorded({"loss": [*loss(20), math.nan, math.inf, *loss(18)]}, log)


@pytest.fixture
def ranked() -> tuple[dict[str, Any], Recorded]:
    return ranked_state(), Recorded({"loss": loss(40)}, b"ValueError: no such batch\n")


PAYLOADS = Path(__file__).parents[2] / "fixtures"


@pytest.fixture
def saved() -> dict[str, dict[str, Any]]:
    """The payloads under tests/fixtures, which the front end's tests read too."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in PAYLOADS.glob("run-*.json")}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """A service with one run; who watches it looks again at once."""
    from tests.unit.widgets.one_run import Service

    monkeypatch.setattr(watch, "_QUIET", 0.002)
    monkeypatch.setattr(watch, "_ROUND", 0.02)
    return Service()
