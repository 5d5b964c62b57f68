"""A run that gives up its place to another (`machine`): stopped, queued again, and begun anew with what it kept."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.core.compute import Compute, Exit, StopEvidence
from jupyter_mltrain.core.status import Status
from jupyter_mltrain.errors import EngineUnreachable
from jupyter_mltrain.service.again import queue_again

if TYPE_CHECKING:
    from jupyter_mltrain.service.record import Record
    from jupyter_mltrain.service.service import Service

GRACE = 30.0
"""Seconds between TERM and KILL: time to write what the run can take up again."""


def wanted(record: Record) -> bool:
    """Whether the run is to give up its place now. One that is not seen running yet is, once it is."""
    return record.preempt.is_set() and record.status is Status.RUNNING


async def give_way(service: Service, record: Record, compute: Compute) -> StopEvidence | None:
    """Stop the run's processes; None where the engine could not be asked."""
    by = await service.find(record.preempted_for)
    name, target = (by.row["display_name"], by.spec.target) if by is not None else (record.preempted_for, "")
    # Saved first: a service that is started after this finds a run that was stopped, and knows why.
    record.doc["giving_way"] = {"run": record.preempted_for, "name": name, "target": target}
    await record.save()
    with suppress(EngineUnreachable):
        return await compute.stop(record.doc["handle"], GRACE)
    return None


async def waits_again(
    service: Service,
    record: Record,
    exits: tuple[Exit, ...],
    stopped: StopEvidence | None,
    following: asyncio.Task[None],
) -> bool:
    """Whether the run ended because its place was wanted: then it is Queued, and its place free. One that came to its end
    by itself meanwhile, or was canceled, has ended."""
    by = record.doc.get("giving_way")
    if by is None or record.status is not Status.RUNNING or not any(e.stopped == "requested" for e in exits):
        return False
    evidence: dict[str, Any] = {"preempted_by": by, "exits": [dataclasses.asdict(e) for e in exits]}
    if stopped is not None:
        evidence["stop"] = dataclasses.asdict(stopped)
    return await queue_again(service, record, f"preempted by {by['name']} ({by['target']})", evidence, following)
