"""What a run used of its nodes: the samples of its shims (`_shim.system`), in columns as metrics are, but apart from those."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.core import records
from jupyter_mltrain.service.ingest import Ingest, Kind

if TYPE_CHECKING:
    from jupyter_mltrain.core.wire_system import SystemGpu, SystemNode, SystemSeries, SystemUsage
    from jupyter_mltrain.service.columns import Points, Window

_NAME = re.compile(r"(?:cpu_percent|memory_bytes|gpu(?P<gpu>\d{1,9})_(?:percent|memory_bytes))", re.ASCII)
_FIRST_SECONDS = 1.0
"""What the first sample of a run is the mean of."""


async def system_usage(metrics: Ingest) -> SystemUsage:
    """What is known of the run whose metrics those are."""
    samples = metrics.beside(SAMPLES)
    await samples.absorb(flush=True)
    found, _, extra = await samples.summary()
    series: list[SystemSeries] = []
    for one in found:
        if _NAME.fullmatch(one["name"]) is None:
            continue  # a script can write into the file, too
        window = await samples.window((one["rank"], one["name"]), axis="time", pixels=one["count"])
        series.append(_series(one, window.points))
    nodes = [_node(int(rank), told) for rank, told in sorted(extra.get("nodes", {}).items())]
    return {"nodes": nodes, "series": sorted(series, key=_order)}


async def used_words(metrics: Ingest) -> dict[str, str]:
    """What the run used, by what and in words, for its record: of all ranks together CPU time, of each the most memory."""
    usage = await system_usage(metrics)
    cpus = {node["rank"]: node["cpus"] for node in usage["nodes"]}
    by_measure: dict[str, list[SystemSeries]] = {}
    for one in usage["series"]:
        by_measure.setdefault(one["measure"], []).append(one)
    words: dict[str, str] = {}
    if memory := by_measure.get("memory"):
        words["memory"] = _bytes(max(one["peak"] for one in memory))
    if cpu := by_measure.get("cpu"):
        seconds = [one["mean"] / 100 * cpus.get(one["rank"], 1) * await _length(metrics, one) for one in cpu]
        words["CPU"] = f"{sum(seconds):,.0f} s"
    if gpu := by_measure.get("gpu"):
        words["GPU"] = f"{sum(one['mean'] for one in gpu) / len(gpu):.0f} %"
    if gpu_memory := by_measure.get("gpu_memory"):
        words["GPU memory"] = _bytes(max(one["peak"] for one in gpu_memory))
    return words


async def _length(metrics: Ingest, series: SystemSeries) -> float:
    """Seconds that were sampled."""
    window = await system_window(metrics, (series["rank"], series["name"]), axis="time", pixels=series["count"])
    times = window.points["time"]
    return float(times[-1] - times[0]) + _FIRST_SECONDS


def _bytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


async def system_window(metrics: Ingest, key: tuple[int, str], **given: Any) -> Window:
    """`Columns.window` of what `system_usage` names."""
    samples = metrics.beside(SAMPLES)
    await samples.absorb()
    return await samples.window(key, **given)


def _note(extra: dict[str, Any], rank: int, item: dict[str, Any]) -> None:
    nodes = extra.setdefault("nodes", {})
    if item["k"] in {"given", "gpus", "gpu_problem"}:
        nodes.setdefault(str(rank), {})[item["k"]] = item


SAMPLES = Kind(records.system_rank, "system", _note)


def _node(rank: int, told: dict[str, Any]) -> SystemNode:
    given = told.get("given", {})
    gpus = told.get("gpus", {}).get("gpus")
    known: list[SystemGpu] = [
        {"name": str(gpu.get("name")), "model": str(gpu.get("model")), "memory": _count(gpu.get("memory")) or 0}
        for gpu in (gpus if isinstance(gpus, list) else ())
        if isinstance(gpu, dict)
    ]
    return {
        "rank": rank,
        "cpus": _count(given.get("cpus")) or 1,
        "memory_limit": _count(given.get("memory_limit")),
        "memory_total": _count(given.get("memory_total")) or 0,
        "gpus_given": _count(given.get("gpus")) or 0,
        "gpus": known,
        "problem": str(told.get("gpu_problem", {}).get("text", "")),
    }


def _count(value: Any) -> int | None:
    return value if type(value) is int else None


def _series(summary: dict[str, Any], points: Points) -> SystemSeries:
    name = summary["name"]
    match = _NAME.fullmatch(name)
    gpu = match["gpu"] if match else None
    is_memory = name.endswith("memory_bytes")
    return {
        "name": name,
        "rank": summary["rank"],
        "measure": ("gpu_memory" if is_memory else "gpu") if gpu else "memory" if is_memory else "cpu",
        "gpu": gpu,
        "unit": "bytes" if is_memory else "%",
        "count": summary["count"],
        "last": summary["last"],
        "peak": summary["max"] if summary["max"] is not None else summary["last"],
        "mean": _mean(points),
    }


def _mean(points: Points) -> float:
    """Each value stands for the time since the one before it: samples of a long run lie ever farther apart."""
    import numpy as np  # noqa: PLC0415 - loaded with the first run's columns

    times = points["time"]
    lengths = np.clip(np.diff(times, prepend=times[0] - _FIRST_SECONDS), 1e-3, None)
    return float(np.average(points["value"], weights=lengths))


_MEASURES = ("cpu", "memory", "gpu", "gpu_memory")


def _order(series: SystemSeries) -> tuple[Any, ...]:
    gpu = series["gpu"] or ""
    return (series["rank"], len(gpu), gpu, _MEASURES.index(series["measure"]))
