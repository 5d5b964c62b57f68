"""A run whose processes were lost (the machine was restarted, its container is gone, its supervisor was killed): where it
may, it waits again and goes on from what it has made."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.core.compute import FROM_OUTSIDE, Compute, Observation, Phase
from jupyter_mltrain.core.engines import Rewinding
from jupyter_mltrain.core.status import Status
from jupyter_mltrain.service.again import attempt, queue_again
from jupyter_mltrain.service.machine import MOST_PREEMPTIONS

if TYPE_CHECKING:
    from jupyter_mltrain.service.record import Record
    from jupyter_mltrain.service.service import Service

_GRACE = 2.0
"""Seconds between TERM and KILL for what is left of it."""
_UNKNOWN = "supervisor lost, exit code unknown"


async def begins_again(
    service: Service, record: Record, compute: Compute, seen: Observation, following: asyncio.Task[None]
) -> bool:
    """Whether the run was lost and waits again. Nothing of it runs any more then. Raises `EngineUnreachable` where that
    cannot be seen to."""
    if not _is_lost(seen) or not _may(service, record, compute):
        return False
    ended = await compute.stop(record.doc["handle"], _GRACE)
    if ended.remaining:
        return False
    what = seen.detail or (_UNKNOWN if seen.phase is not Phase.EXITED else "its container was stopped from outside")
    evidence: dict[str, Any] = {
        "lost": what,
        "seen": dict(seen.evidence),
        "exits": [dataclasses.asdict(one) for one in seen.exits],
        "stop": dataclasses.asdict(ended),
    }
    number, losses = attempt(record), record.doc.get("losses", 0) + 1
    if not await queue_again(service, record, f"lost: {what}", evidence, following, losses=losses):
        return False
    notice = f"Attempt {number} was lost ({what}); attempt {number + 1} goes on with the outputs that it had made."
    record.doc.setdefault("notices", []).append(notice)
    await record.save()
    return True


def _is_lost(seen: Observation) -> bool:
    if seen.phase is Phase.EXITED:
        return any(one.stopped == FROM_OUTSIDE for one in seen.exits)
    return seen.phase in {Phase.VANISHED, Phase.ABSENT}


def _may(service: Service, record: Record, compute: Compute) -> bool:
    """Whether it may begin again: so many times as was asked for; in a pool of low priority, as often as it may be made to
    give up its place."""
    if record.status not in {Status.STARTING, Status.RUNNING, Status.NOT_RESPONDING} or not isinstance(
        compute, Rewinding
    ):
        return False
    low = service.pool(record.spec.target).low_priority
    return record.doc.get("losses", 0) < record.spec.retries or (low and attempt(record) <= MOST_PREEMPTIONS)
