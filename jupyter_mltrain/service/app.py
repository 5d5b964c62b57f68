"""The service's HTTP face: error mapping, the protocol greeting, and the routers. Listens on a Unix socket, mode 0600."""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
import traceback
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from jupyter_mltrain._version import PROTOCOL, __version__
from jupyter_mltrain.core.wire_catalog import Empty, Hello
from jupyter_mltrain.errors import DiskFull, MLTrainError, ServiceUnavailable, UsageError
from jupyter_mltrain.service import (
    routes_data,
    routes_doctor,
    routes_endpoints,
    routes_environments,
    routes_models,
    routes_records,
    routes_runs,
    routes_targets,
)
from jupyter_mltrain.service.openapi import Router, describe
from jupyter_mltrain.service.wire import Nothing

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service


def create_app(service: Service) -> FastAPI:
    """The routes of one workspace's service."""
    app = FastAPI(title="jupyter_mltrain service", version=__version__, docs_url=None, redoc_url=None)
    app.state.service = service
    app.openapi = lambda: describe(app)
    app.include_router(routes_runs.router(service))
    app.include_router(routes_records.router(service))
    app.include_router(routes_doctor.router(service))
    app.include_router(routes_data.router(service))
    app.include_router(routes_endpoints.router(service))
    app.include_router(routes_environments.router(service))
    app.include_router(routes_models.router(service))
    app.include_router(routes_targets.router(service))
    app.include_router(_about(service))

    @app.middleware("http")
    async def note_activity(request: Request, call_next: Any) -> Response:
        if not service.accepting:
            return _answer(ServiceUnavailable("The service is ending.", mend="Try again: a new one is started."))
        service.touch()
        response: Response = await call_next(request)
        service.touch()
        return response

    @app.exception_handler(MLTrainError)
    async def refused(_: Request, error: MLTrainError) -> Response:
        return _answer(error)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return _answer(UsageError(f"{where}: {first['msg']}."))

    @app.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> Response:
        full = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
        if full or (isinstance(error, sqlite3.OperationalError) and "full" in str(error)):
            return _answer(
                DiskFull(f"The disk of the workspace is full: {error}.", mend="Free some space, then try again.")
            )
        traceback.print_exception(error)
        bug = MLTrainError(
            f"A bug in jupyter_mltrain's service: {type(error).__name__}: {error}", mend="Its log has the traceback."
        )
        return _answer(bug, 500)

    return app


def _about(service: Service) -> Router:
    """Routes about the service itself."""
    routes = Router(prefix="/v1")

    @routes.get("/hello")
    async def hello() -> Hello:
        return {
            "version": __version__,
            "protocol": PROTOCOL,
            "workspace": {"id": service.config.id, "name": service.config.name, "root": str(service.layout.root)},
            "pid": os.getpid(),
            "python": sys.executable,
            "started": service.started,
        }

    @routes.post("/handover", status_code=202)
    async def handover(_: Nothing) -> Empty:
        """Make room for a newer service: live runs go on, and are taken up by it."""
        service.end()
        return {}

    return routes


def _answer(error: MLTrainError, status: int | None = None) -> JSONResponse:
    return JSONResponse({"error": error.to_wire()}, status_code=status or error.http_status)
