"""The comm as a door: what of a page's messages it answers, what it refuses."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import pytest

from jupyter_mltrain.core.door import passes
from jupyter_mltrain.errors import ConflictError, UsageError
from jupyter_mltrain.widgets import comm_door, front_end
from jupyter_mltrain.widgets.comm_door import CommDoor
from tests.unit.widgets.one_run import LOG, ROUTE, WORKSPACE, Run, Service, Told, until


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def watched() -> list[str]:
    return []


@pytest.fixture
def door(service: Service, told: Told, watched: list[str]) -> Iterator[CommDoor]:
    made = CommDoor(Run(service), told, watched.append)
    yield made
    made.close()


def asked(door: CommDoor, told: Told, method: str, path: str, **more: Any) -> tuple[int, bytes, Mapping[str, str]]:
    """A request, and its answer: status, body, headers."""
    key = f"k{len(told)}"
    door.handle({"op": "request", "key": key, "method": method, "path": path, **more})
    assert told[-1][0] == {"key": key, "type": "taken"} or told[-2][0]["type"] == "taken"
    message, [body] = told.answer(key)
    return message["status"], body, message["headers"]


def test_questions_and_commands_are_answered(door: CommDoor, told: Told, service: Service) -> None:
    run = service.state["id"]
    status, body, _ = asked(door, told, "GET", "workspaces")
    assert (status, json.loads(body)) == (200, {"workspaces": [{"id": WORKSPACE, "name": "tutorials"}]})
    status, body, _ = asked(door, told, "GET", f"{ROUTE}/runs/{run}/series?name=a%26b&rank=0&wait=9&timeout=1")
    assert json.loads(body)["name"] == "a&b"
    assert service.asked[-1] == ("GET", f"/v1/runs/{run}/series", {"name": "a&b", "rank": "0"})
    status, body, _ = asked(door, told, "PATCH", f"{ROUTE}/runs/{run}", body='{"pinned": true}')
    assert service.asked[-1] == ("PATCH", f"/v1/runs/{run}", {"pinned": True})
    status, body, _ = asked(door, told, "POST", f"{ROUTE}/runs/{run}/models", body='{"name": "m"}')
    assert b"/home/ann" not in body
    status, body, _ = asked(door, told, "POST", f"{ROUTE}/open")
    assert (status, body, service.asked[-1][1]) == (200, b"{}", "/v1/hello")


def test_a_service_that_refuses_is_passed_on(door: CommDoor, told: Told, service: Service) -> None:
    status, body, _ = asked(door, told, "POST", f"{ROUTE}/runs/{service.state['id']}/cancel", body='{"keep": false}')
    assert status == ConflictError.http_status
    assert json.loads(body)["error"]["message"] == "It has ended."


def test_a_rerun_that_is_sent_twice_is_one_run(door: CommDoor, told: Told, service: Service) -> None:
    asked(door, told, "POST", f"{ROUTE}/runs/{service.state['id']}/rerun", body='{"resources": {"memory_gb": 8}}')
    _, path, body = service.asked[-1]
    assert path.endswith("/rerun")
    assert body["run_id"].startswith("tutorial-tf-mnist_")
    assert body["resources"] == {"memory_gb": 8}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{ROUTE}/hello"),
        ("POST", f"{ROUTE}/handover"),
        ("POST", f"{ROUTE}/runs"),
        ("GET", f"{ROUTE}/runs/latest/spec"),
        ("GET", f"{ROUTE}/models/m/1/path"),
        ("GET", f"{ROUTE}/doctor"),
        ("GET", f"{ROUTE}/runs/../hello"),
        ("GET", f"{ROUTE}/runs/x%2f..%2f..%2fhello"),
        ("DELETE", f"{ROUTE}/runs/x"),
        ("GET", "workspaces/another/runs"),
        ("POST", "workspaces/another/open"),
        ("POST", "workspaces"),
        ("GET", "../../etc/passwd"),
        ("GET", ""),
    ],
)
def test_what_is_not_in_the_servers_table_is_refused(
    door: CommDoor, told: Told, service: Service, method: str, path: str
) -> None:
    status, body, _ = asked(door, told, method, path)
    assert status == 404
    assert "error" in json.loads(body)
    assert service.asked == []
    assert not passes(method, unquote(path).removeprefix(f"{ROUTE}/"))


def test_a_file_comes_in_pieces(door: CommDoor, told: Told, service: Service) -> None:
    path = f"{ROUTE}/runs/{service.state['id']}/file?path=outputs%2Fa.png"
    got = b""
    while len(got) < len(service.file):
        status, body, headers = asked(door, told, "GET", path, range=f"bytes={len(got)}-99999999")
        assert status == 206
        assert len(body) <= comm_door.PIECE
        assert set(headers) == {"content-type", "content-range"}
        got += body
    assert got == service.file
    assert service.asked[-1][2]["path"] == "outputs/a.png"
    status, body, _ = asked(door, told, "GET", f"{ROUTE}/runs/r/log?name=x&offset=-9000000&limit=9000000")
    assert len(body) <= comm_door.PIECE


def test_an_answer_that_is_too_large_is_refused(door: CommDoor, told: Told) -> None:
    status, body, _ = asked(door, told, "GET", f"{ROUTE}/runs/r/values")
    assert status == UsageError.http_status
    assert "too large" in json.loads(body)["error"]["message"]


@pytest.mark.parametrize(
    "message",
    [
        None, 7, "x", [], {}, {"key": 1}, {"key": "k" * 101, "op": "file"}, {"key": "k"}, {"key": "k", "op": "eval"},
    ],
)  # fmt: skip
def test_what_is_no_message_is_left_alone(door: CommDoor, told: Told, message: Any) -> None:
    door.handle(message)
    assert told == []


@pytest.mark.parametrize(
    "message",
    [
        {"op": "request"}, {"op": "request", "method": "GET"}, {"op": "request", "method": "PATCH", "path": f"{ROUTE}/runs/r", "body": "{"},
        {"op": "request", "method": "GET", "path": f"{ROUTE}/runs/r/file?path=a", "range": "lines=1"},
        {"op": "request", "method": "PATCH", "path": f"{ROUTE}/runs/r", "body": '"' + "x" * (1 << 20) + '"'},
    ],
)  # fmt: skip
def test_a_request_that_is_not_understood_is_refused(door: CommDoor, told: Told, message: dict[str, Any]) -> None:
    door.handle({**message, "key": "k"})
    answer, _ = told.answer("k")
    assert answer["status"] == UsageError.http_status


def test_a_log_is_followed_and_skips_when_it_is_far_behind(
    door: CommDoor, told: Told, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comm_door, "_LOG_PAUSE", 0)
    monkeypatch.setattr(comm_door, "_LOG_BEHIND", 300 << 10)
    door.handle({"op": "log", "key": "l", "run": "r", "name": "user_logs/std_log.txt", "offset": 0})
    until(lambda: told and told[-1][0].get("complete"))
    pieces = [(m["offset"], m["next"], data) for m, [data] in told[1:]]
    assert all(LOG[start:end] == data for start, end, data in pieces)
    assert pieces[0][0] == 0
    assert pieces[1][0] > pieces[0][1]
    assert pieces[-1][1] == len(LOG)
    assert sum(len(data) for *_, data in pieces) < len(LOG)


def test_a_page_that_was_left_holds_no_threads(door: CommDoor, told: Told, service: Service, monkeypatch: Any) -> None:
    waiting = {"x-offset": "0", "x-next-offset": "0", "x-complete": "0"}
    monkeypatch.setattr(service, "bytes", lambda *_, **__: (time.sleep(0.01), (b"", waiting))[1])

    def threads() -> int:
        return sum(thread.name == "mltrain-page" for thread in threading.enumerate())

    for number in range(10):
        door.handle({"op": "log", "key": f"l{number}", "run": "r", "name": "x", "offset": 0})
    until(lambda: threads() == 4)
    door.handle({"op": "stop", "key": "l9"})
    until(lambda: threads() == 3)
    door.close()
    until(lambda: threads() == 0)


def test_requests_at_once_are_bounded(door: CommDoor, told: Told, service: Service) -> None:
    service.gate.clear()
    for number in range(20):
        door.handle(
            {"op": "request", "key": f"k{number}", "method": "GET", "path": f"{ROUTE}/runs/{service.state['id']}"}
        )
    answers = [m for m, _ in told if m["type"] == "answer"]
    assert [m["status"] for m in answers] == [UsageError.http_status] * 4
    service.gate.set()
    until(lambda: sum(m["type"] == "answer" for m, _ in told) == 20)


def test_a_further_run_is_watched_once(door: CommDoor, told: Told, watched: list[str], service: Service) -> None:
    for key, run in (("a", service.state["id"]), ("b", "again"), ("c", "again")):
        door.handle({"op": "watch", "key": key, "run": run})
        until(lambda key=key: sum(m["type"] == "state" for m, _ in told) == "abc".index(key) + 1)
    assert watched == ["again"]
    for run in ("../hello", "a/b", "..", 7, "nothing"):
        door.handle({"op": "watch", "key": f"bad{run}", "run": run})
        assert told.answer(f"bad{run}")[0]["type"] == "error"


def test_the_front_end_comes_over_the_comm_too(door: CommDoor, told: Told) -> None:
    door.handle({"op": "file", "key": "f", "name": "card.js"})
    message, [data] = told.answer("f")
    assert (message["type"], data) == ("file", front_end.read("card.js"))
    for name in ("../run_widget.py", "/etc/passwd", "other.js"):
        door.handle({"op": "file", "key": name, "name": name})
        assert told.answer(name)[0]["type"] == "error"
