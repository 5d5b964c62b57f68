"""Routes about runs: submit, watch, cancel, metrics, logs, files."""

from __future__ import annotations

import asyncio
import json
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response

from jupyter_mltrain.core.status import Status
from jupyter_mltrain.errors import ConflictError, PathNotFound
from jupyter_mltrain.service import logs
from jupyter_mltrain.service.lifecycle import KEEP_GRACE, STOP_GRACE
from jupyter_mltrain.service.metrics import metric_values
from jupyter_mltrain.service.plan import describe_plan
from jupyter_mltrain.service.state import run_state, run_summary
from jupyter_mltrain.service.submission import rerun, submit
from jupyter_mltrain.service.wire import CancelRequest, RerunRequest, RunChanges, RunRequest, plain

if TYPE_CHECKING:
    from jupyter_mltrain.service.columns import Window
    from jupyter_mltrain.service.service import Service

_LONGEST_WAIT = 30.0


def router(service: Service) -> APIRouter:  # noqa: C901 - a list of small routes
    routes = APIRouter(prefix="/v1")

    @routes.post("/plan")
    async def plan(request: RunRequest) -> dict[str, Any]:
        """What `POST /v1/runs` would do; starts and keeps nothing."""
        return await describe_plan(service, request)

    @routes.post("/runs", status_code=201)
    async def create(request: RunRequest) -> dict[str, Any]:
        return await run_state(service, await submit(service, request))

    @routes.get("/runs")
    async def listing(
        experiment: str | None = None,
        status: str | None = None,
        order: str = "-created",
        limit: int = Query(100, ge=1, le=10_000),
        offset: int = Query(0, ge=0),
    ) -> dict[str, Any]:
        rows, total = await service.store.call(service.store.list, experiment, status, order, limit, offset)
        return {"runs": [run_summary(service, row) for row in rows], "total": total}

    @routes.get("/usage")
    async def usage() -> dict[str, Any]:
        """Bytes on disk: of all runs' folders, and of the snapshots' contents that they share."""
        runs, blobs = await asyncio.to_thread(lambda: (_bytes_below(service.layout.runs), _bytes_below(service.layout.blobs)))
        return {"runs": runs, "snapshots": blobs}

    @routes.get("/runs/{key}")
    async def show(key: str, after: int | None = None, wait: float = 0) -> dict[str, Any]:
        record = await service.record(key)
        if after is not None and wait > 0:
            await record.wait_beyond(after, min(wait, _LONGEST_WAIT))
        return await run_state(service, record)

    @routes.post("/runs/{key}/cancel")
    async def cancel(key: str, request: CancelRequest) -> dict[str, Any]:
        """Ask a live run to end. Asking again is harmless; a run that has ended already is a conflict."""
        record = await service.record(key)
        if record.status is not Status.CANCEL_REQUESTED:
            if record.status.terminal:
                raise ConflictError(f"{record.row['display_name']} is {record.status} already: nothing to cancel.")
            if record.status is Status.FINALIZING:
                raise ConflictError(f"{record.row['display_name']} has ended already; its outputs are being collected.")
            grace = request.grace if request.grace is not None else KEEP_GRACE if request.keep else STOP_GRACE
            record.doc["cancel"] = {"reason": request.reason, "keep": request.keep, "grace": grace}
            said = request.reason or ("stop and keep requested" if request.keep else "cancel requested")
            await record.advance(Status.CANCEL_REQUESTED, said)
            record.cancel.set()
        return await run_state(service, record)

    @routes.post("/runs/{key}/rerun", status_code=201)
    async def again(key: str, request: RerunRequest) -> dict[str, Any]:
        return await run_state(service, await rerun(service, await service.record(key), request))

    @routes.patch("/runs/{key}")
    async def change(key: str, request: RunChanges) -> dict[str, Any]:
        record = await service.record(key)
        if request.display_name is not None:
            record.row["display_name"] = request.display_name
        if request.tags is not None:
            record.doc["tags"] = request.tags
        if request.notes is not None:
            record.doc["notes"] = request.notes
        if request.pinned is not None:
            record.doc["pinned"] = request.pinned
        await record.save()
        service.publication.wake(record.id)
        return await run_state(service, record)

    @routes.get("/runs/{key}/spec")
    async def spec(key: str) -> dict[str, Any]:
        return (await service.record(key)).spec.to_json()

    @routes.get("/runs/{key}/metrics")
    async def metrics(key: str) -> dict[str, Any]:
        record = await service.record(key)
        await record.ingest.absorb()
        return plain({"series": (await record.ingest.summary())[0]})

    @routes.get("/runs/{key}/values")
    async def values(key: str) -> Response:
        """All that was logged, in the shapes of `get_metrics`; NaN and the infinities as Python's JSON writes them."""
        record = await service.record(key)
        text = await asyncio.to_thread(lambda: json.dumps(metric_values(record.ingest.streams)))
        return Response(text, media_type="application/json")

    @routes.get("/runs/{key}/series")
    async def series(
        key: str,
        name: str,
        rank: int = 0,
        axis: str = Query("step", pattern="^(step|time)$"),
        start: float | None = None,
        stop: float | None = None,
        points: int = Query(2000, ge=4, le=20_000),
    ) -> Response:
        """At most about `points` points of a window, with every extreme in it."""
        record = await service.record(key)
        window = await record.ingest.window((rank, name), axis=axis, start=start, stop=stop, pixels=max(1, points // 4))
        # Thousands of numbers: written as text beside the event loop.
        return Response(await asyncio.to_thread(_series_json, name, rank, window), media_type="application/json")

    @routes.get("/runs/{key}/logs")
    async def log_list(key: str) -> dict[str, Any]:
        record = await service.record(key)
        return {"logs": await asyncio.to_thread(logs.listing, record.folder), "complete": record.status.terminal}

    @routes.get("/runs/{key}/log")
    async def log(key: str, name: str = logs.FIRST, offset: int = 0, limit: int = Query(1 << 20, ge=1, le=8 << 20), wait: float = 0) -> Response:
        """Bytes of a log from `offset` on (negative: from its end); waits up to `wait` seconds for the first new one."""
        record = await service.record(key)
        chunk = await logs.read(record, name, offset, limit, min(wait, _LONGEST_WAIT))
        headers = {"X-Offset": str(chunk.offset), "X-Next-Offset": str(chunk.next), "X-Complete": str(int(chunk.complete))}
        return Response(chunk.data, media_type="application/octet-stream", headers=headers)

    @routes.get("/runs/{key}/files")
    async def files(key: str) -> dict[str, Any]:
        record = await service.record(key)
        return {"files": await asyncio.to_thread(logs.files, record.folder)}

    @routes.get("/runs/{key}/file")
    async def file(key: str, path: str, request: Request) -> Response:
        record = await service.record(key)
        found = await asyncio.to_thread(logs.resolve, record.folder, path)
        if found is None:
            there = [f["path"] for f in await asyncio.to_thread(logs.files, record.folder)]
            raise PathNotFound.of(path, there)
        media = mimetypes.guess_type(found.name)[0] or "application/octet-stream"
        return FileResponse(found, media_type=media, headers={"X-Content-Type-Options": "nosniff"})

    return routes


def _series_json(name: str, rank: int, window: Window) -> str:
    taken = window.points
    answer = {
        "name": name,
        "rank": rank,
        "total": window.total,
        "steps": taken["step"].tolist(),
        "times": taken["time"].tolist(),
        "values": taken["value"].tolist(),
    }
    return json.dumps(plain(answer))


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            info = path.lstat()
        except FileNotFoundError:
            continue  # a live run tidies up
        total += info.st_blocks * 512
    return total
