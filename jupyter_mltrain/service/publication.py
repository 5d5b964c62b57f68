"""Keeps the published copy of runs, in MLflow, in step with their records: behind them, and never in their way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.client.workspaces import WorkspaceConfig
from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.core.model import Registration
from jupyter_mltrain.core.wire import TrackingState
from jupyter_mltrain.service.record import Record
from jupyter_mltrain.service.state import run_state
from jupyter_mltrain.service.wire import ModelRequest
from jupyter_mltrain.tracking.publisher import Tracking

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service

LIVE_SECONDS = 5.0
"""How often a live run's news are handed over."""


class Publication:
    """Tells `Tracking`, which runs MLflow in a process of its own, what is new, and notes on each run how far it is."""

    def __init__(self, service: Service, layout: Layout, config: WorkspaceConfig) -> None:
        self._service = service
        settings = config.raw.get("tracking", {})
        self.on = bool(settings.get("publish", True))
        """Whether runs are published at all; models are registered either way."""
        self.tracking = Tracking(layout.folder, settings.get("uri"), changed=self._changed, interval=LIVE_SECONDS)
        self._open: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._live: dict[str, asyncio.TimerHandle] = {}

    async def start(self) -> None:
        """Take up what an earlier service left unpublished, soon."""
        await self.tracking.start()
        if not self.on:
            return
        for run_id in await self._service.store.call(self._service.store.unpublished):
            # Not at once: somebody waits for what the service was started for, and MLflow takes a CPU for seconds.
            self._open.add(run_id)
            self.news(run_id)

    async def close(self) -> None:
        for timer in self._live.values():
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.tracking.close()

    @property
    def first(self) -> TrackingState:
        """The tracking state of a run that was just submitted."""
        return TrackingState(state="pending" if self.on else "off", pending=0, message="")

    @property
    def busy(self) -> bool:
        """Whether something is to be published that can be: a server that does not answer keeps no service up."""
        return bool(self._open)

    def holds(self, run_id: str) -> bool:
        return run_id in self._open

    def wake(self, run_id: str) -> None:
        """Something of this run has changed that MLflow shows."""
        if not self.on:
            return
        self._open.add(run_id)
        self._spawn(self._hand_over(run_id))

    def news(self, run_id: str) -> None:
        """A live run has logged something: handed over within `LIVE_SECONDS`."""
        if self.on and run_id not in self._live:
            self._live[run_id] = asyncio.get_running_loop().call_later(LIVE_SECONDS, self._due, run_id)

    def _due(self, run_id: str) -> None:
        self._live.pop(run_id, None)
        self.wake(run_id)

    async def _hand_over(self, run_id: str) -> None:
        record = await self._service.record(run_id)
        self.tracking.notify(record.id, record.folder, await run_state(self._service, record))

    def _changed(self, run_id: str, state: TrackingState) -> None:
        if state["state"] != "pending":
            self._open.discard(run_id)
        self._spawn(self._note(run_id, state))

    async def _note(self, run_id: str, state: TrackingState) -> None:
        record = await self._service.record(run_id)
        if record.doc["tracking"] != state:
            record.doc["tracking"] = dict(state)
            await record.save()

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def register_model(service: Service, record: Record, request: ModelRequest) -> dict[str, Any]:
    """Register a path of a run's outputs; the run's record then names the version."""
    series, _, _ = await record.ingest.summary()
    environment = record.doc["environment"]
    given = replace(
        registration(request),
        metrics={s["name"]: s["last"] for s in series if s["rank"] == 0 and s["last"] is not None},
        environment=":".join(str(part) for part in (environment["name"], environment["version"]) if part is not None),
        data=tuple(each["name"] + (f":{each['version']}" if each["version"] else "") for each in record.doc["data"]),
    )
    version = await service.publication.tracking.register(record.id, record.folder, given)
    entry = {"name": version["name"], "version": version["version"]}
    if entry not in record.doc["models"]:
        record.doc["models"].append(entry)
        await record.save()
    return version


def registration(request: ModelRequest) -> Registration:
    """What a client asked to register."""
    resources = request.resources.model_dump(exclude_none=True) if request.resources else None
    return Registration(
        name=request.name,
        path=request.path,
        tags=request.tags,
        description=request.description,
        framework=request.framework,
        framework_version=request.framework_version,
        properties=request.properties,
        resources=resources,
        sample_input=request.sample_input,
        force=request.force,
    )
