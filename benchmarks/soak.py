"""Ten live runs on one page for half an hour: what the page holds must not grow."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
from playwright.sync_api import CDPSession, WebSocket

from benchmarks.lab import Lab, new_lab
from benchmarks.place import Place, end, submit, wait
from benchmarks.table import Row
from jupyter_mltrain.widgets.output import bundle

RUNS = 10
SECONDS, QUICK_SECONDS = 30 * 60, 2 * 60
WARM_UP = 0.25
"""Of the time: Plotly's chunk, the charts' first points, what V8 compiles."""
SAMPLES = 40
NODES_BAR, HEAP_BAR = 0.02, 0.05
"""Growth after the warm-up, as a share: what garbage collection and a number's digits move by themselves."""
HEIGHT = 480
"""Pixels of a card: the page is high enough for all of them, so that all are followed."""


@dataclass(frozen=True)
class Sample:
    at: float
    nodes: int
    heap: int
    sockets: int
    listeners: int


def measure(place: Place, *, quick: bool) -> list[Row]:
    workspace = place.workspace("soak")
    config = workspace.root / ".mltrain" / "config.toml"
    text = config.read_text(encoding="utf-8").replace("[targets.local]", f"[targets.local]\nslots = {RUNS}")
    config.write_text(text.replace("[tracking]", "[tracking]\npublish = false"), encoding="utf-8")
    stop = workspace.root / "stop"
    runs = [submit(workspace, "long.py", str(stop)) for _ in range(RUNS)]
    for run in runs:
        while run.refresh()["metric_points"] < 10_000:
            time.sleep(0.1)
    with new_lab(place.folder) as lab:
        lab.write("soak.ipynb", [bundle(run.refresh(), run.workspace.connection) for run in runs])
        samples = _watch(lab, QUICK_SECONDS if quick else SECONDS)
    stop.touch()
    for run in runs:
        wait(run)
    end(workspace)
    return _rows([one for one in samples if one.at >= WARM_UP * samples[-1].at], samples[-1].at)


def _watch(lab: Lab, seconds: float) -> list[Sample]:
    sockets: set[WebSocket] = set()

    def opened(socket: WebSocket) -> None:
        if "mltrain/live" in socket.url:
            sockets.add(socket)
            socket.on("close", lambda: sockets.discard(socket))

    with lab.page(height=RUNS * HEIGHT) as page:
        page.on("websocket", opened)
        lab.visit(page, "soak.ipynb")
        live = page.locator(".mlt-alive .mlt-pill", has_text="Running")
        live.nth(RUNS - 1).wait_for(timeout=90_000)
        session = page.context.new_cdp_session(page)
        session.send("HeapProfiler.enable")
        started = time.monotonic()
        samples: list[Sample] = []
        while not samples or samples[-1].at < seconds:
            page.wait_for_timeout(seconds / SAMPLES * 1000)
            samples.append(_sample(session, len(sockets), time.monotonic() - started))
        if live.count() != RUNS:
            raise RuntimeError(f"{live.count()} of {RUNS} cards are live at the end")
    return samples


def _sample(session: CDPSession, sockets: int, at: float) -> Sample:
    session.send("HeapProfiler.collectGarbage")
    counters = session.send("Memory.getDOMCounters")
    heap = session.send("Runtime.getHeapUsage")["usedSize"]
    return Sample(at, counters["nodes"], heap, sockets, counters["jsEventListeners"])


def _rows(samples: list[Sample], seconds: float) -> list[Row]:
    busy = psutil.cpu_percent(interval=1)
    baseline = f"{len(samples)} samples after garbage collection, {busy:.0f} % of the machine busy at the end"
    nodes, heap, listeners = (
        _growth(samples, lambda one: one.nodes),
        _growth(samples, lambda one: one.heap / 1e6),
        _growth(samples, lambda one: one.listeners),
    )
    most = max(one.sockets for one in samples)
    return [
        Row(
            f"soak: {RUNS} live cards for {seconds / 60:.0f} min, DOM nodes",
            _figures(nodes, ""),
            "no growth",
            baseline,
            _share(nodes) <= NODES_BAR,
        ),
        Row("  … JavaScript heap", _figures(heap, " MB"), "no growth", "", _share(heap) <= HEAP_BAR),
        Row("  … event listeners", _figures(listeners, ""), "no growth", "", _share(listeners) <= NODES_BAR),
        Row("  … sockets to the door", str(most), "1", "", most == 1),
    ]


def _growth(samples: list[Sample], value: Callable[[Sample], float]) -> tuple[float, float]:
    """The median of the first third of the samples, and how much the median of the last third lies above it."""
    third = max(1, len(samples) // 3)
    first = statistics.median(map(value, samples[:third]))
    return first, statistics.median(map(value, samples[-third:])) - first


def _share(growth: tuple[float, float]) -> float:
    return growth[1] / growth[0]


def _figures(growth: tuple[float, float], unit: str) -> str:
    first, more = growth
    return f"{first:,.0f}{unit}, {more:+,.1f}{unit} ({100 * _share(growth):+.1f} %)"
