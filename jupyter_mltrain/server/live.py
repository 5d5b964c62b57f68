"""One WebSocket per page: states and logs of the runs it shows, as they change.

A browser allows six connections to a host, so that everything live shares one. Messages are JSON texts.

    page → door   {"op": "watch", "id", "workspace", "run", "after"?: revision}       states from there on
                  {"op": "log", "id", "workspace", "run", "name", "offset"}           bytes of a log from there on
                  {"op": "stop", "id"}
    door → page   {"id", "type": "state", "state"}
                  {"id", "type": "log", "offset", "next", "data": base64, "complete"} offset beyond what was asked: skipped
                  {"id", "type": "offline", "reason"}      no service runs; said once, and `state` follows when one does
                  {"id", "type": "error", "error"}         the subscription has ended
                  {"type": "alive"}                        every 10 s

A page that reads slowly gets the newest state when it is ready for one: nothing is queued for it.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import httpx
from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado import web
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from jupyter_mltrain.core.door import visible
from jupyter_mltrain.errors import MLTrainError, ServiceUnavailable, UsageError
from jupyter_mltrain.server.services import Services, error_of

ALIVE_SECONDS = 10.0
_MOST_SUBSCRIPTIONS = 500
_STATE_PAUSE = 0.1
_OFFLINE_PAUSE = 2.0
_LONG_POLL = 25
_LOG_CHUNK = 128 << 10
_LOG_BEHIND = 1 << 20
_TERMINAL = frozenset({"Completed", "Failed", "Canceled"})


class LiveSocket(WebSocketMixin, WebSocketHandler, JupyterHandler):  # pyright: ignore[reportIncompatibleMethodOverride] - Jupyter's own mix
    """See the module. Needs credentials and, from a page, the server's own origin."""

    auth_resource = "mltrain"

    def initialize(self, services: Services) -> None:
        self.page = Page(services, self.write_message)

    def set_default_headers(self) -> None:
        """A WebSocket has none."""

    def skip_check_origin(self) -> bool:
        """A token does not excuse a foreign origin."""
        return False

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        allowed = await ensure_async(self.authorizer.is_authorized(self, self.current_user, "execute", "mltrain"))
        if not allowed:
            raise web.HTTPError(403)
        await super().get(*args, **kwargs)

    def open(self, *args: Any, **kwargs: Any) -> None:
        super().open(*args, **kwargs)
        self.page.open()

    def on_message(self, message: str | bytes) -> None:
        try:
            self.page.ask(json.loads(message))
        except (ValueError, KeyError, TypeError, MLTrainError):
            self.close(1003, "not understood")

    def on_close(self) -> None:
        super().on_close()
        self.page.close()


class Page:
    """The subscriptions of one page. `write` sends a text; its future is done when the page has taken it."""

    def __init__(self, services: Services, write: Callable[[str], Awaitable[None]]) -> None:
        self._services = services
        self._write = write
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._alive: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._alive = asyncio.create_task(self._keep_alive())

    def close(self) -> None:
        for task in [*self._tasks.values(), *([self._alive] if self._alive else [])]:
            task.cancel()

    def ask(self, request: dict[str, Any]) -> None:
        """Do what the page asks for. Raises `KeyError` or `TypeError` for what is no request, `UsageError` for too many."""
        op, key = request["op"], str(request["id"])
        if op == "stop":
            self._stop(key)
            return
        work = {"watch": self._watch, "log": self._follow_log}[op]
        if len(self._tasks) >= _MOST_SUBSCRIPTIONS:
            raise UsageError(f"At most {_MOST_SUBSCRIPTIONS} subscriptions to a page.")
        self._stop(key)
        task = asyncio.create_task(self._guarded(key, work(key, request)))
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._tasks.pop(key, None) if self._tasks.get(key) is done else None)

    def _stop(self, key: str) -> None:
        task = self._tasks.pop(key, None)
        if task is not None:
            task.cancel()

    async def _guarded(self, key: str, work: Any) -> None:
        try:
            await work
        except MLTrainError as error:
            with suppress(WebSocketClosedError):
                await self._send({"id": key, "type": "error", "error": error.to_wire()})
        except WebSocketClosedError:
            return

    async def _watch(self, key: str, request: dict[str, Any]) -> None:
        after = request.get("after")
        offline = False
        while True:
            params = {"after": after, "wait": _LONG_POLL} if after is not None else {}
            response = await self._ask(request, "", params)
            if response is None:
                if not offline:
                    await self._send({"id": key, "type": "offline", "reason": "no service is running"})
                offline = True
                await asyncio.sleep(_OFFLINE_PAUSE)
                continue
            offline = False
            state = visible(response.json())
            if state["revision"] != after:
                after = state["revision"]
                # Waits until the page has taken it: the next question asks for what is newest then.
                await self._send({"id": key, "type": "state", "state": state})
            await asyncio.sleep(_STATE_PAUSE)

    async def _follow_log(self, key: str, request: dict[str, Any]) -> None:
        offset = int(request.get("offset", 0))
        while True:
            params = {"name": request["name"], "offset": offset, "limit": _LOG_CHUNK, "wait": _LONG_POLL}
            response = await self._ask(request, "/log", params)
            if response is None:
                await asyncio.sleep(_OFFLINE_PAUSE)
                continue
            headers = response.headers
            start, offset = int(headers["x-offset"]), int(headers["x-next-offset"])
            complete = headers["x-complete"] == "1"
            if response.content or complete:
                data = base64.b64encode(response.content).decode()
                await self._send(
                    {"id": key, "type": "log", "offset": start, "next": offset, "data": data, "complete": complete}
                )
            if complete:
                return
            if len(response.content) == _LOG_CHUNK:
                offset = await self._skip(request, offset)

    async def _skip(self, request: dict[str, Any], offset: int) -> int:
        """Where to go on in a log that grows faster than the page reads: near its end, at a whole chunk."""
        response = await self._ask(request, "/logs", {})
        sizes = {entry["name"]: entry["size"] for entry in response.json()["logs"]} if response else {}
        size = sizes.get(request["name"], offset)
        return size - _LOG_CHUNK if size - offset > _LOG_BEHIND else offset

    async def _ask(self, request: dict[str, Any], path: str, params: dict[str, Any]) -> httpx.Response | None:
        """The service's answer about the request's run, None while no service runs. Never starts one."""
        try:
            client = await self._services.client(str(request["workspace"]), start=False)
            url = httpx.URL(path=f"/v1/runs/{str(request['run']).replace('/', '%2F')}{path}")
            response = await client.get(url, params=params)
        except (ServiceUnavailable, httpx.TransportError):
            return None
        if response.status_code == 503:
            return None
        if response.status_code >= 400:
            await self._send({"id": str(request["id"]), "type": "error", "error": error_of(response)})
            raise WebSocketClosedError
        return response

    async def _keep_alive(self) -> None:
        # Within any proxy's idle time; the page notices a dead connection by its absence.
        with suppress(WebSocketClosedError):
            while True:
                await asyncio.sleep(ALIVE_SECONDS)
                await self._send({"type": "alive"})

    async def _send(self, message: dict[str, Any]) -> None:
        await self._write(json.dumps(message))
