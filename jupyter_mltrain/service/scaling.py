"""What more processes give: examples per second, against a run of one process that did the same work."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.computes import ranks as shape
from jupyter_mltrain.core.spec import RunSpec
from jupyter_mltrain.errors import UsageError
from jupyter_mltrain.service.steps import EXAMPLES
from jupyter_mltrain.service.store import Chosen

if TYPE_CHECKING:
    from jupyter_mltrain.core.wire_ranks import Baseline, Scaling
    from jupyter_mltrain.service.columns import Columns, Points
    from jupyter_mltrain.service.record import Record
    from jupyter_mltrain.service.service import Service

_CANDIDATES = 50
"""Completed runs of an experiment that are looked at for one to compare with, newest first."""
_INTERVALS = 2000
"""The last of a rank; longer runs are long steady."""


async def scaling_of(service: Service, record: Record, given: Record | None = None) -> Scaling | None:
    """None while nothing was counted. Raises `UsageError` for a given baseline of several processes."""
    if given is not None and given.spec.distribution is not None:
        raise UsageError(
            f"{given.row['display_name']} has {given.spec.distribution.processes} processes: it is no baseline.",
            mend="Name a run of one process.",
        )
    rates = await _rates(record)
    if not rates and given is None:
        return None
    distribution = record.spec.distribution
    counted = [rates.get(rank) for rank in shape.counting(distribution)]
    known = [rate for rate in counted if rate is not None]
    whole = sum(known) if len(known) == len(counted) else None
    trains = shape.training(distribution)
    baseline = await _baseline(service, record, given)
    one = baseline["examples"] if baseline is not None else None
    return {
        "processes": trains,
        "examples": whole,
        "per_rank": [rates.get(rank.rank) for rank in shape.ranks(distribution).each],
        "baseline": baseline,
        "efficiency": whole / (trains * one) if whole is not None and one else None,
    }


async def _rates(record: Record) -> dict[int, float]:
    """The steady rate of each rank that counted."""
    return await record.ingest.read(_rates_in)


def _rates_in(columns: Columns) -> dict[int, float]:
    told = [key for key in columns.series if key[1] == EXAMPLES]
    rates = {rank: steady(columns.tail((rank, name), _INTERVALS)) for rank, name in told}
    return {rank: rate for rank, rate in rates.items() if rate is not None}


def steady(points: Points) -> float | None:
    """Examples per second over all intervals but the first (compilation, warming up), where there are others: each weighs
    by the time that it took, which its batches (the steps since the one before) and its rate tell. None for no rate."""
    import numpy as np  # noqa: PLC0415 - loaded with the first run's columns

    rates, batches = points["value"], np.diff(points["step"], prepend=0)
    if len(rates) > 1:
        rates, batches = rates[1:], batches[1:]
    good = np.isfinite(rates) & (rates > 0)
    # Steps that a script numbered otherwise say nothing of batches.
    weights = np.maximum(batches[good], 1).astype(float)
    return float(weights.sum() / (weights / rates[good]).sum()) if good.any() else None


async def _baseline(service: Service, record: Record, given: Record | None) -> Baseline | None:
    if given is not None:
        return _named(given, (await _rates(given)).get(0))
    if record.spec.distribution is None:
        return None
    chosen = Chosen(experiment=record.spec.experiment, status="Completed", target=record.spec.target)
    rows, _ = await service.store.call(service.store.list, chosen, "-created", _CANDIDATES, 0)
    environment = _exact(record.row["doc"]["environment"])
    for row in rows:
        if row["id"] == record.id or _exact(row["doc"]["environment"]) != environment:
            continue
        if not await asyncio.to_thread(_same_work, record, service.layout.run(row["id"])):
            continue
        found = await service.find(row["id"])
        rate = (await _rates(found)).get(0) if found is not None else None
        if found is not None and rate is not None:
            return _named(found, rate)
    return None


def _named(record: Record, rate: float | None) -> Baseline:
    return {"run_id": record.id, "name": record.row["display_name"], "examples": rate}


def _exact(environment: dict[str, Any]) -> tuple[Any, ...]:
    return environment["name"], environment["version"]


def _same_work(record: Record, folder: Path) -> bool:
    """Whether the run in `folder` has one process, and the same script and arguments. Blocking."""
    try:
        other = RunSpec.from_json(json.loads((folder / "spec.json").read_text("utf-8")))
    except (OSError, ValueError, KeyError):
        return False  # it is being removed
    own = record.spec
    if other.distribution is not None:
        return False
    if (other.script, other.command, other.arguments) != (own.script, own.command, own.arguments):
        return False
    return other.snapshot == own.snapshot or (own.script is not None and _hash(record.folder, own.script)
                                              == _hash(folder, own.script) is not None)  # fmt: skip


def _hash(folder: Path, script: str) -> str | None:
    """The hash of a script in a run's snapshot."""
    try:
        manifest = json.loads((folder / "snapshot.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return next((file["sha256"] for file in manifest["files"] if file["path"] == script), None)
