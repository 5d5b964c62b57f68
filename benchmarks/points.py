"""A million points of one series: taken in, and asked for as a chart does."""

from __future__ import annotations

import json
import math
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.place import Place, end, submit, wait
from benchmarks.samples import milliseconds
from benchmarks.table import Row
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.service.columns import Columns

POINTS = 1_000_000
QUERY_BAR = 0.050
INGEST_BAR = 300_000


def measure(place: Place, *, quick: bool) -> list[Row]:
    count = POINTS // 20 if quick else POINTS
    stream = place.folder / "r0-1.metrics"
    write_points(stream, count)
    started = time.perf_counter()
    with stream.open(encoding="utf-8") as file:
        for line in file:
            json.loads(line)
    parsed = count / (time.perf_counter() - started)
    workspace = place.workspace("points")
    rates, run_id = [], ""
    for _ in range(1 if quick else 3):
        run_id, seconds = _ingest(workspace, stream, count)
        rates.append(count / seconds)
    rate = statistics.median(rates)
    by_http = _windows(count, 20 if quick else 100, lambda start, stop: _over_http(workspace, run_id, start, stop))
    columns = Columns(workspace.root / ".mltrain" / "runs" / run_id / "columns")
    alone = _windows(
        count, 20 if quick else 100, lambda start, stop: columns.window((0, "loss"), start=start, stop=stop, pixels=500)
    )
    end(workspace)
    naive = f"reading all records from JSON {count / parsed:.1f} s"
    return [
        Row(
            f"{count:,} points: window for a chart, over HTTP",
            _figures(by_http),
            "≤ 50 ms",
            naive,
            _p95(by_http) <= QUERY_BAR,
        ),
        Row("  … the columns alone", _figures(alone), "≤ 50 ms", naive, _p95(alone) <= QUERY_BAR),
        Row(
            f"{count:,} points: ingest",
            f"{rate:,.0f} points/s ({min(rates):,.0f}–{max(rates):,.0f})",
            "≥ 300,000 points/s",
            f"json.loads of the lines, nothing else: {parsed:,.0f}/s",
            rate >= INGEST_BAR,
        ),
    ]


def write_points(path: Path, count: int) -> None:
    """What a training run's loss looks like, in the form that `run.log` writes."""
    noise = random.Random(7)
    with path.open("w", encoding="utf-8") as file:
        for i in range(count):
            value = math.exp(-i / count) + noise.gauss(0, 0.1)
            file.write(f'["loss", {i}, {1.7e9 + i * 0.01!r}, {value!r}]\n')


def _ingest(workspace: Workspace, stream: Path, count: int) -> tuple[str, float]:
    """A live run whose stream suddenly has `count` more records: seconds until the service answers with all of them."""
    waiting = workspace.root / "go"
    run = submit(workspace, "wait_for.py", str(waiting))
    while run.get_status() != "Running":
        time.sleep(0.02)
    streams = workspace.root / ".mltrain" / "runs" / run.id / "streams"
    draft = workspace.root / "draft.metrics"
    draft.write_bytes(stream.read_bytes())
    started = time.perf_counter()
    draft.rename(streams / stream.name)
    while True:
        series = workspace.connection.get(f"/v1/runs/{run.id}/metrics")["series"]
        if series and series[0]["count"] == count:
            break
    seconds = time.perf_counter() - started
    waiting.touch()
    wait(run)
    waiting.unlink()
    return run.id, seconds


def _windows(count: int, times: int, query: Callable[[float | None, float | None], object]) -> list[float]:
    """Seconds of each query: the whole, then windows of all sizes anywhere."""
    chance = random.Random(7)
    seconds = []
    for number in range(times):
        size = count * 10 ** -chance.uniform(0, 4)
        start = chance.uniform(0, count - size)
        window = (None, None) if number % 4 == 0 else (start, start + size)
        started = time.perf_counter()
        query(*window)
        seconds.append(time.perf_counter() - started)
    return seconds


def _over_http(workspace: Workspace, run_id: str, start: float | None, stop: float | None) -> None:
    answer = workspace.connection.get(f"/v1/runs/{run_id}/series", name="loss", start=start, stop=stop, points=2000)
    if not answer["steps"]:
        raise RuntimeError("an empty window")


def _p95(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.95)]


def _figures(seconds: list[float]) -> str:
    return f"95 % within {milliseconds(_p95(seconds))}, median {milliseconds(statistics.median(seconds))}, first {milliseconds(seconds[0])}"
