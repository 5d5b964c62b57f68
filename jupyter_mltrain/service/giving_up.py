"""A run whose host does not answer, and that somebody has decided not to wait for: its record ends, and says what is known.

What may go on there is remembered, below the targets (`computes/given-up/<run id>.json`), until its host has answered again
and it is ended: then what it made comes into its record all the same. Its status stays.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.core.compute import Compute, Handle, Phase
from jupyter_mltrain.core.engines import ManyHosts
from jupyter_mltrain.core.status import Status
from jupyter_mltrain.errors import ConflictError, EngineUnreachable, MLTrainError, RunNotFound, TargetNotFound
from jupyter_mltrain.service import said
from jupyter_mltrain.service.again import collect
from jupyter_mltrain.service.failure import Failure
from jupyter_mltrain.service.inputs import remove_copies

if TYPE_CHECKING:
    from jupyter_mltrain.service.record import Record
    from jupyter_mltrain.service.service import Service

_ANSWER_SECONDS = 5.0
"""Within which a host has to answer that is not to be given up."""
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 60.0
"""Seconds between two looks whether a host answers again."""
_GRACE = 2.0
_BRING_SECONDS = 60.0
_STOP_SECONDS = 8.0
"""Within which the nodes on those of its hosts that do answer are ended, before their places are free."""


class GivenUp:
    """The runs of a workspace that were given up and of which something may be left."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._folder = service.layout.computes / "given-up"
        self._task: asyncio.Task[None] | None = None
        self._giving = set[str]()
        """Runs whose note may be there before their record has ended."""

    async def open(self) -> None:
        if await asyncio.to_thread(self._left):
            self._look_after()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def give_up(self, record: Record) -> None:
        """End the record of a run whose host does not answer. Raises `ConflictError` for one that does, and for a run that
        is over or that no host has begun."""
        service, name = self._service, record.row["display_name"]
        _check(record)
        compute = service.compute(record.spec.target)
        handle: Handle | None = record.doc.get("handle") or record.doc.get("launching") or record.doc.get("rewind")
        problem = await _problem(compute, handle)
        if not problem:
            raise ConflictError(f"The host of {name} answers: it need not be given up.", mend=f"%mltrain cancel {name}")
        await service.leave(record.id)
        try:
            _check(record)
        except ConflictError:
            service.drive(record)
            raise
        failure, evidence = _told(record, handle, problem)
        self._giving.add(record.id)
        try:
            if handle is not None:
                note = {"run": record.id, "target": record.spec.target, "handle": handle, "since": time.time()}
                note["launching"] = record.doc.get("handle") is None and record.doc.get("launching") is not None
                await asyncio.to_thread(_write, self._folder / f"{record.id}.json", note)
            await said.keep(service, record)
            record.doc["failure"] = failure.to_json()
            await record.advance(Status.FAILED, failure.title, {"given_up": evidence})
        finally:
            self._giving.discard(record.id)
        if handle is not None and "parts" in handle:
            # What cannot be ended now is, once all its hosts answer.
            with suppress(MLTrainError, OSError, TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await compute.stop(handle, _GRACE)
        service.pool(record.spec.target).release(record.id)
        service.forget_secrets(record.id)
        await asyncio.to_thread(remove_copies, record)
        service.publication.wake(record.id)
        self._look_after()

    # -- when its host answers again -------------------------------------------------------------------------------

    def _left(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"))

    def _look_after(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._until_nothing_is_left())

    async def _until_nothing_is_left(self) -> None:
        pause = _FIRST_PAUSE
        while left := await asyncio.to_thread(self._left):
            for path in left:
                with suppress(EngineUnreachable, OSError):
                    await self._end(path)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _end(self, path: Path) -> None:
        """End what is left of a run, and bring what it made. Raises `EngineUnreachable` while its host does not answer."""
        try:
            note: dict[str, Any] = json.loads(await asyncio.to_thread(path.read_text, "utf-8"))
            record = await self._service.record(note["run"])
            compute = self._service.compute(note["target"])
        except TargetNotFound:
            return  # nobody knows the way to its host; it may be attached again
        except (ValueError, KeyError, RunNotFound):
            await asyncio.to_thread(path.unlink, missing_ok=True)  # the run was removed
            return
        if record.id in self._giving:
            return
        if not record.status.terminal:
            await asyncio.to_thread(path.unlink, missing_ok=True)  # a service was killed before it was given up
            return
        handle = note["handle"]
        try:
            begun = not note.get("launching") or await _has_begun(compute, handle)
            stopped = await compute.stop(handle, _GRACE)
            with suppress(TimeoutError):
                await asyncio.wait_for(record.ingest.follow(compute, handle), _BRING_SECONDS)
            if begun or compute.capabilities.shared_files:
                await collect(record, compute, handle)
            await compute.remove(handle)
        except EngineUnreachable:
            raise
        except (MLTrainError, OSError) as error:
            became = f"what was left of it could not be ended: {error}"
        else:
            became = (
                f"{_where(handle)} answered again: {_became(handle, stopped.container)}; what it had made was fetched"
            )
        record.doc.setdefault("notices", []).append(became)
        await said.keep(self._service, record)
        await record.save()
        await asyncio.to_thread(path.unlink, missing_ok=True)


def _check(record: Record) -> None:
    name = record.row["display_name"]
    if record.status.terminal:
        raise ConflictError(f"{name} is {record.status} already: there is nothing to give up.")
    # One that is to begin again waits for its host, which has what it made.
    if not record.placed and record.doc.get("rewind") is None:
        raise ConflictError(f"No host has begun {name}: it need not be given up.", mend=f"%mltrain cancel {name}")


async def _problem(compute: Compute, handle: Handle | None) -> str:
    """Why the host of a run cannot be asked; empty where it can. Of several, the first that cannot, by name."""
    parts: dict[str, Handle] = (handle or {}).get("parts", {})
    if parts and isinstance(compute, ManyHosts):
        each = await asyncio.gather(*(_problem(compute.on(host), part) for host, part in parts.items()))
        return next((f"{host}: {one}" for host, one in zip(parts, each, strict=True) if one), "")
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            if handle is not None:
                await compute.observe(handle)
                return ""
            seen = await compute.check()
            return "" if seen.ok else seen.problem
    except TimeoutError:
        return f"no answer within {_ANSWER_SECONDS:g} s"
    except EngineUnreachable as error:
        return error.message


async def _has_begun(compute: Compute, handle: Handle) -> bool:
    """Whether any process of a run ever was: else what an engine has of its outputs is a copy, maybe half made."""
    seen = await compute.observe(handle)
    return seen.phase in {Phase.RUNNING, Phase.EXITED} or seen.started is not None or bool(seen.exits)


def _told(record: Record, handle: Handle | None, problem: str) -> tuple[Failure, dict[str, Any]]:
    """What is known of a run that is given up, for people and as evidence."""
    since, outcome = _since(record), record.doc.get("outcome")
    over = outcome is not None or record.doc.get("rewind") is not None
    facts = [problem]
    if outcome is not None:
        facts.append(f"it had ended before ({outcome['status']}); what it made was not fetched")
    elif over:
        facts.append("it had ended, and was to begin again; what it made was not fetched")
    elif handle is None:
        facts.append("whether it was begun there is not known")
    else:
        there = handle.get("parts", {}).get(_away(handle, problem), handle)
        what = f"the container {there['container']}" if "container" in there else "what it started"
        facts.append(f"{what} may still run there; it is ended once the host answers again")
    title = f"Given up: {_where(handle, problem)} has not answered since {_clock(since)}."
    evidence = {
        "unreachable_since": since,
        "problem": problem,
        "host": _away(handle, problem),
        "container": (handle or {}).get("container", ""),
        "may_still_run": not over,
    }
    return Failure(title, tuple(facts), mend="Rerun it."), evidence


def _since(record: Record) -> float:
    """When it was first seen that the host does not answer; now, where nobody has looked before."""
    found = time.time()
    for change in reversed(record.history):
        if change.status is Status.NOT_RESPONDING:
            return change.time
        if change.status not in {Status.CANCEL_REQUESTED, Status.FINALIZING}:
            break
    return found


def _where(handle: Handle | None, problem: str = "") -> str:
    host = _away(handle, problem)
    return f"its host {host}" if host else "its host"


def _away(handle: Handle | None, problem: str) -> str:
    """Which host a problem is about: where a run is on several, it begins with the name of the one."""
    handle = handle or {}
    of_several = (host for host in handle.get("parts", {}) if problem.startswith(f"{host}: "))
    return next(of_several, handle.get("host", ""))


def _became(handle: Handle, container: str) -> str:
    return f"{container} ({handle['container']})" if container and "container" in handle else "what was left is ended"


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _write(path: Path, note: dict[str, Any]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(note), encoding="utf-8")
    draft.replace(path)
