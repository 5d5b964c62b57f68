"""The widget without a page: what it tells, what of a page's messages it answers, what it refuses."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import pytest
import traitlets

from jupyter_mltrain.core.door import passes
from jupyter_mltrain.errors import ConflictError, RunNotFound, UsageError
from jupyter_mltrain.widgets import RunDetails, RunWidget, comm_door, front_end, live_output, watch
from jupyter_mltrain.widgets.comm_door import CommDoor
from tests.unit.widgets.conftest import base, running_state

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


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setattr(watch, "_QUIET", 0.002)
    monkeypatch.setattr(watch, "_ROUND", 0.02)
    return Service()


@pytest.fixture
def widget(service: Service) -> Iterator[RunWidget]:
    made = RunWidget(Run(service))
    yield made
    if service.state["status"] != "Completed":
        service.advance(status="Completed")
    until(lambda: not live_output.watcher(None).live)
    made.close()


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
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.001)


def test_what_it_knows_of_the_run_can_be_observed_and_not_set(widget: RunWidget, service: Service) -> None:
    assert (widget.run_id, widget.status) == (service.state["id"], "Running")
    assert widget.progress == {"label": "epoch", "value": 12, "total": 20, "eta": 27.0}
    assert set(widget.metrics) == {"val_accuracy", "loss"}
    for name in ("run_id", "status", "progress", "metrics"):
        with pytest.raises(traitlets.TraitError):
            setattr(widget, name, getattr(widget, name))
    heard: list[tuple[str, Any]] = []
    widget.observe(lambda change: heard.append((change["name"], change["new"])), ["status", "progress", "metrics"])
    loss = {**service.state["metrics"][1], "last": "NaN"}
    other = {**loss, "rank": 1, "last": 7.0}
    service.advance(metrics=[other, loss])
    until(lambda: heard)
    assert math.isnan(heard[0][1]["loss"])  # of rank 0, and a number in Python
    assert json.dumps(widget.get_state("metrics"), allow_nan=False) == '{"metrics": {"loss": "NaN"}}'
    service.advance(status="Completed", progress=None)
    until(lambda: len(heard) == 3)
    assert heard[1:] == [("status", "Completed"), ("progress", None)]
    assert threading.current_thread().name == "MainThread"


def test_a_handler_that_raises_is_told_of_and_the_others_go_on(
    widget: RunWidget, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[str] = []

    def broken(change: Any) -> None:
        heard.append(change["new"])
        raise ZeroDivisionError("the user's own")

    widget.observe(broken, "status")
    widget.observe(lambda change: heard.append(str(change["new"])), "progress")
    service.advance(status="Finalizing", progress=None)
    until(lambda: heard == ["Finalizing", "None"])
    service.advance(status="Completed")
    until(lambda: heard[-1] == "Completed")
    assert widget.status == "Completed"
    until(lambda: not live_output.watcher(None).live)
    time.sleep(0.02)  # the thread prints after it has told
    assert capsys.readouterr().err.count("ZeroDivisionError: the user's own") == 2


def test_one_thread_follows_all_views_of_all_runs(widget: RunWidget, service: Service) -> None:
    others = [RunWidget(Run(service)) for _ in range(5)]
    assert sum(thread.name == "mltrain-outputs" for thread in threading.enumerate()) == 1
    others[0].close()
    service.advance(status="Completed")
    until(lambda: all(one.status == "Completed" for one in [widget, *others[1:]]))
    assert others[0].status == "Running"  # closed: no longer followed


def test_a_page_cannot_say_what_became_of_the_run(widget: RunWidget) -> None:
    widget.set_state({"status": "Failed", "run_id": "x", "_recorded": {}, "_esm": "evil()", "tabbable": True})
    assert (widget.status, widget.tabbable) == ("Running", True)
    assert widget.get_state()["_esm"] != "evil()"
    assert widget.get_state()["_recorded"]["run"] == widget.run_id


def test_what_is_saved_of_it_is_bounded_and_holds_no_path(service: Service) -> None:
    service.state = base(
        "Completed",
        command="python /home/ann/secret/train.py " + "x" * 10_000,
        history=[{"status": "Running", "evidence": ["y" * 10_000]}] * 1000,
        environment_variables={"TOKEN": "hunter2"},
    )
    saved = json.dumps(RunWidget(Run(service)).get_state())
    assert len(saved) < 40_000
    assert "hunter2" not in saved
    assert "/home/ann" not in saved


def test_its_output_holds_what_is_shown_where_there_is_no_widget(widget: RunWidget) -> None:
    data, _ = widget._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    assert data["application/vnd.mltrain.run+json"]["run"] == widget.run_id
    assert 'role="group"' in data["text/html"]
    assert data["text/plain"].startswith("Run(")


def test_what_is_no_run_is_refused() -> None:
    for made in (RunWidget, RunDetails):
        with pytest.raises(UsageError, match="shows a Run, not str"):
            made("brave-otter-7")


def test_run_details_prints_the_run_where_there_is_no_kernel(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(service)
    RunDetails(run).show(widget_settings={"debug": False})
    assert capsys.readouterr().out == f"{run}\n"


def test_the_pages_hear_states_also_unasked(widget: RunWidget, service: Service, monkeypatch: Any) -> None:
    told = Told()
    monkeypatch.setattr(widget, "send", told)
    service.advance(source_directory="/home/ann", metric_points=99)
    until(lambda: told)
    message, _ = told[0]
    assert (message["type"], message["run"], message["state"]["metric_points"]) == ("state", widget.run_id, 99)
    assert "source_directory" not in message["state"]


def test_the_end_is_sent_again_within_a_cell(widget: RunWidget, service: Service, monkeypatch: Any) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(widget, "send_state", lambda key=None: sent.append(key))
    service.advance(status="Completed")
    until(lambda: not live_output.watcher(None).live)
    before = len(sent)
    live_output.watcher(None).settle()
    assert sent[before:] == [["status", "progress", "metrics", "_recorded"]]


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


def test_the_state_carries_a_loader_and_no_bundle() -> None:
    assert len(front_end.read("loader.js")) < 2000


@pytest.mark.timeout(10)
def test_it_may_be_collected_in_the_midst_of_anything(service: Service) -> None:
    service.advance(status="Completed")
    made = RunWidget(Run(service))
    live_output.watcher(None).settle()
    with live_output.watcher(None)._lock:  # Python collects where it likes, on the thread that holds it too
        made.__del__()
