"""The door for pages that reach no server of ours (VS Code, Colab): its requests come over a widget's comm, and the kernel
answers them. What passes is the Jupyter server's own table (`core.door`); one workspace, the widget's.

    page → kernel  {"op": "request", "key", "method", "path", "body"?: JSON text, "range"?}   path as below `<base>/mltrain/`
                   {"op": "log", "key", "run", "name", "offset"}      bytes of a log from there on
                   {"op": "watch", "key", "run"}                      states of the run, the newest at once
                   {"op": "file", "key", "name"}                      a file of the front end
                   {"op": "stop", "key"}
    kernel → page  {"key", "type": "taken"}                           heard: the kernel is not busy
                   {"key", "type": "answer", "status", "headers"} + body
                   {"key", "type": "log", "offset", "next", "complete"} + bytes
                   {"key", "type": "file"} + bytes
                   {"key", "type": "error", "error"}                  of a log, a file or a watch; it has ended
                   {"type": "state", "run", "state"}                  to all pages, also without being asked

All pages that show the widget hear all of it; `key` tells a page which is its own. It is not called `id`: ipykernel 7.4
takes an `id` for one of its own and keeps it for good.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from jupyter_mltrain.core.door import passes, takes, visible
from jupyter_mltrain.core.ids import new_run_id
from jupyter_mltrain.errors import MLTrainError, NotFoundError, UsageError, WorkspaceNotFound
from jupyter_mltrain.widgets import front_end
from jupyter_mltrain.widgets.live_output import RunLike

Tell = Callable[[dict[str, Any], list[bytes]], None]
Watch = Callable[[str], None]

PIECE = 1 << 20
"""Most bytes of a log or a file in one answer; a page asks for the next when it has this one."""
_MOST_JSON = 8 << 20
_MOST_BODY = 1 << 20
_AT_ONCE = 16
_MOST_LOGS = 4
_MOST_RUNS = 20
_LOG_CHUNK = 128 << 10
_LOG_BEHIND = 1 << 20
_LOG_PAUSE = 0.1
_LONG_POLL = 10
_TIMEOUT = 60.0
_LONG_TIMEOUT = 600.0
_LONG = frozenset({"models", "smoke", "deploy", "environments", "preview"})
"""Commands that copy a model, or may build an environment first."""
_RAW = frozenset({"log", "file"})
_RAW_HEADERS = frozenset({"content-type", "content-range", "x-offset", "x-next-offset", "x-complete"})
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class CommDoor:
    """Answers a page's messages, each in a thread of its own: a comm's handler must not hold up its shell. `tell` sends to
    all pages, from any thread; `watch` has the states of a further run sent from now on."""

    def __init__(self, run: RunLike, tell: Tell, watch: Watch) -> None:
        self._run, self._tell, self._watch = run, tell, watch
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        self._logs: dict[str, threading.Event] = {}
        self._runs = {run.id}

    def handle(self, message: Any) -> None:
        """Take a message and return at once. What is no message of ours is left alone."""
        if not isinstance(message, dict) or not isinstance(key := message.get("key"), str) or len(key) > 100:
            return
        op = str(message.get("op"))
        if op == "stop":
            self._stop(key)
            return
        work = {"request": self._request, "log": self._follow, "watch": self._look, "file": self._file}.get(op)
        if work is None:
            return
        self._tell({"key": key, "type": "taken"}, [])
        if op == "log":
            self._begin(key)
        elif not self._free.acquire(blocking=False):
            self._refuse(key, op, UsageError(f"More than {_AT_ONCE} requests at once.", mend="Try again."))
            return
        threading.Thread(target=self._guarded, args=(work, key, message), name="mltrain-page", daemon=True).start()

    def close(self) -> None:
        """The widget is gone: end what still runs."""
        for key in list(self._logs):
            self._stop(key)

    def _guarded(self, work: Callable[[str, dict[str, Any]], None], key: str, message: dict[str, Any]) -> None:
        op = message["op"]
        try:
            work(key, message)
        except MLTrainError as error:
            self._refuse(key, op, error)
        except (KeyError, TypeError, ValueError) as error:
            self._refuse(key, op, UsageError(f"The request was not understood ({type(error).__name__})."))
        finally:
            if op == "log":
                self._logs.pop(key, None)
            else:
                self._free.release()

    def _refuse(self, key: str, op: str, error: MLTrainError) -> None:
        if op == "request":
            self._answer(key, error.http_status, {"error": error.to_wire()})
        else:
            self._tell({"key": key, "type": "error", "error": error.to_wire()}, [])

    def _answer(self, key: str, status: int, answer: Any) -> None:
        body = json.dumps(visible(answer)).encode()
        if len(body) > _MOST_JSON:
            raise UsageError("The answer is too large for this page.", mend="Ask for it in Python.")
        self._send(key, status, {"content-type": "application/json"}, body)

    def _send(self, key: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self._tell({"key": key, "type": "answer", "status": status, "headers": dict(headers)}, [body])

    def _request(self, key: str, message: dict[str, Any]) -> None:
        method, (route, _, query) = str(message["method"]), str(message["path"]).partition("?")
        text = message.get("body") or "{}"
        if len(text) > _MOST_BODY:
            raise UsageError("The request is too large.")
        if (method, route) == ("GET", "workspaces"):
            place = self._run.workspace
            self._answer(key, 200, {"workspaces": [{"id": place.id, "name": place.name}]})
            return
        inside = re.fullmatch(r"workspaces/([^/]+)/(.+)", route)
        if inside is None:
            raise NotFoundError(f"There is no {method} {route[:100]} here.")
        self._own(unquote(inside[1]))
        path = inside[2]
        if (method, path) == ("POST", "open"):
            self._connection.get("/v1/hello")
            self._answer(key, 200, {})
        elif not passes(method, unquote(path)):
            raise NotFoundError(f"There is no {method} {path[:100]} here.")
        elif method == "GET":
            self._get(key, path, dict(parse_qsl(query)), str(message.get("range") or ""))
        else:
            body = json.loads(text)
            if not takes(body):
                raise UsageError("A page names no file of this machine and no interpreter.", mend="Ask in Python.")
            self._answer(key, 200, self._command(method, path, body))

    def _own(self, workspace: str) -> None:
        if workspace != self._run.workspace.id:
            raise WorkspaceNotFound(f"Workspace {workspace[:60]!r} is not that of this widget.")

    def _get(self, key: str, path: str, params: dict[str, str], span: str) -> None:
        # Waiting is for subscriptions; and the connection takes no such parameter from a page.
        params = {name: value for name, value in params.items() if name not in {"wait", "timeout", "byte_range"}}
        what = path.rpartition("/")[2]
        if what not in _RAW or "/" not in path:
            self._answer(key, 200, self._connection.get(f"/v1/{path}", timeout=_TIMEOUT, **params))
            return
        if what == "log":
            params["limit"] = str(min(int(params.get("limit", PIECE)), PIECE))
            body, headers = self._connection.bytes(f"/v1/{path}", timeout=_TIMEOUT, **params)
        else:
            body, headers = self._connection.bytes(f"/v1/{path}", timeout=_TIMEOUT, byte_range=_bounded(span), **params)
        status = 206 if "content-range" in headers else 200
        self._send(key, status, {k: v for k, v in headers.items() if k in _RAW_HEADERS}, body)

    def _command(self, method: str, path: str, body: dict[str, Any]) -> Any:
        if method == "PATCH":
            return self._connection.patch(f"/v1/{path}", body)
        if path.endswith("/rerun"):
            # The connection may send it twice; with an id it is one run.
            body = {"run_id": new_run_id(str(self._run.state["experiment"])), **body}
        if method == "DELETE":
            return self._connection.delete(f"/v1/{path}", timeout=_LONG_TIMEOUT)
        patience = _LONG_TIMEOUT if path.rpartition("/")[2] in _LONG else _TIMEOUT
        return self._connection.post(f"/v1/{path}", body, timeout=patience)

    def _look(self, _key: str, message: dict[str, Any]) -> None:
        state = self._connection.get(_run_path(message["run"]))
        run = str(state["id"])
        if run not in self._runs:
            if len(self._runs) > _MOST_RUNS:
                raise UsageError(
                    f"One widget follows at most {_MOST_RUNS} runs.", mend=f'`mltrain.run("{run}")` shows it.'
                )
            self._runs.add(run)
            self._watch(run)
        self._tell({"type": "state", "run": run, "state": visible(state)}, [])

    def _file(self, key: str, message: dict[str, Any]) -> None:
        self._tell({"key": key, "type": "file"}, [front_end.read(str(message["name"]))])

    def _begin(self, key: str) -> None:
        """A page that was left says no goodbye: the oldest log gives way."""
        for old in list(self._logs)[: max(0, len(self._logs) - _MOST_LOGS + 1)]:
            self._stop(old)
        self._logs[key] = threading.Event()

    def _stop(self, key: str) -> None:
        if ended := self._logs.pop(key, None):
            ended.set()

    def _follow(self, key: str, message: dict[str, Any]) -> None:
        path, name, offset = _run_path(message["run"]), str(message["name"]), int(message.get("offset", 0))
        ended = self._logs.get(key)
        while ended is not None and not ended.is_set():
            data, headers = self._connection.bytes(
                f"{path}/log", timeout=_TIMEOUT, name=name, offset=offset, limit=_LOG_CHUNK, wait=_LONG_POLL
            )
            start, offset = int(headers["x-offset"]), int(headers["x-next-offset"])
            complete = headers["x-complete"] == "1"
            if ended.is_set():
                return
            if data or complete:
                self._tell({"key": key, "type": "log", "offset": start, "next": offset, "complete": complete}, [data])
            if complete:
                return
            if len(data) == _LOG_CHUNK:
                offset = self._skipped(path, name, offset)
                # A comm has no way to say that a page is slow.
                ended.wait(_LOG_PAUSE)

    def _skipped(self, path: str, name: str, offset: int) -> int:
        """Where to go on in a log that grows faster than it is sent: near its end, at a whole chunk."""
        sizes = {entry["name"]: int(entry["size"]) for entry in self._connection.get(f"{path}/logs")["logs"]}
        size = sizes.get(name, offset)
        return size - _LOG_CHUNK if size - offset > _LOG_BEHIND else offset

    @property
    def _connection(self) -> Any:
        return self._run.workspace.connection


def _run_path(run: Any) -> str:
    """The route of a run. Raises `UsageError` for what is no run's name: it would leave its place."""
    if not isinstance(run, str) or "/" in run or not run.strip("."):
        raise UsageError("A run is named by its id.")
    return f"/v1/runs/{run}"


def _bounded(span: str) -> str:
    """The range of bytes, at most a piece of them."""
    found = _RANGE.fullmatch(span or "bytes=0-")
    if found is None:
        raise UsageError(f"{span[:60]!r} is no range of bytes.")
    start = int(found[1])
    last = start + PIECE - 1
    return f"bytes={start}-{min(int(found[2]), last) if found[2] else last}"
