"""The doctor's route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_mltrain.core import wire_catalog as catalog
from jupyter_mltrain.service.doctor import examine
from jupyter_mltrain.service.openapi import Router

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service


def router(service: Service) -> Router:
    routes = Router(prefix="/v1")

    @routes.get("/doctor")
    async def doctor() -> catalog.Doctor:
        return await examine(service)

    return routes
