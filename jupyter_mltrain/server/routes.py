"""The door's routes: REST for questions and commands, one WebSocket per page for live data; and, for anybody, the files of
the widget's front end, which hold nothing but our own scripts."""

from __future__ import annotations

import contextlib
import json
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httpx
from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web

from jupyter_mltrain.core.door import passes, starts_service, takes, visible
from jupyter_mltrain.errors import MLTrainError, NotFoundError, ServiceUnavailable, UsageError
from jupyter_mltrain.server.live import LiveSocket
from jupyter_mltrain.server.services import Services, error_of
from jupyter_mltrain.widgets import front_end

_MOST_BODY = 1 << 20
_COMMAND = httpx.Timeout(600.0, connect=5.0)
"""A command may build an environment first, or wait for processes to end."""
_RAW = frozenset({"log", "file"})
_RAW_HEADERS = frozenset({"content-type", "content-length", "content-range", "accept-ranges", "etag"})


def add_routes(app: web.Application) -> None:
    """Add the routes under `<base_url>mltrain/`."""
    base = app.settings["base_url"]
    services = app.settings.setdefault("mltrain_services", Services())

    def at(*parts: str) -> str:
        return url_path_join(base, "mltrain", *parts)

    static: list[Any] = []
    if front_end.built():
        # A page's module cannot show credentials when it imports another. A kernel of another version gets no file here.
        static = [(at("static", front_end.version(), "(.*)"), ScriptHandler)]
    app.add_handlers(
        ".*$",
        [
            *static,
            (at("live"), LiveSocket, {"services": services}),
            (at("workspaces"), WorkspacesHandler, {"services": services}),
            (at("workspaces", r"([^/]+)", "open"), OpenHandler, {"services": services}),
            (at("workspaces", r"([^/]+)", r"(.+)"), DoorHandler, {"services": services}),
        ],
    )


class ScriptHandler(JupyterHandler):
    """`GET mltrain/static/VERSION/NAME`: a script of the widget's front end, for anybody."""

    @allow_unauthenticated
    async def get(self, name: str) -> None:
        if name not in front_end.SERVED:
            raise web.HTTPError(404)
        self.set_header("Content-Type", "text/javascript; charset=utf-8")
        self.set_header("Cache-Control", "public, max-age=31536000, immutable")
        self.finish(front_end.read(name))


def _json(body: bytes) -> Any:
    """What the body says; None where it is no JSON, which the service refuses itself."""
    with contextlib.suppress(ValueError):
        return json.loads(body)
    return None


class _Handler(APIHandler):
    auth_resource = "mltrain"

    def initialize(self, services: Services) -> None:
        self.services = services

    def skip_check_origin(self) -> bool:
        """A token does not excuse a foreign origin."""
        return False

    def refuse(self, error: MLTrainError) -> None:
        self.set_status(error.http_status)
        self.finish(json.dumps({"error": error.to_wire()}))


class WorkspacesHandler(_Handler):
    """`GET mltrain/workspaces`: id and name of the user's workspaces."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.finish(json.dumps({"workspaces": self.services.listing()}))


class OpenHandler(_Handler):
    """`POST mltrain/workspaces/ID/open`: start the workspace's service, because somebody asked for it."""

    @web.authenticated
    @authorized
    async def post(self, workspace: str) -> None:
        try:
            await self.services.client(workspace, start=True)
        except MLTrainError as error:
            self.refuse(error)
        else:
            self.finish("{}")


class DoorHandler(_Handler):
    """`mltrain/workspaces/ID/…`: the service's own `/v1/…`, where the table lets it through."""

    @web.authenticated
    @authorized
    async def get(self, workspace: str, path: str) -> None:
        await self._pass("GET", workspace, path)

    @web.authenticated
    @authorized
    async def post(self, workspace: str, path: str) -> None:
        await self._pass("POST", workspace, path)

    @web.authenticated
    @authorized
    async def patch(self, workspace: str, path: str) -> None:
        await self._pass("PATCH", workspace, path)

    @web.authenticated
    @authorized
    async def delete(self, workspace: str, path: str) -> None:
        await self._pass("DELETE", workspace, path)

    async def _pass(self, method: str, workspace: str, path: str) -> None:
        try:
            if not passes(method, unquote(path)):
                raise NotFoundError(f"There is no {method} {path[:100]} here.")
            if len(self.request.body) > _MOST_BODY:
                raise UsageError("The request is too large.")
            if not takes(_json(self.request.body)):
                raise UsageError("A page names no file of this machine and no interpreter.", mend="Ask in Python.")
            client = await self.services.client(workspace, start=starts_service(method))
            request = client.build_request(
                method,
                f"/v1/{path}",
                params=self.request.query.encode(),
                content=self.request.body or (b"{}" if method != "GET" else None),
                headers={"Content-Type": "application/json", **self._range()},
                timeout=_COMMAND if method != "GET" else client.timeout,
            )
            response = await client.send(request, stream=True)
        except MLTrainError as error:
            self.refuse(error)
            return
        except httpx.HTTPError as error:
            self.refuse(ServiceUnavailable(f"The service does not answer: {type(error).__name__}."))
            return
        try:
            await self._answer(response, raw=path.rpartition("/")[2] in _RAW)
        finally:
            await response.aclose()

    def _range(self) -> dict[str, str]:
        given = self.request.headers.get("Range")
        return {"Range": given} if given else {}

    async def _answer(self, response: httpx.Response, *, raw: bool) -> None:
        self.set_status(response.status_code)
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            await response.aread()
            self.finish(json.dumps({"error": error_of(response)}))
            return
        if not raw:
            body = await response.aread()
            self.finish(json.dumps(visible(json.loads(body))))
            return
        # A run's file is shown as data, never as a page of this server: it may hold a script.
        self.set_header(
            "Content-Security-Policy", "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:"
        )
        self.set_header("X-Content-Type-Options", "nosniff")
        for name, value in response.headers.items():
            if name.startswith("x-") or name in _RAW_HEADERS:
                self.set_header(name, value)
        async for chunk in response.aiter_raw(1 << 16):
            self.write(chunk)
            await self.flush()
        self.finish(set_content_type=response.headers.get("content-type", "application/octet-stream"))
