"""Routes about endpoints: deploy, look, ask, change, end. Keys pass over this socket only, never through the door."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from fastapi.responses import Response

from jupyter_mltrain.core import wire_endpoints as wire
from jupyter_mltrain.core.wire_catalog import Empty
from jupyter_mltrain.service import trying
from jupyter_mltrain.service.endpoint_keys import new_key, read_keys, write_keys
from jupyter_mltrain.service.openapi import Router
from jupyter_mltrain.service.wire import LONGEST_WAIT, Nothing, plain
from jupyter_mltrain.service.wire_endpoints import (
    EndpointChanges,
    EndpointRequest,
    KeyRequest,
    ModelDeployment,
    OutputSmokeRequest,
    SmokeRequest,
    TestRequest,
)

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service


def router(service: Service) -> Router:  # noqa: C901 - a list of small routes
    routes = Router(prefix="/v1")

    def state(held: Any) -> wire.Endpoint:
        return plain(service.endpoints.state(held))

    @routes.get("/endpoints")
    async def endpoints() -> wire.EndpointList:
        return {"endpoints": [state(held) for held in service.endpoints.all()]}

    @routes.post("/endpoints", status_code=201)
    async def deploy(request: EndpointRequest) -> wire.Endpoint:
        """Record it and begin to bring it up; `GET` with `after` and `wait` follows."""
        return state(await service.endpoints.deploy(request))

    @routes.post("/endpoints/plan")
    async def plan(request: EndpointRequest) -> wire.EndpointPlan:
        """What `POST /v1/endpoints` would do. Changes nothing."""
        return plain(await trying.plan(service, request))

    @routes.get("/endpoints/{name}")
    async def endpoint(name: str, after: int | None = None, wait: float = 0) -> wire.Endpoint:
        held = service.endpoints.get(name)
        if after is not None:
            await held.wait(after, min(wait, LONGEST_WAIT))
        return state(service.endpoints.get(name))

    @routes.patch("/endpoints/{name}")
    async def change(name: str, changes: EndpointChanges) -> wire.Endpoint:
        return state(await service.endpoints.change(name, changes))

    @routes.post("/endpoints/{name}/reload")
    async def reload(name: str, _: Nothing) -> wire.Endpoint:
        """A new process with the source folder's present files."""
        return state(await service.endpoints.reload(name))

    @routes.delete("/endpoints/{name}")
    async def delete(name: str) -> Empty:
        """Answers when its processes are gone."""
        await service.endpoints.delete(name)
        return {}

    @routes.get("/endpoints/{name}/log")
    async def log(
        name: str, offset: int = 0, limit: int = 1 << 20, wait: float = 0, build: bool = False
    ) -> Annotated[Response, bytes]:
        """The endpoint's log from `offset` (negative: from its end), or, with `build`, its environment's."""
        place = service.endpoints.get(name).place
        path = place.build_log if build else place.log
        data, start = await trying.read_log(path, offset, min(limit, 1 << 22), min(wait, LONGEST_WAIT))
        headers = {"X-Offset": str(start), "X-Next-Offset": str(start + len(data)), "X-Complete": "0"}
        return Response(data, media_type="application/octet-stream", headers=headers)

    @routes.get("/endpoints/{name}/keys")
    async def keys(name: str) -> wire.EndpointKeys:
        found = await asyncio.to_thread(read_keys, service.endpoints.get(name).place)
        return {"primary": found["primary"], "secondary": found["secondary"]}

    @routes.post("/endpoints/{name}/keys")
    async def new_keys(name: str, request: KeyRequest) -> wire.EndpointKeys:
        """Replace one of the two; the old one is refused from now on."""
        place = service.endpoints.get(name).place
        found = await asyncio.to_thread(read_keys, place)
        found[request.key] = request.value or new_key()
        await asyncio.to_thread(write_keys, place, found)
        await asyncio.to_thread(service.endpoints.deployer.tell_keys, place.folder)
        return {"primary": found["primary"], "secondary": found["secondary"]}

    @routes.get("/endpoints/{name}/latency")
    async def latency(name: str) -> wire.EndpointLatency:
        held = service.endpoints.get(name)
        return await asyncio.to_thread(service.endpoints.deployer.summary, held.place.folder)

    @routes.post("/endpoints/{name}/test")
    async def test(name: str, request: TestRequest) -> wire.EndpointAnswer:
        """Pass a request on to the endpoint, with its key."""
        return plain(await trying.ask(service.endpoints.get(name), request))

    @routes.post("/models/{name}/{version}/deploy", status_code=201)
    async def deploy_model(name: str, version: int, request: ModelDeployment) -> wire.Endpoint:
        """`POST /v1/endpoints` for one model without a script: names alone, so that a browser may ask for it."""
        return state(await service.endpoints.deploy(request.of(name, version)))

    @routes.post("/models/{name}/{version}/deployment-plan")
    async def plan_model(name: str, version: int, request: ModelDeployment) -> wire.EndpointPlan:
        """What that would do. Changes nothing."""
        return plain(await trying.plan(service, request.of(name, version)))

    @routes.post("/runs/{key}/smoke")
    async def smoke_output(key: str, request: OutputSmokeRequest) -> wire.SmokePrediction:
        """The same as for a registered version, with a path of a run's outputs."""
        return plain(await service.working(trying.smoke_output(service, key, request)))

    @routes.post("/models/{name}/{version}/smoke")
    async def smoke(name: str, version: int, request: SmokeRequest) -> wire.SmokePrediction:
        """One prediction in a process of its own: no network, bounded time and memory. Takes seconds."""
        return plain(await service.working(trying.smoke(service, name, version, request)))

    return routes
