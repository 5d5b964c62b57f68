"""A service with one run, which a test drives, and what stands around it in a kernel."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from jupyter_mltrain.errors import ConflictError, RunNotFound
from tests.unit.widgets.conftest import running_state

WORKSPACE = "2f1d8c8e-0b7e-4c9b-9a51-1f0c7a3e5d11"
ROUTE = f"workspaces/{WORKSPACE}"
LOG = b"".join(b"line %d\n" % i for i in range(100_000))


class Service:
    """The connection to a service with one run, which a test drives."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.state = running_state()
        self.asked: list[tuple[str, str, Any]] = []
        self.file = bytes(range(256)) * 10_000
        self.gate = threading.Event()
        self.gate.set()

    def advance(self, **changes: Any) -> None:
        with self.changed:
            self.state = {**self.state, **changes, "revision": self.state["revision"] + 1}
            self.changed.notify_all()

    def get(self, path: str, /, *, timeout: float = 30, **params: Any) -> Any:
        self.asked.append(("GET", path, params))
        if path.endswith("/series"):
            return {"name": params["name"], "total": 2, "steps": [0, 1], "times": [1.0, 2.0], "values": [1.0, 0.5]}
        if path.endswith("/logs"):
            return {"logs": [{"name": "user_logs/std_log.txt", "size": len(LOG)}]}
        if path.endswith(("/values", "/files", "/models")) or path == "/v1/hello":
            return {"root": "/home/ann/ws", "huge": "x" * (9 << 20)} if path.endswith("/values") else {"files": []}
        if path not in {f"/v1/runs/{self.state['id']}", "/v1/runs/again"}:
            raise RunNotFound.of(path)
        self.gate.wait(5)
        with self.changed:
            after = params.get("after")
            if after is not None:
                self.changed.wait_for(lambda: self.state["revision"] > after, min(params.get("wait") or 0, 0.05))
            return {**self.state, "id": path.rpartition("/")[2]}

    def post(self, path: str, /, body: Any = None, *, timeout: float = 60) -> Any:
        self.asked.append(("POST", path, body))
        if path.endswith("/cancel"):
            raise ConflictError("It has ended.")
        return {**self.state, "root": "/home/ann/ws"}

    def patch(self, path: str, /, body: Any, *, timeout: float = 30) -> Any:
        self.asked.append(("PATCH", path, body))
        return self.state

    def bytes(
        self, path: str, /, *, timeout: float = 60, byte_range: str | None = None, **params: Any
    ) -> tuple[bytes, dict[str, str]]:
        self.asked.append(("BYTES", path, {**params, "range": byte_range}))
        if path.endswith("/file"):
            start, last = (int(end) for end in str(byte_range).removeprefix("bytes=").split("-"))
            piece = self.file[start : last + 1]
            whole = f"bytes {start}-{start + len(piece) - 1}/{len(self.file)}"
            return piece, {"content-range": whole, "content-type": "image/png", "x-secret-path": "/home/ann"}
        offset, limit = int(params.get("offset", 0)), int(params.get("limit", len(LOG)))
        start = max(0, len(LOG) + offset) if offset < 0 else offset
        piece = LOG[start : start + limit]
        end = start + len(piece)
        return piece, {"x-offset": str(start), "x-next-offset": str(end), "x-complete": str(int(end >= len(LOG)))}


class Workspace:
    id, name = WORKSPACE, "tutorials"

    def __init__(self, connection: Service) -> None:
        self.connection = connection


class Run:
    def __init__(self, service: Service) -> None:
        self.workspace, self.id = Workspace(service), service.state["id"]

    @property
    def state(self) -> dict[str, Any]:
        return self.workspace.connection.state

    def refresh(self) -> dict[str, Any]:
        return self.state


class Told(list[tuple[dict[str, Any], list[bytes]]]):
    """What the kernel said, in order."""

    def __call__(self, message: dict[str, Any], buffers: list[bytes]) -> None:
        json.dumps(message, allow_nan=False)
        self.append((message, buffers))

    def answer(self, key: str) -> tuple[dict[str, Any], list[bytes]]:
        """The last word on a question."""
        until(lambda: any(m.get("key") == key and m["type"] != "taken" for m, _ in self))
        return [one for one in self if one[0].get("key") == key][-1]


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.001)
