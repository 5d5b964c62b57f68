"""Routes about environments: what there is, what a definition comes to, builds and their logs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

from fastapi.responses import Response

from jupyter_mltrain.core import wire_catalog as catalog
from jupyter_mltrain.core.environment import CURRENT, EnvironmentDefinition
from jupyter_mltrain.environments import remove_unused
from jupyter_mltrain.environments.dockerfile import beside, dockerfile
from jupyter_mltrain.service.building import Builds
from jupyter_mltrain.service.openapi import Router
from jupyter_mltrain.service.wire_environments import BuildRequest, EnvironmentRequest, PruneRequest

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service


def router(service: Service) -> Router:  # noqa: C901 - a list of small routes
    routes = Router(prefix="/v1")
    builds = Builds(service)

    @routes.get("/environments")
    async def environments(curated: bool | None = None) -> catalog.EnvironmentList:
        """The newest version of each; with `curated` only those that are there without being defined, or only others."""

        def read() -> list[catalog.Environment]:
            found = service.environments.store.list()
            return [_environment(service, d) for d in found if curated is None or d.curated is curated]

        return {"environments": await asyncio.to_thread(read)}

    @routes.post("/environments", status_code=201)
    async def add(request: EnvironmentRequest) -> catalog.EnvironmentDefinition:
        """Store a definition as a version, and resolve it."""
        return await builds.register(request.definition())

    @routes.post("/environments/preview")
    async def preview(request: EnvironmentRequest) -> catalog.EnvironmentPreview:
        """What a definition would come to; stores nothing."""
        return await builds.preview(request.definition())

    @routes.post("/environments/prune")
    async def prune(request: PruneRequest) -> catalog.PrunedEnvironments:
        """Remove from the user's cache what was built and is not used, for whichever workspace; it is built again when it
        is next needed. What runs, and what a live run of this workspace waits for, stays."""
        live = [await service.record(run_id) for run_id in await service.store.call(service.store.live)]
        keep = [key for record in live if (key := record.doc["environment"].get("key"))]
        removed = await asyncio.to_thread(remove_unused, keep, request.unused_days * 86400.0)
        return {
            "removed": [{"name": one.name, "key": one.key, "bytes": one.bytes} for one in removed],
            "bytes": sum(one.bytes for one in removed),
        }

    @routes.get("/environments/{name}")
    async def environment(name: str) -> catalog.Environment:
        return await asyncio.to_thread(lambda: _environment(service, service.environments.store.get(name)))

    @routes.delete("/environments/{name}")
    async def remove(name: str) -> catalog.RemovedEnvironments:
        """Forget a version (`NAME:VERSION`) or all of a name. Runs keep their own record of it."""
        removed = await asyncio.to_thread(service.environments.store.remove, name)
        return {"removed": [f"{one.name}:{one.version}" for one in removed]}

    @routes.get("/environments/{name}/dockerfile")
    async def dockerfile_text(name: str) -> catalog.Dockerfile:
        """What an image with the same packages is made of."""

        def read() -> catalog.Dockerfile:
            store = service.environments.store
            definition = store.get(name)
            lock = service.environments.lock(definition)
            return {"dockerfile": dockerfile(definition, lock, store.table), "files": beside(lock)}

        return await asyncio.to_thread(read)

    @routes.post("/environments/{name}/build", status_code=202)
    async def build(name: str, request: BuildRequest) -> catalog.Build:
        """Start building it, unless that is under way; the log tells the rest."""
        return await builds.start(name, gpu=bool(request.gpus))

    @routes.get("/environments/{name}/build")
    async def build_state(name: str) -> catalog.Build:
        return builds.state(name)

    @routes.get("/environments/{name}/log")
    async def build_log(name: str, offset: int = 0, wait: float = 0) -> Annotated[Response, bytes]:
        data, complete = await builds.log(name, offset, min(wait, 30.0))
        headers = {"X-Offset": str(offset), "X-Next-Offset": str(offset + len(data)), "X-Complete": str(int(complete))}
        return Response(data, media_type="application/octet-stream", headers=headers)

    return routes


def _environment(service: Service, definition: EnvironmentDefinition) -> catalog.Environment:
    versions = service.environments.store.versions(definition.name)
    if definition.user_managed or definition.name == CURRENT:
        return {**definition.to_json(), "versions": versions, "state": "", "key": "", "packages": []}
    state = service.environments.state_of(definition)
    return {
        **definition.to_json(),
        "versions": versions,
        "state": state.state,
        "key": state.key,
        "packages": list(state.packages),
    }
