"""Routes about what a workspace has beside runs: models, datasets, targets; and the doctor."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, cast

from jupyter_mltrain.core import wire_catalog as catalog
from jupyter_mltrain.core.compute import Compute
from jupyter_mltrain.core.wire import ModelList, ModelPath, ModelVersion, NewestModel
from jupyter_mltrain.service.doctor import examine
from jupyter_mltrain.service.openapi import Router
from jupyter_mltrain.service.publication import register_model
from jupyter_mltrain.service.wire import ModelRequest, plain

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service


def router(service: Service) -> Router:
    routes = Router(prefix="/v1")

    @routes.get("/targets")
    async def targets() -> catalog.TargetList:
        return {"targets": [await _target(name, compute) for name, compute in service.targets.items()]}

    @routes.get("/doctor")
    async def doctor() -> catalog.Doctor:
        return await examine(service)

    return routes


async def _target(name: str, compute: Compute) -> catalog.Target:
    return {
        "name": name,
        "kind": compute.name,
        "capabilities": cast("catalog.Capabilities", dataclasses.asdict(compute.capabilities)),
        "capacity": cast("catalog.Capacity", dataclasses.asdict(await compute.capacity())),
        "health": cast("catalog.Health", dataclasses.asdict(await compute.check())),
    }
