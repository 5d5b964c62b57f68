"""Routes about runs: submit, watch, cancel, change."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

from fastapi import Query

from jupyter_mltrain.core.status import Status
from jupyter_mltrain.core.wire import ExperimentList, Pruned, RunList, RunSpec, RunState, Usage
from jupyter_mltrain.core.wire_catalog import Plan
from jupyter_mltrain.errors import ConflictError
from jupyter_mltrain.service.lifecycle import KEEP_GRACE, STOP_GRACE
from jupyter_mltrain.service.notebook_runs import begin_notebook_run
from jupyter_mltrain.service.openapi import Router
from jupyter_mltrain.service.plan import describe_plan
from jupyter_mltrain.service.pruning import bytes_below, prune
from jupyter_mltrain.service.state import run_state, run_summary
from jupyter_mltrain.service.store import Chosen
from jupyter_mltrain.service.submission import rerun, submit
from jupyter_mltrain.service.wire import (
    LONGEST_WAIT,
    CancelRequest,
    NotebookRunRequest,
    PruneRequest,
    RerunRequest,
    RunChanges,
    RunRequest,
)

if TYPE_CHECKING:
    from jupyter_mltrain.service.record import Record
    from jupyter_mltrain.service.service import Service


def router(service: Service) -> Router:  # noqa: C901 - a list of small routes
    routes = Router(prefix="/v1")

    @routes.post("/plan")
    async def plan(request: RunRequest) -> Plan:
        """What `POST /v1/runs` would do; starts and keeps nothing."""
        return await describe_plan(service, request)

    @routes.post("/runs", status_code=201)
    async def create(request: RunRequest) -> RunState:
        return await run_state(service, await submit(service, request))

    @routes.get("/runs")
    async def listing(
        experiment: str | None = None,
        status: str | None = None,
        target: str | None = None,
        parent: str | None = None,
        children: bool = True,
        tag: Annotated[tuple[str, ...], Query()] = (),
        property: Annotated[tuple[str, ...], Query()] = (),  # noqa: A002 - the name in the address
        order: str = "-created",
        limit: int = Query(100, ge=1, le=10_000),
        offset: int = Query(0, ge=0),
    ) -> RunList:
        chosen = Chosen(experiment, status, target, parent, children, tag, property)
        rows, total = await service.store.call(service.store.list, chosen, order, limit, offset)
        return {"runs": [run_summary(service, row) for row in rows], "total": total}

    @routes.post("/notebook-runs", status_code=201)
    async def begin(request: NotebookRunRequest) -> RunState:
        """A run that the kernel which asks will log itself."""
        return await run_state(service, await begin_notebook_run(service, request))

    @routes.get("/experiments")
    async def experiments() -> ExperimentList:
        found = await service.store.call(service.store.experiments)
        return {"experiments": [{"name": name, "runs": runs, "newest": newest} for name, runs, newest in found]}

    @routes.post("/prune")
    async def prune_runs(request: PruneRequest) -> Pruned:
        """Remove old runs, or say which would be."""
        return await service.working(prune(service, request))

    @routes.get("/usage")
    async def usage() -> Usage:
        """Bytes on disk: of all runs' folders, and of the snapshots' contents that they share."""
        runs, blobs = await asyncio.to_thread(
            lambda: (bytes_below(service.layout.runs), bytes_below(service.layout.blobs))
        )
        return {"runs": runs, "snapshots": blobs}

    @routes.get("/runs/{key}")
    async def show(key: str, after: int | None = None, wait: float = 0) -> RunState:
        record = await service.record(key)
        if after is not None and wait > 0:
            await record.wait_beyond(after, min(wait, LONGEST_WAIT))
        return await run_state(service, record)

    @routes.post("/runs/{key}/cancel")
    async def cancel(key: str, request: CancelRequest) -> RunState:
        """Ask a live run to end. Asking again is harmless; a run that has ended already is a conflict."""
        record = await service.record(key)
        if request.give_up:
            await service.given_up.give_up(record)
        else:
            await _cancel(record, request)
        return await run_state(service, record)

    @routes.post("/runs/{key}/rerun", status_code=201)
    async def again(key: str, request: RerunRequest) -> RunState:
        made = await rerun(service, await service.record(key), request)
        if request.output:
            await _show_below(await service.record(request.output), made)
        return await run_state(service, made)

    @routes.patch("/runs/{key}")
    async def change(key: str, request: RunChanges) -> RunState:
        record = await service.record(key)
        if request.display_name is not None:
            record.row["display_name"] = request.display_name
        if request.tags is not None:
            record.doc["tags"] = request.tags
        if request.notes is not None:
            record.doc["notes"] = request.notes
        if request.pinned is not None:
            record.doc["pinned"] = request.pinned
        if request.properties is not None:
            _add_properties(record, request.properties, (await run_state(service, record))["properties"])
        await record.save()
        service.publication.wake(record.id)
        return await run_state(service, record)

    @routes.get("/runs/{key}/spec")
    async def spec(key: str) -> RunSpec:
        return (await service.record(key)).spec.to_json()

    return routes


async def _cancel(record: Record, request: CancelRequest) -> None:
    grace = request.grace if request.grace is not None else KEEP_GRACE if request.keep else STOP_GRACE
    asked = {"reason": request.reason, "keep": request.keep, "grace": grace}
    said = request.reason or ("stop and keep requested" if request.keep else "cancel requested")
    try:
        await record.advance(Status.CANCEL_REQUESTED, said, doc={"cancel": asked})
    except ConflictError:
        _refuse_late_cancel(record)
    record.cancel.set()


async def _show_below(shown: Record, made: Record) -> None:
    """Keep that `made` was started from a card in the output of `shown`."""
    known = shown.doc.get("reruns", [])
    if made.id not in known:
        shown.doc["reruns"] = [*known, made.id]
        await shown.save()


def _add_properties(record: Record, given: dict[str, str], there: dict[str, str]) -> None:
    """Raise `ConflictError` for one that is there with another value: properties never change."""
    changed = [key for key, value in given.items() if there.get(key, value) != value]
    if changed:
        raise ConflictError(
            f"The property {changed[0]!r} is {there[changed[0]]!r} already; properties never change.",
            mend="Use a tag for what may change.",
        )
    record.doc["properties"] = {**record.doc.get("properties", {}), **given}


def _refuse_late_cancel(record: Record) -> None:
    """Raise for a run that has ended; asking for an end that was asked for before is no error."""
    name = record.row["display_name"]
    if record.status.terminal:
        raise ConflictError(f"{name} is {record.status} already: nothing to cancel.")
    if record.status is Status.FINALIZING:
        raise ConflictError(f"{name} has ended already; its outputs are being collected.")
