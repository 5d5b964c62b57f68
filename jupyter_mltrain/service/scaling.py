"""What more processes give: examples per second, against a run of one process that did the same work."""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from dataclasses import dataclass
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
_LOOKED_SECONDS = 30.0
"""For so long a baseline that was found, or that there is none, stays: a live run is measured every two seconds."""
_MOST_LOOKED = 200


@dataclass(frozen=True)
class _Looked:
    when: float
    found: Baseline | None


_looked: OrderedDict[Path, _Looked] = OrderedDict()
"""By the folder of the run that is compared, the latest last."""


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
    known = _looked.get(record.folder)
    if known is not None and time.monotonic() - known.when < _LOOKED_SECONDS:
        return known.found
    found = await _look(service, record)
    _looked[record.folder] = _Looked(time.monotonic(), found)
    _looked.move_to_end(record.folder)
    if len(_looked) > _MOST_LOOKED:
        _looked.popitem(last=False)
    return found


async def _look(service: Service, record: Record) -> Baseline | None:
    chosen = Chosen(experiment=record.spec.experiment, status="Completed", target=record.spec.target)
    rows, _ = await service.store.call(service.store.list, chosen, "-created", _CANDIDATES, 0)
    script = record.spec.script
    own = await asyncio.to_thread(_hash, record.folder, script) if rows and script is not None else None
    environment = _exact(record.row["doc"]["environment"])
    for row in rows:
        if row["id"] == record.id or _exact(row["doc"]["environment"]) != environment:
            continue
        if not await asyncio.to_thread(_same_work, record.spec, own, service.layout.run(row["id"])):
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


def _same_work(own: RunSpec, script: str | None, folder: Path) -> bool:
    """Whether the run in `folder` has one process, and the same script (`script`: the hash of the own) and arguments.
    Blocking."""
    try:
        other = RunSpec.from_json(json.loads((folder / "spec.json").read_text("utf-8")))
    except (OSError, ValueError, KeyError):
        return False  # it is being removed
    if other.distribution is not None:
        return False
    if (other.script, other.command, other.arguments) != (own.script, own.command, own.arguments):
        return False
    if other.snapshot == own.snapshot:
        return True
    return own.script is not None and script is not None and _hash(folder, own.script) == script


def _hash(folder: Path, script: str) -> str | None:
    """The hash of a script in a run's snapshot."""
    try:
        manifest = json.loads((folder / "snapshot.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return next((file["sha256"] for file in manifest["files"] if file["path"] == script), None)
