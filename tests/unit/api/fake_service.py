"""A service in memory: answers prepared for paths, and a note of what was asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_mltrain.errors import RunNotFound

Given = dict[str, Any] | list[dict[str, Any]] | Exception | Callable[..., Any]


class FakeConnection:
    """`answers` maps "METHOD path" to an answer, a list of answers (one after the other; the last one stays), an
    error, or a function of the parameters."""

    def __init__(self, **answers: Given) -> None:
        self.answers: dict[str, Given] = dict(answers)
        self.asked: list[tuple[str, str, Any]] = []
        self.bodies: dict[str, bytes] = {}

    def get(self, path: str, /, *, timeout: float = 30, **params: Any) -> Any:
        return self._answer("GET", path, {k: v for k, v in params.items() if v is not None})

    def post(self, path: str, /, body: Any = None, *, timeout: float = 60, **params: Any) -> Any:
        return self._answer("POST", path, body)

    def patch(self, path: str, /, body: Any, *, timeout: float = 30) -> Any:
        return self._answer("PATCH", path, body)

    def bytes(self, path: str, /, *, timeout: float = 60, **params: Any) -> tuple[bytes, dict[str, str]]:
        self.asked.append(("BYTES", path, params))
        data, offset = self.bodies[path], params.get("offset", 0)
        start = max(0, len(data) + offset) if offset < 0 else offset
        piece = data[start : start + params.get("limit", len(data))]
        over = start + len(piece) >= len(data)
        headers = {"x-offset": str(start), "x-next-offset": str(start + len(piece)), "x-complete": str(int(over))}
        return piece, headers

    def download(self, path: str, /, into: Path, *, timeout: float = 600, **params: Any) -> None:
        self.asked.append(("DOWNLOAD", path, params))
        into.write_text(params["path"])

    def _answer(self, method: str, path: str, given: Any) -> Any:
        self.asked.append((method, path, given))
        answer = self.answers.get(f"{method} {path}", RunNotFound.of(path))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(given) if callable(answer) else answer


def state(status: str, **more: Any) -> dict[str, Any]:
    """A run's state as the service tells it, as far as the API reads it."""
    return {
        "id": "e_1_aaaaaaaa",
        "number": 7,
        "experiment": "e",
        "display_name": "brave-otter-7",
        "status": status,
        "revision": 1,
        "outcome": None,
        "failure": None,
        "created": 1.0,
        "started": 2.0,
        "ended": None,
        "target": "local",
        "tags": {},
        "notices": [],
        "properties": {},
        "git": {},
        "data": [],
        **more,
    }
