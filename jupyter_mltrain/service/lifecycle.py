"""A run's life: one task drives it from wherever it stands to a terminal status.

Everything it needs to continue is saved before it is relied on (prepared environment, grant, handle, outcome), so a
service that is killed and started again drives on from there. The engine observes; what that means is decided here.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.core.compute import (
    Compute,
    Exit,
    Grant,
    LaunchInputs,
    Mount,
    Observation,
    Phase,
    PreparedEnvironment,
    StopEvidence,
)
from jupyter_mltrain.core.spec import NOTEBOOK, WITHIN
from jupyter_mltrain.core.status import Status
from jupyter_mltrain.errors import EngineUnreachable, MLTrainError
from jupyter_mltrain.service import again, lost, preemption, resuming, said
from jupyter_mltrain.service.failure import Failure, explain_first, failed_ranks
from jupyter_mltrain.service.inputs import remove_copies, settle_data
from jupyter_mltrain.service.launching import launched
from jupyter_mltrain.service.patience import patiently
from jupyter_mltrain.service.placing import placed, prepared
from jupyter_mltrain.service.ranks import saw
from jupyter_mltrain.service.record import Record

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service

OBSERVE_SECONDS = 2.0
_OF_SEVERAL_HOSTS_SECONDS = 1.0
"""The same for a run over several hosts, whose ranks learn of each other's ends by being looked at."""
SILENT_SECONDS = 20.0
"""A shim beats every second; one that has not for this long does not respond."""

STOP_GRACE = 10.0
"""Seconds between TERM and KILL on a cancel."""

KEEP_GRACE = 300.0
"""The same for a stop that keeps: time to write a checkpoint."""

_DRAIN_SECONDS = 60.0
_GIVEN_UP_GRACE = 2.0


async def drive(service: Service, record: Record) -> None:
    """Bring the run to a terminal status. An error on the way is the run's failure, told as such."""
    try:
        while record.status is not Status.FINALIZING:
            await again.rewind(service, record)
            if record.status in {Status.NOT_STARTED, Status.PREPARING, Status.QUEUED}:
                await _unless_canceled(record, _until_granted(service, record))
            if record.status is Status.CANCEL_REQUESTED and not record.placed:
                if not record.doc.get("preemptions"):
                    await record.advance(Status.CANCELED, "canceled before anything ran")
                    return
                await _conclude(record, Status.CANCELED, None, "canceled while it waited to begin again")
                break
            await _run(service, record)
        await _finalize(service, record)
    except asyncio.CancelledError:
        raise  # the service ends; the run does not
    except Exception as error:  # noqa: BLE001 - whatever it is, the run must not stay live for ever
        await _leave_nothing(service, record)
        await _fail(service, record, error)
    finally:
        if record.status.terminal:
            service.pool(record.spec.target).release(record.id)
            service.forget_secrets(record.id)
            await asyncio.to_thread(remove_copies, record)


async def _until_granted(service: Service, record: Record) -> None:
    if record.status is Status.NOT_STARTED:
        await record.progress(Status.PREPARING)
    if record.status is Status.PREPARING:
        await prepared(service, record)
        if not await record.progress(Status.QUEUED):
            return
    if record.status is not Status.QUEUED:
        return
    grant = await placed(service, record)
    record.doc["grant"] = dataclasses.asdict(grant)
    where = ", ".join(dict.fromkeys(grant.hosts or (grant.host,)))
    await record.progress(Status.STARTING, f"on {where}" if where else "")


async def _unless_canceled(record: Record, work: Any) -> None:
    """Do `work`, given up as soon as a cancel is asked for."""
    task = asyncio.ensure_future(work)
    cancel = asyncio.create_task(record.cancel.wait())
    try:
        await asyncio.wait({task, cancel}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        else:
            task.result()
    except asyncio.CancelledError:
        task.cancel()
        raise
    finally:
        cancel.cancel()


async def _run(service: Service, record: Record) -> None:
    record.seen = None
    compute = service.compute(record.spec.target)
    if record.doc.get("handle") is None:
        plan = compute.plan(record.spec, _inputs(service, record))
        handle = await launched(service, record, compute, plan)
        if handle is None:
            names = ", ".join(record.spec.secrets)
            failure = Failure(
                f"The secret {names} is gone: the service restarted while the run waited.",
                ("secrets are never written down",),
                mend="Rerun it from a kernel that has the value.",
            )
            await _conclude(record, Status.FAILED, failure, "secret lost")
            return
        record.doc["handle"] = handle
        await record.save()
    following = asyncio.create_task(_follow(record, compute))
    try:
        await _watch(service, record, compute, following)
        if record.status is Status.FINALIZING and not record.doc["outcome"].get("abandoned"):
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(following), _DRAIN_SECONDS)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _watch(service: Service, record: Record, compute: Compute, following: asyncio.Task[None]) -> None:
    """Until the run's processes have ended and what that means is saved: Finalizing, or Queued again."""
    handle = record.doc["handle"]
    stopped: StopEvidence | None = None
    while True:
        if record.status is Status.CANCEL_REQUESTED and stopped is None:
            grace = float(record.doc.get("cancel", {}).get("grace", STOP_GRACE))
            with suppress(EngineUnreachable):
                stopped = await compute.stop(handle, grace)
        elif stopped is None and preemption.wanted(record):
            stopped = await preemption.give_way(service, record, compute)
        seen = await _observe(compute, handle)
        saw(record, seen)
        if seen.phase is Phase.EXITED:
            if record.status is Status.STARTING and seen.started is not None:
                # It was over before anybody looked: it ran all the same.
                await record.progress(Status.RUNNING, since=seen.started)
            if await preemption.waits_again(service, record, seen.exits, stopped, following):
                return
            with suppress(EngineUnreachable):
                if not await lost.begins_again(service, record, compute, seen, following):
                    await _conclude_exits(record, seen.exits, stopped)
                return
        if seen.phase in {Phase.VANISHED, Phase.ABSENT}:
            with suppress(EngineUnreachable):  # what goes on of it could not be ended: looked at again
                if not await lost.begins_again(service, record, compute, seen, following):
                    await _conclude_vanished(record, compute, seen, stopped)
                return
        await _note_phase(record, seen)
        pause = _OF_SEVERAL_HOSTS_SECONDS if "parts" in handle else OBSERVE_SECONDS
        pause = 0.05 if seen.phase is Phase.STARTING else pause
        await _something(record, following, pause, stopped=stopped is not None)


async def _something(record: Record, following: asyncio.Task[None], pause: float, *, stopped: bool) -> None:
    """Wait until the streams have ended, or somebody wants the run to, or for `pause` seconds."""
    waits: set[asyncio.Task[Any]] = {asyncio.create_task(asyncio.sleep(OBSERVE_SECONDS))}
    if not following.done():
        waits.add(following)
    if record.status is not Status.CANCEL_REQUESTED:
        waits.add(asyncio.create_task(record.cancel.wait()))
        if record.status is Status.RUNNING and not stopped:
            waits.add(asyncio.create_task(record.preempt.wait()))
    await asyncio.wait(waits, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits - {following}:
        wait.cancel()


async def _follow(record: Record, compute: Compute) -> None:
    """Read the run's streams to their end. A disk that is full or locked is waited for: the streams keep what was said."""
    told = False
    while True:
        try:
            await record.ingest.follow(compute, record.doc["handle"])
        except OSError as error:
            if not told:
                told = True
                record.doc.setdefault("notices", []).append(f"reading the run's streams failed: {error}")
                record.touch()
            await asyncio.sleep(2)
        else:
            return


async def _observe(compute: Compute, handle: dict[str, Any]) -> Observation:
    try:
        return await compute.observe(handle)
    except EngineUnreachable as error:
        return Observation(Phase.UNREACHABLE, detail=error.message)


async def _note_phase(record: Record, seen: Observation) -> None:
    if record.status is Status.CANCEL_REQUESTED:
        return
    silent = seen.beat_age is not None and seen.beat_age > SILENT_SECONDS
    if seen.phase is Phase.UNREACHABLE or silent:
        if record.status is not Status.NOT_RESPONDING:
            age = f"last heartbeat {seen.beat_age:.0f} s ago" if seen.beat_age is not None else seen.detail
            await record.progress(Status.NOT_RESPONDING, seen.detail or "the run's supervisor is silent", {"seen": age})
    elif seen.phase is Phase.RUNNING and record.status is not Status.RUNNING:
        first = record.row["started"] is None
        await record.progress(Status.RUNNING, "", dict(seen.evidence), since=seen.started if first else None)


async def _conclude_exits(record: Record, exits: tuple[Exit, ...], stopped: StopEvidence | None) -> None:
    evidence: dict[str, Any] = {"exits": [dataclasses.asdict(e) for e in exits]}
    if stopped is not None:
        evidence["stop"] = dataclasses.asdict(stopped)
    record.doc.setdefault("notices", []).extend(f"Rank {e.rank} {e.note}." for e in exits if e.note)
    requested = any(e.stopped == "requested" for e in exits)
    if requested and record.spec.within is not None:
        await record.progress(Status.CANCEL_REQUESTED, "canceled by its script")
    if record.status is Status.CANCEL_REQUESTED and requested:
        kept = record.doc.get("cancel", {}).get("keep") and all(e.code == 0 for e in exits)
        outcome = Status.COMPLETED if kept else Status.CANCELED
        await _conclude(record, outcome, None, "stopped on request, outputs kept" if kept else "canceled", evidence)
        return
    if not failed_ranks(exits):
        await _conclude(record, Status.COMPLETED, None, "", evidence)
        return
    # The cause is looked for once the log is complete: in _finalize.
    await _conclude(record, Status.FAILED, None, "", evidence)


async def _conclude_vanished(record: Record, compute: Compute, seen: Observation, stopped: StopEvidence | None) -> None:
    if record.status is Status.CANCEL_REQUESTED and stopped is not None:
        await _conclude(record, Status.CANCELED, None, "canceled", {"stop": dataclasses.asdict(stopped)})
        return
    ended = await compute.stop(record.doc["handle"], _GIVEN_UP_GRACE)
    facts = [seen.detail] if seen.detail else []
    if ended.ended:
        facts.append(f"ended: {', '.join(ended.ended[:5])}")
    lost = seen.evidence.get("ranks", ()) if record.spec.distribution is not None else ()
    rank = min(map(int, lost), default=None)
    if "machine restarted" in seen.detail:
        title = "The machine was restarted."
    elif record.spec.target in {NOTEBOOK, WITHIN}:
        title = seen.detail
    else:
        title = f"Supervisor lost{f' on rank {rank}' if rank is not None else ''}, exit code unknown."
    failure = Failure(title, tuple(facts), rank=rank, mend="Rerun it.")
    evidence: dict[str, Any] = {"stop": dataclasses.asdict(ended), "seen": seen.detail}
    if record.spec.distribution is not None:
        # How the others of its ranks ended is known by now.
        exits = (await _observe(compute, record.doc["handle"])).exits or seen.exits
        evidence["exits"] = [dataclasses.asdict(e) for e in exits]
    await _conclude(record, Status.FAILED, failure, title, evidence)


async def _conclude(
    record: Record, outcome: Status, failure: Failure | None, reason: str, evidence: dict[str, Any] | None = None
) -> None:
    record.doc["outcome"] = {"status": outcome.value, "reason": reason, "time": time.time()}
    record.doc["failure"] = failure.to_json() if failure else None
    await record.advance(Status.FINALIZING, reason, evidence)


async def _finalize(service: Service, record: Record) -> None:
    # The node is free at process exit; what follows needs none.
    service.pool(record.spec.target).release(record.id)
    compute = service.compute(record.spec.target)
    outcome = Status(record.doc["outcome"]["status"])
    handle = record.doc.get("handle")
    if handle is not None:
        # After a restart of the service the stream may hold more than was read.
        whole = await _drained(record, compute, handle)
        await patiently(record, lambda: again.collect(record, compute, handle))
        if not whole:
            await _drained(record, compute, handle)
    await settle_data(service, record)
    await resuming.settle(service, record)
    await said.keep(service, record, "the run it is in was canceled" if outcome is Status.CANCELED else "")
    if outcome is Status.FAILED and not record.doc.get("failure"):
        exits = tuple(Exit.from_json(e) for e in record.history[-1].evidence["exits"])
        failure = await asyncio.to_thread(
            explain_first, exits, record.ingest.streams, record.doc.get("logs_before", {})
        )
        if failure is not None:
            record.doc["failure"] = failure.to_json()
    if handle is not None:
        await patiently(record, lambda: compute.remove(handle), "remove what was there for it")
    failure_json = record.doc.get("failure") or {}
    await record.advance(outcome, failure_json.get("title", record.doc["outcome"]["reason"]))


async def _drained(record: Record, compute: Compute, handle: dict[str, Any]) -> bool:
    """Read the run's streams to their end; False where that takes too long, as while the engine cannot be reached."""
    try:
        await asyncio.wait_for(record.ingest.follow(compute, handle), _DRAIN_SECONDS)
    except (TimeoutError, EngineUnreachable):
        return False
    return True


async def _leave_nothing(service: Service, record: Record) -> None:
    """End what a run that is given up may still have running, and keep what it made."""
    handle = record.doc.get("handle")
    if handle is None or record.status.terminal:
        return  # an engine whose launch failed has cleaned up itself
    compute = service.compute(record.spec.target)
    ending, collecting = compute.stop(handle, _GIVEN_UP_GRACE), again.collect(record, compute, handle)
    for step in (ending, collecting, compute.remove(handle)):
        try:
            await step
        except (MLTrainError, OSError) as error:
            record.doc.setdefault("notices", []).append(f"cleaning up: {error}")


async def _fail(service: Service, record: Record, error: Exception) -> None:
    if record.status.terminal:
        return
    if isinstance(error, MLTrainError):
        details = [str(v) for v in error.details.values() if v]
        failure = Failure(error.message, tuple(d[:4000] for d in details), mend=error.mend)
    else:
        lines = traceback.format_exception(error)
        failure = Failure(f"A bug in jupyter_mltrain: {type(error).__name__}: {error}", (), "".join(lines)[-4000:])
        traceback.print_exception(error)
    record.doc["failure"] = failure.to_json()
    # What fails a run may fail this too: a full disk, or a bug.
    with suppress(Exception):
        async with asyncio.timeout(_DRAIN_SECONDS):
            # What came before: an earlier attempt, or a launch in whose middle something was killed.
            await said.keep(service, record)
    await record.advance(Status.FAILED, failure.title)


def _inputs(service: Service, record: Record) -> LaunchInputs:
    grant = record.doc["grant"]
    return LaunchInputs(
        folder=record.folder,
        blobs=service.layout.blobs,
        environment=PreparedEnvironment(**record.doc["prepared"]),
        mounts=tuple(Mount.from_json(m) for m in record.doc["mounts"]),
        grant=Grant.from_json(grant),
        attempt=again.attempt(record),
        kept=bool(record.doc.get("kept")),
        environments={host: PreparedEnvironment(**one) for host, one in record.doc.get("prepared_on", {}).items()},
    )
