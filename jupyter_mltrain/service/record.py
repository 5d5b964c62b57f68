"""A run in the service's memory, and the only way its status changes."""

from __future__ import annotations

import asyncio
import errno
import json
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

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
        self._store = store
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()

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
    def revision(self) -> int:
        return int(self.row["revision"])

    async def advance(self, status: Status, reason: str = "", evidence: dict[str, Any] | None = None) -> None:
        """Change the status, durably. Raises `ConflictError` where the table does not allow it."""
        async with self._writing:
            check_change(self.status, status)
            change = Change(status, time.time(), reason, evidence or {})
            self.history.append(change)
            self.row["status"] = status.value
            if status is Status.RUNNING and self.row["started"] is None:
                self.row["started"] = change.time
            if status.terminal:
                self.row["ended"] = change.time
            await self._save(change)

    async def save(self) -> None:
        """Make `doc` durable and tell who waits."""
        async with self._writing:
            await self._save(None)

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

    async def _save(self, change: Change | None) -> None:
        self.touch()
        row = {**self.row, "doc": json.loads(json.dumps(self.doc))}
        while True:
            try:
                await self._store.call(self._write, row, change, len(self.history) - 1)
            except (sqlite3.OperationalError, OSError) as error:
                if not _full_or_locked(error):
                    raise
                # The truth is known and will be written: a run must not fail because its record's disk is full.
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    def _write(self, row: Row, change: Change | None, position: int) -> None:
        self._store.save(row, change, position)
        # The folder is the record: with these two files the index can be made anew.
        write_state(self.folder, row)
        if change is not None:
            append_status(self.folder, change)


def _full_or_locked(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    return any(word in str(error) for word in ("full", "locked", "busy"))


def write_state(folder: Path, row: Row) -> None:
    """`state.json`: the run's row as last saved."""
    draft = folder / "state.new"
    draft.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8", errors="surrogateescape")
    draft.replace(folder / "state.json")


def append_status(folder: Path, change: Change) -> None:
    """`status.jsonl`: one line per change."""
    with (folder / "status.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(change.to_json(), ensure_ascii=False) + "\n")
