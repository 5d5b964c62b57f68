"""A run that begins again: what it has made goes along, and the log tells it.

So does one that gave up its place (`preemption`), and one whose processes were lost (`lost`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.cache import remove_tree
from jupyter_mltrain.computes.workfolder import KEPT
from jupyter_mltrain.core.engines import Rewinding
from jupyter_mltrain.core.status import Status
from jupyter_mltrain.service.patience import patiently

if TYPE_CHECKING:
    from jupyter_mltrain.core.compute import Compute
    from jupyter_mltrain.service.record import Record
    from jupyter_mltrain.service.service import Service

_DRAIN_SECONDS = 60.0
_ASIDE = ".before"


def attempt(record: Record) -> int:
    """How many times it was begun, this one included. Each time before, it lost its place."""
    return int(record.doc.get("preemptions", 0)) + 1


async def queue_again(
    service: Service,
    record: Record,
    reason: str,
    evidence: dict[str, Any],
    following: asyncio.Task[None],
    **counts: int,
) -> bool:
    """Let a run wait again whose processes have ended, and give its place free; False where a cancel was asked for.
    `counts`: what of its `doc` changes beside."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(following), _DRAIN_SECONDS)
    await service.children.settle(record, f"the run it is in was {reason}")
    doc = {
        "handle": None,
        "launching": None,
        "grant": None,
        "giving_way": None,
        "rewind": record.doc["handle"],
        "preemptions": attempt(record),
        "drained": False,
        **counts,
    }
    if not await record.progress(Status.QUEUED, reason, evidence, doc=doc):
        return False
    record.preempt.clear()
    service.pool(record.spec.target).release(record.id)
    return True


async def rewind(service: Service, record: Record) -> None:
    """Put away what an execution left that is to begin again, if there is such a thing."""
    handle = record.doc.get("rewind")
    if handle is None:
        return
    compute = service.compute(record.spec.target)
    assert isinstance(compute, Rewinding), "only runs of such an engine begin again"
    note = f"{record.history[-1].reason or 'preempted'}; the run begins again with what it kept (attempt {attempt(record)})"
    if not compute.capabilities.shared_files:
        await record.ingest.follow(compute, handle)  # what was said goes with what is removed

    async def once() -> None:
        if not compute.capabilities.shared_files:
            # Before anything is removed: from then on the record has it, also where the answer to that is lost.
            async with replacing(record, compute):
                await compute.collect(handle, record.folder)
        await compute.rewind(handle, record.folder, note)

    await patiently(record, once)
    record.doc["rewind"], record.doc["kept"] = None, await asyncio.to_thread(_has_outputs, record.folder)
    await record.save()


@asynccontextmanager
async def replacing(record: Record, compute: Compute) -> AsyncGenerator[None]:
    """What is collected meanwhile takes the place of what an earlier attempt left: a checkpoint that the script has deleted
    since shall not come back. Where nothing is brought, what there was stays."""
    if compute.capabilities.shared_files or attempt(record) == 1:
        yield
        return
    await asyncio.to_thread(_set_aside, record.folder)
    try:
        yield
    except BaseException:
        await asyncio.to_thread(_put_back, record.folder)
        raise
    await asyncio.to_thread(_settle, record.folder)


def _has_outputs(folder: Path) -> bool:
    return any(path.is_file() for path in (folder / "outputs").rglob("*"))


def _set_aside(folder: Path) -> None:
    for name in KEPT:
        aside = folder / (name + _ASIDE)
        if (folder / name).exists() and not aside.exists():
            (folder / name).rename(aside)


def _put_back(folder: Path) -> None:
    """What was brought is a part at most: what there was is whole."""
    for name in KEPT:
        aside = folder / (name + _ASIDE)
        if aside.exists():
            remove_tree(folder / name)
            aside.rename(folder / name)


def _settle(folder: Path) -> None:
    for name in KEPT:
        aside = folder / (name + _ASIDE)
        if aside.exists():
            if (folder / name).exists():
                remove_tree(aside)
            else:
                aside.rename(folder / name)
