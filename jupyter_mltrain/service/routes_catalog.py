"""Routes about what a workspace has beside runs: models, environments, datasets, targets; and the doctor."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Annotated, cast

from fastapi.responses import Response

from jupyter_mltrain.core import wire_catalog as catalog
from jupyter_mltrain.core.compute import Compute
from jupyter_mltrain.core.dataset import DatasetDefinition
from jupyter_mltrain.core.environment import EnvironmentDefinition
from jupyter_mltrain.core.wire import ModelList, ModelPath, ModelVersion, NewestModel
from jupyter_mltrain.service.building import Builds
from jupyter_mltrain.service.doctor import examine
from jupyter_mltrain.service.openapi import Router
from jupyter_mltrain.service.publication import register_model
from jupyter_mltrain.service.wire import BuildRequest, EnvironmentRequest, ModelRequest, Nothing, plain

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service


def router(service: Service) -> Router:  # noqa: C901 - a list of small routes
    routes = Router(prefix="/v1")
    builds = Builds(service)

    @routes.post("/runs/{key}/models", status_code=201)
    async def register(key: str, request: ModelRequest) -> ModelVersion:
        return plain(await register_model(service, await service.record(key), request.model_dump()))

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

    @routes.get("/environments")
    async def environments() -> catalog.EnvironmentList:
        def read() -> list[catalog.Environment]:
            return [_environment(service, d) for d in service.environments.store.list()]

        return {"environments": await asyncio.to_thread(read)}

    @routes.post("/environments", status_code=201)
    async def add_environment(request: EnvironmentRequest) -> catalog.EnvironmentDefinition:
        """Store a definition as a version, and resolve it."""
        definition = EnvironmentDefinition(
            name=request.name,
            python=request.python,
            pip=tuple(request.pip),
            constraints=tuple(request.constraints),
            environment_variables=request.environment_variables,
            interpreter=request.interpreter,
            description=request.description,
        )
        return await builds.register(definition)

    @routes.get("/environments/{name}")
    async def environment(name: str) -> catalog.Environment:
        return await asyncio.to_thread(lambda: _environment(service, service.environments.store.get(name)))

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

    @routes.get("/datasets")
    async def datasets() -> catalog.DatasetList:
        return {"datasets": await asyncio.to_thread(lambda: [_dataset(service, d) for d in service.datasets.list()])}

    @routes.post("/datasets/{name}/fetch")
    async def fetch(name: str, _: Nothing) -> catalog.FetchedDataset:
        """Fetch it now; answers when it is there."""
        definition = service.datasets.resolve(name)
        fetched = await service.working(asyncio.to_thread(service.datasets.fetch, definition))
        return {
            **_dataset(service, definition),
            "path": str(fetched.path),
            "source": fetched.source,
            "seconds": fetched.seconds,
            "bytes": fetched.bytes,
        }

    @routes.get("/targets")
    async def targets() -> catalog.TargetList:
        return {"targets": [await _target(name, compute) for name, compute in service.targets.items()]}

    @routes.get("/doctor")
    async def doctor() -> catalog.Doctor:
        return await examine(service)

    return routes


def _environment(service: Service, definition: EnvironmentDefinition) -> catalog.Environment:
    if definition.user_managed or definition.name == "current":
        return {**definition.to_json(), "state": "", "key": "", "packages": []}
    state = service.environments.state(
        f"{definition.name}:{definition.version}" if definition.version else definition.name
    )
    return {**definition.to_json(), "state": state.state, "key": state.key, "packages": list(state.packages)}


async def _target(name: str, compute: Compute) -> catalog.Target:
    return {
        "name": name,
        "kind": compute.name,
        "capabilities": cast("catalog.Capabilities", dataclasses.asdict(compute.capabilities)),
        "capacity": cast("catalog.Capacity", dataclasses.asdict(await compute.capacity())),
        "health": cast("catalog.Health", dataclasses.asdict(await compute.check())),
    }


def _dataset(service: Service, definition: DatasetDefinition) -> catalog.Dataset:
    cached = service.datasets.cached(definition)
    return {
        "name": definition.name,
        "version": definition.version,
        "description": definition.description,
        "key": definition.key,
        "files": [file.name for file in definition.files],
        "cached": cached is not None,
        "path": str(cached) if cached else None,
    }
