"""Routes about what a run said and left: metrics, logs, files."""

from __future__ import annotations

import asyncio
import json
import mimetypes
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Query
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask

from jupyter_mltrain.core.wire import FileList, LogList, MetricList, SeriesWindow
from jupyter_mltrain.core.wire_logged import LoggedItems
from jupyter_mltrain.core.wire_models import Inspection
from jupyter_mltrain.core.wire_ranks import RunRanks
from jupyter_mltrain.core.wire_system import SystemUsage
from jupyter_mltrain.errors import PathNotFound
from jupyter_mltrain.service import logs, snapshot
from jupyter_mltrain.service.logged import logged_items
from jupyter_mltrain.service.metrics import metric_values
from jupyter_mltrain.service.openapi import Router
from jupyter_mltrain.service.ranks import run_ranks
from jupyter_mltrain.service.system import system_usage, system_window
from jupyter_mltrain.service.wire import LONGEST_WAIT, plain

if TYPE_CHECKING:
    from jupyter_mltrain.service.columns import Window
    from jupyter_mltrain.service.service import Service


def router(service: Service) -> Router:  # noqa: C901 - a list of small routes
    routes = Router(prefix="/v1")

    @routes.get("/runs/{key}/metrics")
    async def metrics(key: str) -> MetricList:
        record = await service.record(key)
        await record.ingest.absorb()
        return plain({"series": (await record.ingest.summary())[0]})

    @routes.get("/runs/{key}/values")
    async def values(key: str, rank: int = 0) -> Annotated[Response, dict[str, Any]]:
        """All that a rank logged, in the shapes of `get_metrics`; NaN and the infinities as Python's JSON writes them."""
        record = await service.record(key)
        text = await asyncio.to_thread(lambda: json.dumps(metric_values(record.ingest.streams, rank)))
        return Response(text, media_type="application/json")

    @routes.get("/runs/{key}/logged")
    async def logged(key: str) -> LoggedItems:
        """Images and tables, the newest of them."""
        record = await service.record(key)
        return plain(await asyncio.to_thread(logged_items, record.ingest.streams))

    @routes.get("/runs/{key}/ranks")
    async def ranks(key: str, baseline: str | None = None) -> RunRanks:
        """All processes of a run. `baseline`: the run of one process to compare its examples per second with."""
        record = await service.record(key)
        return plain(await run_ranks(service, record, await service.record(baseline) if baseline else None))

    @routes.get("/runs/{key}/series")
    async def series(
        key: str,
        name: str,
        rank: int = 0,
        axis: str = Query("step", pattern="^(step|time)$"),
        start: float | None = None,
        stop: float | None = None,
        points: int = Query(2000, ge=4, le=20_000),
    ) -> Annotated[Response, SeriesWindow]:
        """At most about `points` points of a window, with every extreme in it."""
        record = await service.record(key)
        window = await record.ingest.window((rank, name), axis=axis, start=start, stop=stop, pixels=max(1, points // 4))
        # Thousands of numbers: written as text beside the event loop.
        return Response(await asyncio.to_thread(_series_json, name, rank, window), media_type="application/json")

    @routes.get("/runs/{key}/system")
    async def system(key: str) -> SystemUsage:
        """CPU, memory and GPUs: what was given to the run and what it used."""
        return plain(await system_usage((await service.record(key)).ingest))

    @routes.get("/runs/{key}/system/series")
    async def system_series(
        key: str,
        name: str,
        rank: int = 0,
        axis: str = Query("time", pattern="^(step|time)$"),
        start: float | None = None,
        stop: float | None = None,
        points: int = Query(2000, ge=4, le=100_000),
    ) -> Annotated[Response, SeriesWindow]:
        """At most about `points` points of a window of what was sampled, with every extreme in it."""
        record = await service.record(key)
        window = await system_window(
            record.ingest, (rank, name), axis=axis, start=start, stop=stop, pixels=max(1, points // 4)
        )
        return Response(await asyncio.to_thread(_series_json, name, rank, window), media_type="application/json")

    @routes.get("/runs/{key}/logs")
    async def log_list(key: str) -> LogList:
        record = await service.record(key)
        return {"logs": await asyncio.to_thread(logs.listing, record.folder), "complete": record.status.terminal}

    @routes.get("/runs/{key}/log")
    async def log(
        key: str,
        name: str = logs.FIRST,
        offset: int = 0,
        limit: int = Query(1 << 20, ge=1, le=8 << 20),
        wait: float = 0,
    ) -> Annotated[Response, bytes]:
        """Bytes of a log from `offset` on (negative: from its end); waits up to `wait` seconds for the first new one."""
        record = await service.record(key)
        chunk = await logs.read(record, name, offset, limit, min(wait, LONGEST_WAIT))
        headers = {
            "X-Offset": str(chunk.offset),
            "X-Next-Offset": str(chunk.next),
            "X-Complete": str(int(chunk.complete)),
        }
        return Response(chunk.data, media_type="application/octet-stream", headers=headers)

    @routes.get("/runs/{key}/files")
    async def files(key: str) -> FileList:
        record = await service.record(key)
        return {"files": await asyncio.to_thread(logs.files, record.folder)}

    @routes.get("/runs/{key}/file")
    async def file(key: str, path: str) -> Annotated[Response, bytes]:
        record = await service.record(key)
        found = await asyncio.to_thread(logs.resolve, record.folder, path)
        if found is None:
            there = [f["path"] for f in await asyncio.to_thread(logs.files, record.folder)]
            raise PathNotFound.of(path, there)
        media = mimetypes.guess_type(found.name)[0] or "application/octet-stream"
        return FileResponse(found, media_type=media, headers={"X-Content-Type-Options": "nosniff"})

    @routes.get("/runs/{key}/snapshot")
    async def snapshot_files(key: str) -> Annotated[Response, bytes]:
        """The files that the run got, as a zip archive."""
        record = await service.record(key)
        archive = await asyncio.to_thread(snapshot.pack, record.folder, service.layout.blobs)
        return FileResponse(archive, media_type="application/zip", background=BackgroundTask(archive.unlink))

    @routes.get("/runs/{key}/inspect")
    async def inspect(key: str, path: str) -> Inspection:
        """What a file or folder of the run's outputs is: format, framework, signature; read, never run."""
        record = await service.record(key)
        return await service.publication.tracking.inspect(record.folder, path)

    return routes


def _series_json(name: str, rank: int, window: Window) -> str:
    taken = window.points
    answer: SeriesWindow = {
        "name": name,
        "rank": rank,
        "total": window.total,
        "steps": taken["step"].tolist(),
        "times": taken["time"].tolist(),
        "values": taken["value"].tolist(),
    }
    return json.dumps(plain(answer))
