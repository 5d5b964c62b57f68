"""Routes about registered models."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_mltrain.core.wire import FileList
from jupyter_mltrain.core.wire_catalog import Empty
from jupyter_mltrain.core.wire_models import ModelList, ModelPath, ModelVersion, NewestModel
from jupyter_mltrain.service import logs
from jupyter_mltrain.service.openapi import Router
from jupyter_mltrain.service.publication import register_model, registration
from jupyter_mltrain.service.wire import ModelChanges, ModelRequest, plain

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service


def router(service: Service) -> Router:  # noqa: C901 - a list of small routes
    routes = Router(prefix="/v1")

    @routes.post("/runs/{key}/models", status_code=201)
    async def register(key: str, request: ModelRequest) -> ModelVersion:
        return plain(await register_model(service, await service.record(key), request))

    @routes.get("/models")
    async def models() -> ModelList:
        return plain({"models": await service.publication.tracking.models()})

    @routes.get("/models/{name}")
    async def newest(name: str) -> NewestModel:
        """The newest version, with all versions of the name."""
        versions = await service.publication.tracking.versions(name)
        return plain({**versions[-1], "versions": versions})

    @routes.get("/models/{name}/{version}")
    async def version(name: str, version: int) -> ModelVersion:
        return plain(await service.publication.tracking.get(name, version))

    @routes.get("/models/{name}/{version}/path")
    async def model_path(name: str, version: int) -> ModelPath:
        """Where the files lie on this machine: for processes of this user, over this socket only."""
        return {"path": str(await service.publication.tracking.path(name, version))}

    @routes.get("/models/{name}/{version}/files")
    async def model_files(name: str, version: int) -> FileList:
        """Names and sizes of a version's files."""
        return {
            "files": await asyncio.to_thread(logs.files_below, await service.publication.tracking.path(name, version))
        }

    @routes.post("/models", status_code=201)
    async def register_files(request: ModelRequest) -> ModelVersion:
        """Register files of this machine that no run made: for processes of this user, over this socket only."""
        source = Path(request.path)
        given = replace(registration(request), path=source.name)
        return plain(await service.publication.tracking.register_files(given, source))

    @routes.patch("/models/{name}/{version}")
    async def change(name: str, version: int, request: ModelChanges) -> ModelVersion:
        return plain(await service.publication.tracking.change(name, version, **request.model_dump()))

    @routes.delete("/models/{name}/{version}")
    async def delete(name: str, version: int) -> Empty:
        await service.publication.tracking.delete(name, version)
        for row in await service.store.call(service.store.having_model, name, version):
            record = await service.record(row)
            record.doc["models"] = [m for m in record.doc["models"] if (m["name"], m["version"]) != (name, version)]
            await record.save()
        return {}

    return routes
