"""A run in the service's memory, and the only way its status changes."""

from __future__ import annotations

import asyncio
import errno
import json
import sqlite3
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jupyter_mltrain.core.compute import Observation
from jupyter_mltrain.core.spec import RunSpec
from jupyter_mltrain.core.status import Change, Status, check_change
from jupyter_mltrain.service.ingest import Ingest
from jupyter_mltrain.service.store import Row, Store

_RETRY_SECONDS = 2.0


class Record:
    """One run. `doc` holds what changes beside its status (JSON); `save` makes it durable.

    `revision` grows with every change that a view could show, also over restarts of the service: it is at least the
    clock's milliseconds.
    """

    def __init__(self, store: Store, folder: Path, spec: RunSpec, row: Row, history: list[Change]) -> None:
        self.spec = spec
        self.folder = folder
        self.row = row
        self.history = history
        self.ingest = Ingest(folder, self.touch)
        self.cancel = asyncio.Event()
        self.preempt = asyncio.Event()
        self.preempted_for = ""
        """The id of the run that its place is wanted for, once `preempt` is set."""
        self.seen: Observation | None = None
        """What its engine last saw of it, since this service drives it."""
        self.measured: Any = None
        """What was last read of its ranks (`service.ranks`)."""
        self._store = store
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()
        self._noted = len(history)  # changes that are in the folder

    @property
    def id(self) -> str:
        return self.spec.run_id

    @property
    def doc(self) -> dict[str, Any]:
        return self.row["doc"]

    @property
    def status(self) -> Status:
        return self.history[-1].status

    @property
    def placed(self) -> bool:
        """Whether it has a place to run: from then on its process may be there. Queued again, it has none."""
        seen = (c.status for c in reversed(self.history))
        return next((s for s in seen if s in {Status.STARTING, Status.QUEUED}), None) is Status.STARTING

    @property
    def revision(self) -> int:
        return int(self.row["revision"])

    async def advance(
        self,
        status: Status,
        reason: str = "",
        evidence: dict[str, Any] | None = None,
        *,
        doc: Mapping[str, Any] | None = None,
    ) -> None:
        """Change the status, and `doc` with it, durably. Raises `ConflictError` where the table does not allow it.

        Nobody sees the new status before it is written: what was seen once stays true after a `kill -9`. Who is
        cancelled while waiting here does not stop the writing: memory and disk never tell different things.
        """
        await asyncio.shield(self._advance(status, reason, evidence, doc=doc or {}, unless_canceled=False))

    async def progress(
        self,
        status: Status,
        reason: str = "",
        evidence: dict[str, Any] | None = None,
        *,
        since: float | None = None,
        doc: Mapping[str, Any] = MappingProxyType({}),
    ) -> bool:
        """Advance to a further stage; False, and nothing done, when a cancel was asked for meanwhile. `since`: when it
        was reached, where that is known better than by when it was seen."""
        return await asyncio.shield(self._advance(status, reason, evidence, since=since, doc=doc, unless_canceled=True))

    async def save(self) -> None:
        """Make `doc` durable and tell who waits."""
        await asyncio.shield(self._save_doc())

    async def settled(self) -> None:
        """Return once nothing is being written."""
        async with self._writing:
            return

    def touch(self) -> None:
        """Tell who waits that something is new to see (metrics, progress, a place in the queue)."""
        self.row["revision"] = max(self.revision + 1, int(time.time() * 1000))
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_beyond(self, revision: int, seconds: float) -> None:
        """Return when the revision is beyond the given one, or after `seconds`."""
        deadline = time.monotonic() + seconds
        while self.revision <= revision and (left := deadline - time.monotonic()) > 0:
            changed = self._changed
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), left)

    async def wait_changed(self, seconds: float) -> None:
        """Return at the next change, or after `seconds`."""
        await self.wait_beyond(self.revision, seconds)

    async def _advance(
        self,
        status: Status,
        reason: str,
        evidence: dict[str, Any] | None,
        *,
        since: float | None = None,
        doc: Mapping[str, Any] = MappingProxyType({}),
        unless_canceled: bool,
    ) -> bool:
        async with self._writing:
            if unless_canceled and self.status is Status.CANCEL_REQUESTED:
                return False
            check_change(self.status, status)
            self.doc.update(doc)
            moment = time.time()
            if since is not None:
                moment = min(max(since, self.history[-1].time), moment)
            change = Change(status, moment, reason, evidence or {})
            now: dict[str, Any] = {"status": status.value}
            if status is Status.RUNNING and self.row["started"] is None:
                now["started"] = change.time
            if status.terminal:
                now["ended"] = change.time
            await self._save({**self.row, **now}, change)
            self.row.update(now)
            self.history.append(change)
            self.touch()
        return True

    async def _save_doc(self) -> None:
        async with self._writing:
            await self._save(self.row, None)
            self.touch()

    async def _save(self, row: Row, change: Change | None) -> None:
        self.touch()
        row = {**row, "revision": self.revision, "doc": json.loads(json.dumps(self.doc))}
        while True:
            try:
                await self._store.call(self._write, row, change, len(self.history))
            except (sqlite3.OperationalError, OSError) as error:
                if not _full_or_locked(error):
                    raise
                # The truth is known and will be written: a run must not fail because its record's disk is full.
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    def _write(self, row: Row, change: Change | None, position: int) -> None:
        # The folder is the record, so it comes first: a service that is killed here finds its index behind, never ahead.
        write_state(self.folder, row)
        if change is not None and position >= self._noted:
            append_status(self.folder, change)
            self._noted = position + 1
        self._store.save(row, change, position)


def _full_or_locked(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    return any(word in str(error) for word in ("full", "locked", "busy"))


def read_folder(folder: Path) -> tuple[Row, list[Change]] | None:
    """A run as its folder tells it; None where that holds no run (yet)."""
    try:
        row: Row = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        lines = (folder / "status.jsonl").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    changes: list[Change] = []
    for line in lines:
        try:
            raw = json.loads(line)
            change = Change(Status(raw["status"]), raw["time"], raw["reason"], raw["evidence"])
        except (ValueError, KeyError, TypeError):
            continue  # torn by a full disk; the change was written again after it
        if not changes or changes[-1].status is not change.status:
            changes.append(change)
    if not changes or not (folder / "spec.json").is_file():
        return None
    # The row is written before the change that it shows.
    row["status"] = changes[-1].status.value
    if not changes[-1].status.terminal:
        row["ended"] = None
    return row, changes


def write_state(folder: Path, row: Row) -> None:
    """`state.json`: the run's row as last saved."""
    draft = folder / "state.new"
    draft.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8", errors="surrogateescape")
    draft.replace(folder / "state.json")


def append_status(folder: Path, change: Change) -> None:
    """`status.jsonl`: one line per change, also after one that a full disk cut short."""
    with (folder / "status.jsonl").open("a+b") as file:
        if file.seek(0, 2):
            file.seek(-1, 2)
            torn = file.read(1) != b"\n"
            if torn:
                file.write(b"\n")
        file.write(json.dumps(change.to_json(), ensure_ascii=False).encode("utf-8", "replace") + b"\n")
