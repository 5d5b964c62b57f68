"""Runs that a run's script keeps below its own (`computes.within`): found among its streams, made, and over when it is."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from jupyter_mltrain.computes.within import Begun, WithinCompute, begun, bring_files
from jupyter_mltrain.core.ids import check_run_id
from jupyter_mltrain.core.spec import WITHIN, Resources
from jupyter_mltrain.core.status import Status
from jupyter_mltrain.errors import ConflictError, MLTrainError
from jupyter_mltrain.runclient.injected.jupyter_mltrain._children import BEGIN
from jupyter_mltrain.service.pruning import measure_outputs
from jupyter_mltrain.service.snapshot import Snapshot
from jupyter_mltrain.service.submission import make

if TYPE_CHECKING:
    from jupyter_mltrain.service.record import Record
    from jupyter_mltrain.service.service import Service

MOST = 1000
"""Runs below one run; a script that begins more than these is told so on its run."""
_LONGEST_NAME = 255


class Children:
    """Those of all live runs of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._known: defaultdict[str, set[str]] = defaultdict(set)
        """By the id of the run they are in: the files that were taken up, or cannot be."""
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def noticed(self, record: Record, names: frozenset[str]) -> None:
        """The streams of a run hold files of those names, and may have grown."""
        if any(name.endswith(BEGIN) for name in names - self._known[record.id]):
            self._service.working(self._take_up(record))
        self._engine.ring(record.folder)

    async def settle(self, record: Record, canceled: str = "") -> None:
        """All that the run's script said is here and its files are in its record: whoever is still live below it ends,
        Failed, or, where there is a reason to say so, Canceled.

        Returns once they have ended, so that nobody finds a run that is over above one that is not.
        """
        below = await self._take_up(record)
        if not below:
            return
        for child in below if canceled else ():
            with suppress(ConflictError):  # it has ended, or was canceled itself
                await child.advance(Status.CANCEL_REQUESTED, canceled, doc={"cancel": {}})
                child.cancel.set()
        record.doc["drained"] = True
        await record.save()
        self._engine.ring(record.folder)
        await self._service.driven(child.id for child in below)
        for child in below:
            # What came after its own end: the rest of its files, and of what other processes of the script logged.
            await asyncio.to_thread(bring_files, record.folder, child.id, child.folder)
            await child.ingest.absorb(flush=True)
            child.doc["outputs"] = await asyncio.to_thread(measure_outputs, child.folder)
            await child.save()
        self._known.pop(record.id, None)
        self._locks.pop(record.id, None)

    @property
    def _engine(self) -> WithinCompute:
        engine = self._service.compute(WITHIN)
        assert isinstance(engine, WithinCompute), "nothing else is loaded under that name"
        return engine

    async def _take_up(self, record: Record) -> list[Record]:
        """Make the runs that were begun since the last look; all of the run's."""
        async with self._locks[record.id]:
            said = await asyncio.to_thread(begun, record.folder)
            # Parents before those that are below them.
            made = [await self._made(record, each) for each in sorted(said, key=lambda each: each.time)]
            return [child for child in made if child is not None]

    async def _made(self, record: Record, said: Begun) -> Record | None:
        known = self._known[record.id]
        there = await self._service.find(said.run_id)
        if there is not None:  # made before; or the id is another run's, and that is left alone
            known.add(said.name)
            return there if there.spec.within == record.id else None
        if said.name in known:
            return None
        known.add(said.name)
        if len(known) > MOST:
            await self._tell(record, f"its script began more than {MOST} child runs; the others are not kept")
            return None
        try:
            return await self._make(record, said)
        except MLTrainError as error:
            await self._tell(record, f"a child run of its script is not kept: {error.message}")
            return None

    async def _make(self, record: Record, said: Begun) -> Record:
        parent = await self._service.find(said.parent)
        below = parent is not None and record.id in (parent.id, parent.spec.within)
        spec = replace(
            record.spec,
            run_id=check_run_id(said.run_id),
            display_name=said.display_name[:_LONGEST_NAME],
            target=WITHIN,
            script=None,
            command=None,
            arguments=(),
            data=(),
            secrets=(),
            resources=Resources(),
            tags={},
            substitutions=(),
            rerun_of=None,
            parent=parent.id if parent is not None and below else record.id,
            within=record.id,
        )
        manifest = json.loads(
            await asyncio.to_thread((record.folder / "snapshot.json").read_text, "utf-8", "surrogateescape")
        )
        return await make(self._service, spec, Snapshot(manifest["files"]), record.doc.get("kernel_python"), {})

    async def _tell(self, record: Record, notice: str) -> None:
        notices = record.doc.setdefault("notices", [])
        if notice not in notices:
            notices.append(notice)
            await record.save()
