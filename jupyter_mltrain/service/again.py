"""A run that begins again: what it has made goes along, and the log tells it.

So does one that gave up its place (`preemption`), and one whose processes were lost (`lost`).
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.cache import remove_tree
from jupyter_mltrain.computes.workfolder import KEPT
from jupyter_mltrain.core.engines import Rewinding
from jupyter_mltrain.core.status import Status
from jupyter_mltrain.service.patience import patiently

if TYPE_CHECKING:
    from jupyter_mltrain.core.compute import Compute, Handle
    from jupyter_mltrain.service.record import Record
    from jupyter_mltrain.service.service import Service

_DRAIN_SECONDS = 60.0
_ASIDE, _DRAFT = ".before", ".brought-"
ON_HOSTS = "Its nodes are on "
"""How the notice begins that says on which hosts a run's nodes are."""


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
        "notices": without_hosts(record),
        **counts,
    }
    if not await record.progress(Status.QUEUED, reason, evidence, doc=doc):
        return False
    record.preempt.clear()
    service.pool(record.spec.target).release(record.id)
    return True


def without_hosts(record: Record) -> list[str]:
    """The run's notices, but that of where an earlier attempt was."""
    return [one for one in record.doc.get("notices", []) if not one.startswith(ON_HOSTS)]


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
        # Before anything is removed: from then on the record has it, also where the answer to that is lost.
        await collect(record, compute, handle)
        await compute.rewind(handle, record.folder, note)

    await patiently(record, once)
    record.doc["logs_before"] = await asyncio.to_thread(_log_sizes, record.ingest.streams)
    record.doc["rewind"], record.doc["kept"] = None, await asyncio.to_thread(_has_outputs, record.folder)
    await record.save()


async def collect(record: Record, compute: Compute, handle: Handle) -> None:
    """Bring what a run made into its record.

    It takes the place of what an earlier attempt left: a checkpoint that the script has deleted since shall not come back.
    Where nothing is brought, or not all of it, what there was stays. Idempotent.
    """
    if compute.capabilities.shared_files or attempt(record) == 1:
        await compute.collect(handle, record.folder)
        return
    # Into a folder of its own: a thread that brings goes on for a while where nobody waits for it any more.
    draft = record.folder / f"{_DRAFT}{uuid.uuid4().hex[:8]}"
    await asyncio.to_thread(_clear, record.folder, draft)
    try:
        await compute.collect(handle, draft)
        await asyncio.to_thread(_take, draft, record.folder)
    finally:
        with contextlib.suppress(OSError):  # that thread has just made something in it: it goes next time
            await asyncio.to_thread(remove_tree, draft)


def _log_sizes(streams: Path) -> dict[str, int]:
    """What a failure of the attempt that now begins is not explained by."""
    return {path.name: path.stat().st_size for path in streams.glob("r*.log")}


def _has_outputs(folder: Path) -> bool:
    return any(path.is_file() for path in (folder / "outputs").rglob("*"))


def _clear(folder: Path, draft: Path) -> None:
    """Finish what somebody who was killed was at, and make the draft's folder."""
    for left in folder.glob(f"{_DRAFT}*"):
        with contextlib.suppress(OSError):
            remove_tree(left)
    for name in KEPT:
        aside = folder / (name + _ASIDE)
        if (folder / name).exists():
            remove_tree(aside)
        elif aside.exists():
            aside.rename(folder / name)
    draft.mkdir(mode=0o700)


def _take(draft: Path, folder: Path) -> None:
    for name in KEPT:
        if (draft / name).exists():
            aside = folder / (name + _ASIDE)
            if (folder / name).exists():
                (folder / name).rename(aside)
            (draft / name).rename(folder / name)
            remove_tree(aside)
