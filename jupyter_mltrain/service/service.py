"""The service of one workspace: what it holds, how it opens and closes. The parts meet here and nowhere else."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_mltrain.client.workspaces import WorkspaceConfig
from jupyter_mltrain.core.compute import Compute, Grant
from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.core.spec import RunSpec
from jupyter_mltrain.core.status import Change, Status
from jupyter_mltrain.data import Catalog, Datasets
from jupyter_mltrain.environments import Environments, npm_command
from jupyter_mltrain.errors import RunNotFound
from jupyter_mltrain.service.children import Children
from jupyter_mltrain.service.endpoints import Endpoints
from jupyter_mltrain.service.gate import Gate
from jupyter_mltrain.service.giving_up import GivenUp
from jupyter_mltrain.service.hosts import HostsPool
from jupyter_mltrain.service.lifecycle import drive
from jupyter_mltrain.service.pruning import sweep_removed
from jupyter_mltrain.service.publication import Publication
from jupyter_mltrain.service.record import Record, read_folder
from jupyter_mltrain.service.scheduler import Pool
from jupyter_mltrain.service.store import Row, Store
from jupyter_mltrain.service.targets import Targets

_KEEP_TERMINAL = 200
"""Records of ended runs that stay in memory; others are read again when asked for."""


class Service:
    """Holds the store, the targets, the records of runs, and a task per live run."""

    def __init__(self, layout: Layout, config: WorkspaceConfig) -> None:
        self.layout = layout
        self.config = config
        self.started = time.time()
        self.store = Store(layout.database)
        self.environments = Environments(layout.environments, strict=bool(config.raw.get("strict", False)))
        self.datasets = Catalog(layout.folder, Datasets(npm=npm_command))
        self.targets = Targets(layout, config.raw, self._moved, self._preempt)
        self.publication = Publication(self, layout, config)
        self.endpoints = Endpoints(self)
        self.children = Children(self)
        self.given_up = GivenUp(self)
        self.on_end: Callable[[], None] = lambda: None
        self.accepting = True
        self.submitting = asyncio.Lock()
        self.snapshots = Gate()
        """Shared by who takes one, from its first content to its record; alone for who removes contents."""
        self._records: dict[str, Record] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._secrets: dict[str, dict[str, str]] = {}
        self._last_request = time.monotonic()
        self._busy = 0

    async def open(self) -> None:
        """Open the store and take up every live run where it stands."""
        self.layout.runs.mkdir(mode=0o700, exist_ok=True)
        await self.store.call(self.store.open)
        await asyncio.to_thread(sweep_removed, self.layout)
        await self.store.call(self._rebuild_index)
        await self.targets.open()
        live = [await self.record(run_id) for run_id in await self.store.call(self.store.live)]
        # Who waited stands where it stood; who was being prepared gets in line when it is ready.
        waiting = [record for record in live if record.status is Status.QUEUED]
        for record in sorted(waiting, key=lambda r: r.history[-1].time) + [r for r in live if r not in waiting]:
            self.targets.keep(record.spec.target)
            if record.placed:
                grant, preemptions = Grant.from_json(record.doc["grant"]), record.doc.get("preemptions", 0)
                self.pool(record.spec.target).restore(record.id, grant, preemptions)
            if record.status is Status.CANCEL_REQUESTED:
                record.cancel.set()
            self.drive(record)
        await self.publication.start()
        await self.endpoints.open()
        await self.given_up.open()

    async def close(self) -> None:
        """Stop driving (live runs and endpoints go on without us) and close what is open."""
        await self.endpoints.close()
        await self.given_up.close()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self.publication.close()
        for record in self._records.values():
            with suppress(OSError):
                await record.ingest.absorb(flush=True)
            await record.settled()
        await self.store.call(self.store.close)
        self.store.shutdown()

    def end(self) -> None:
        """Stop accepting requests and end the process; live runs are left alone."""
        self.accepting = False
        self.on_end()

    def touch(self) -> None:
        self._last_request = time.monotonic()

    def idle_seconds(self) -> float:
        """How long nothing has needed the service: no live run, no request, nothing to publish."""
        if self._tasks or self._busy or self.publication.busy:
            self.touch()
        return time.monotonic() - self._last_request

    def working(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something that outlasts its request; the service is not idle meanwhile."""
        self._busy += 1
        task = asyncio.create_task(work)

        def done(_: object) -> None:
            self._busy -= 1

        task.add_done_callback(done)
        return task

    def compute(self, target: str) -> Compute:
        return self.targets.of_run(target).compute

    def pool(self, target: str) -> Pool | HostsPool:
        return self.targets.of_run(target).pool

    def live_on(self, target: str) -> dict[str, str]:
        """The runs that are not over yet, on a target: id → display name."""
        live = [self._records[run_id] for run_id in self._tasks]
        return {record.spec.run_id: record.row["display_name"] for record in live if record.spec.target == target}

    async def ended(self) -> set[str]:
        """Ids of the runs that are over."""
        return await self.store.call(lambda: self.store.ids() - set(self.store.live()))

    def secrets(self, run_id: str) -> Mapping[str, str]:
        """Values of a run's secrets; in memory only."""
        return self._secrets.get(run_id, {})

    def keep_secrets(self, run_id: str, values: Mapping[str, str]) -> None:
        held = self._records.get(run_id)
        if values and not (held is not None and held.status.terminal):
            self._secrets[run_id] = dict(values)

    def forget_secrets(self, run_id: str) -> None:
        self._secrets.pop(run_id, None)

    def adopt(self, record: Record) -> None:
        """Hold a record that was just made."""
        self._records[record.id] = record

    def forget(self, run_id: str) -> None:
        """Hold an ended record no longer."""
        self._records.pop(run_id, None)

    def held(self, run_id: str) -> Record | None:
        return self._records.get(run_id)

    def drive(self, record: Record) -> None:
        """Start the task that brings the run to its end; one per run."""
        if record.id in self._tasks or record.status.terminal:
            return
        record.ingest.news = lambda: self.publication.news(record.id)
        record.ingest.others = lambda names: self.children.noticed(record, names)
        task = asyncio.create_task(drive(self, record), name=record.id)
        self._tasks[record.id] = task

        def done(_: object) -> None:
            self._tasks.pop(record.id, None)
            self.publication.wake(record.id)

        task.add_done_callback(done)

    async def leave(self, run_id: str) -> None:
        """Bring a run no further; what there is of it goes on."""
        task = self._tasks.get(run_id)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def driven(self, run_ids: Iterable[str]) -> None:
        """Return once those runs have come to their ends."""
        tasks = [self._tasks[run_id] for run_id in run_ids if run_id in self._tasks]
        if tasks:
            await asyncio.wait(tasks)

    async def find(self, run_id: str) -> Record | None:
        """The run with that id, if there is one."""
        if run_id not in self._records and await self.store.call(self.store.get, run_id) is None:
            return None
        return await self.record(run_id)

    async def record(self, key: str) -> Record:
        """The run that `key` means: an id, a display name or `latest`. Raises `RunNotFound` with the nearest names."""
        record = self._records.get(key)
        if record is not None:
            return record
        run_id = await self.store.call(self.store.find, key)
        if run_id is None:
            raise RunNotFound.of(key, await self.store.call(self.store.names))
        if run_id in self._records:
            return self._records[run_id]
        found = await self.store.call(self.store.get, run_id)
        assert found is not None, "found by name, so it is there"
        row, history = found
        folder = self.layout.run(run_id)
        if not history[-1].status.terminal:
            # A service that was killed may have got as far as the folder.
            row, history = await self.store.call(self._catch_up, folder, row, history)
        # Not every revision that a client saw was saved; none that it saw may come again for something newer.
        row["revision"] = max(row["revision"], int(time.time() * 1000))
        spec = RunSpec.from_json(json.loads(await asyncio.to_thread((folder / "spec.json").read_text, "utf-8")))
        # Somebody else may have read it meanwhile: one record per run, for there is one lock in it.
        record = self._records.setdefault(run_id, Record(self.store, folder, spec, row, history))
        self._forget_some()
        return record

    def _forget_some(self) -> None:
        ended = [r for r in self._records.values() if r.status.terminal and not self.publication.holds(r.id)]
        for record in ended[: max(0, len(ended) - _KEEP_TERMINAL)]:
            del self._records[record.id]

    def _moved(self, run_id: str) -> None:
        record = self._records.get(run_id)
        if record is not None:
            record.touch()

    def _preempt(self, run_id: str, by: str) -> None:
        record = self._records.get(run_id)
        if record is not None:
            record.preempted_for = by
            record.preempt.set()

    def _catch_up(self, folder: Path, row: Row, history: list[Change]) -> tuple[Row, list[Change]]:
        """The newer of what index and folder say of a run; the index then says it too."""
        found = read_folder(folder)
        if found is None or len(found[1]) < len(history) or found[0]["revision"] <= row["revision"]:
            return row, history
        self.store.adopt(*found)
        return found

    def _rebuild_index(self) -> None:
        """Runs whose folder is there but which the index does not know (a new or restored database, a service killed
        between the two)."""
        known = self.store.ids()
        for run_id in known:
            if not self.layout.run(run_id).is_dir():
                self.store.remove(run_id)  # it was being removed when the service was killed
        for folder in sorted(
            path.parent for path in self.layout.runs.glob("*/state.json") if path.parent.name not in known
        ):
            found = read_folder(folder)
            if found is not None:
                self.store.adopt(*found)
