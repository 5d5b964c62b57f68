"""How far each rank of a run is, and how far behind the fastest: from the metrics that they log."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_mltrain.service.columns import Columns, Summary
    from jupyter_mltrain.service.ingest import Ingest

EXAMPLES = "examples_per_second"
"""The metric by which a script says how many examples a rank has gone through (`runclient`: `run.log_examples`)."""


@dataclass(frozen=True)
class Pace:
    """Of one rank: its last step, the seconds that it is behind the fastest, its examples per second lately."""

    step: int | None = None
    behind: float | None = None
    examples: float | None = None


async def paces(metrics: Ingest, since: float = 0.0) -> dict[int, Pace]:
    """By rank, of those that logged something. `since` (seconds since the epoch): what was last told before is of an
    earlier attempt."""
    return await metrics.read(lambda columns: _paces(columns, since))


def _paces(columns: Columns, since: float) -> dict[int, Pace]:
    told = {key: one for key, one in columns.series.items() if one.last_time >= since}
    shared = _shared(told)
    steps: dict[int, int] = {}
    for (rank, _), one in told.items():
        # Another metric counts only where the rank does not log the one that is compared.
        at = one.last_step or 0
        steps[rank] = max(steps.get(rank, at), at)
    compared = {rank: one for (rank, name), one in told.items() if name == shared}
    steps |= {rank: one.last_step or 0 for rank, one in compared.items()}
    behind = _behind(columns, shared, compared, since) if len(compared) > 1 else {}
    return {rank: Pace(step, behind.get(rank), _rate(told, rank)) for rank, step in steps.items()}


def _rate(told: Mapping[tuple[int, str], Summary], rank: int) -> float | None:
    rate = told.get((rank, EXAMPLES))
    return rate.last if rate is not None and rate.last is not None and math.isfinite(rate.last) else None


def _shared(told: Mapping[tuple[int, str], Summary]) -> str:
    """The metric that most ranks log; where they are as many, that of the examples, or the one that is told most often."""
    ranks, points = Counter[str](), Counter[str]()
    for (_, name), one in told.items():
        ranks[name] += 1
        points[name] += one.count
    return max(ranks, key=lambda name: (ranks[name], name == EXAMPLES, points[name], name), default="")


def _behind(columns: Columns, name: str, compared: Mapping[int, Summary], since: float) -> dict[int, float]:
    fastest = min(compared, key=lambda rank: (-(compared[rank].last_step or 0), compared[rank].last_time, rank))
    now = compared[fastest].last_time
    passed = columns.passed((fastest, name), [one.last_step or 0 for one in compared.values()], since)
    behind: dict[int, float] = {}
    for (rank, one), found in zip(compared.items(), passed, strict=True):
        if found is not None:
            then, beyond = found
            # It came later to where it is; or it should have come further by now.
            late = max(one.last_time - then, now - beyond if beyond is not None else 0.0)
            behind[rank] = round(max(0.0, late), 3) if rank != fastest else 0.0
    return behind
