"""Requests over the socket: what is sent, what comes back, and what happens when nobody answers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import pytest

from jupyter_mltrain._version import PROTOCOL
from jupyter_mltrain.client import connection as module
from jupyter_mltrain.client import starter
from jupyter_mltrain.client.connection import Connection
from jupyter_mltrain.client.workspaces import create_root
from jupyter_mltrain.errors import MLTrainError, ProtocolMismatch, RunNotFound, ServiceUnavailable

Answer = tuple[int, bytes] | Callable[[BaseHTTPRequestHandler], None]


class Double:
    """A service that gives prepared answers, in turn (the last one again and again), and notes what it was asked."""

    def __init__(self, root: Path) -> None:
        self.answers: list[Answer] = [(200, b"{}")]
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.starts = 0
        self._path = str(root / ".mltrain" / "service.sock")
        self._server: ThreadingUnixStreamServer | None = None

    def listen(self) -> None:
        double = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                self.client_address = ("", 0)
                super().handle_one_request()

            def _any(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else None
                double.asked.append((self.command, self.path, dict(self.headers), body))
                answer = double.answers.pop(0) if len(double.answers) > 1 else double.answers[0]
                if callable(answer):
                    answer(self)
                    return
                self.send_response(answer[0])
                self.send_header("Content-Length", str(len(answer[1])))
                self.send_header("X-Odd", "1")
                self.end_headers()
                self.wfile.write(answer[1])

            do_GET = do_POST = do_PATCH = _any  # noqa: N815 - the library's names

            def log_message(self, *_: Any) -> None:
                pass

        Path(self._path).unlink(missing_ok=True)
        self._server = ThreadingUnixStreamServer(self._path, Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # a connection that was dropped on purpose
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def end(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_MLTRAIN_STATE", str(tmp_path / "state"))
    return create_root(tmp_path / "w")


@pytest.fixture
def double(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
    made = Double(root)

    def start(*_: Any, **__: Any) -> None:
        made.starts += 1
        made.end()
        made.listen()

    monkeypatch.setattr(starter, "start", start)
    made.listen()
    yield made
    made.end()


def dropped(handler: BaseHTTPRequestHandler) -> None:
    """The service is killed before it answers."""
    handler.connection.shutdown(socket.SHUT_RDWR)


def cut(handler: BaseHTTPRequestHandler) -> None:
    """The service is killed in the midst of its answer."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"half")
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


def test_what_is_sent(root: Path, double: Double) -> None:
    Connection(root).post("/v1/runs/a b/cancel", {"grace": 1.5}, wait=2, left_out=None)
    [(method, path, headers, body)] = double.asked
    assert (method, path, body) == ("POST", "/v1/runs/a%20b/cancel?wait=2", {"grace": 1.5})
    assert headers["X-MLTrain-Protocol"] == str(PROTOCOL)


def test_a_parameter_may_be_called_path(root: Path, double: Double, tmp_path: Path) -> None:
    connection = Connection(root)
    connection.get("/v1/x", path="a/b&c")
    connection.bytes("/v1/x", path="ü", name="n")
    connection.download("/v1/x", tmp_path / "f", path="y")
    assert [asked[1] for asked in double.asked] == ["/v1/x?path=a%2Fb%26c", "/v1/x?path=%C3%BC&name=n", "/v1/x?path=y"]


def test_bytes_come_as_they_are_with_headers(root: Path, double: Double) -> None:
    double.answers = [(200, bytes(range(256)))]
    data, headers = Connection(root).bytes("/v1/x")
    assert data == bytes(range(256))
    assert headers["x-odd"] == "1"


def test_an_error_becomes_its_class_again(root: Path, double: Double, tmp_path: Path) -> None:
    double.answers = [(404, json.dumps({"error": RunNotFound.of("x", ["xy"]).to_wire()}).encode())]
    connection = Connection(root)
    for ask in (
        lambda: connection.get("/v1/runs/x"),
        lambda: connection.bytes("/v1/runs/x"),
        lambda: connection.download("/v1/runs/x", tmp_path / "f"),
    ):
        with pytest.raises(RunNotFound) as raised:
            ask()
        assert raised.value.details["nearest"] == ["xy"]
    assert not (tmp_path / "f").exists()


def test_an_answer_of_no_known_form_is_told(root: Path, double: Double) -> None:
    double.answers = [(500, b"<html>oops")]
    with pytest.raises(MLTrainError, match="answered 500: <html>oops"):
        Connection(root).get("/v1/x")


@pytest.mark.parametrize("accident", [dropped, cut, (503, b"{}")])
def test_a_service_that_goes_away_is_started_and_asked_again(
    root: Path, double: Double, tmp_path: Path, accident: Answer
) -> None:
    double.answers = [accident, (200, b'{"ok": 1}')]
    assert Connection(root).post("/v1/runs", {"run_id": "r"}) == {"ok": 1}
    assert double.starts == 1
    assert [asked[3] for asked in double.asked] == [{"run_id": "r"}] * 2
    double.answers = [accident, (200, b"whole")]
    Connection(root).download("/v1/x", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == b"whole"


def test_a_service_that_is_not_there_is_started(root: Path, double: Double) -> None:
    double.end()
    assert Connection(root).get("/v1/x") == {}
    assert double.starts == 1


def test_one_that_always_goes_away_is_given_up(root: Path, double: Double) -> None:
    double.answers = [dropped]
    with pytest.raises(ServiceUnavailable, match="cannot be reached"):
        Connection(root).get("/v1/x")
    assert 1 < double.starts < 10


def test_one_that_does_not_answer_in_time_is_not_started_again(root: Path, double: Double) -> None:
    release = threading.Event()
    double.answers = [lambda _: release.wait(5) and None]
    with pytest.raises(ServiceUnavailable, match=r"did not answer GET /v1/x within 0 s"):
        Connection(root).get("/v1/x", timeout=0.05)
    release.set()
    assert double.starts == 0


def test_a_file_that_cannot_be_written_is_not_taken_for_a_lost_service(
    root: Path, double: Double, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        Connection(root).download("/v1/x", tmp_path / "no" / "f")
    assert double.starts == 0


def test_running_never_starts_one(root: Path, double: Double) -> None:
    assert Connection.running(root) is not None
    double.answers = [(503, b"{}")]
    assert Connection.running(root) is None
    double.end()
    assert Connection.running(root) is None
    assert double.starts == 0


def test_an_older_service_is_asked_to_hand_over(root: Path, double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[object] = []
    monkeypatch.setattr(module.starter, "wait_until_gone", waited.append)
    old, new = ({"protocol": protocol, "version": "x"} for protocol in (PROTOCOL - 1, PROTOCOL))
    double.answers = [(200, json.dumps(old).encode()), (202, b"{}"), (200, json.dumps(new).encode())]
    assert Connection(root).greet()["protocol"] == PROTOCOL
    assert [asked[1] for asked in double.asked] == ["/v1/hello", "/v1/handover", "/v1/hello"]
    assert len(waited) == 1


def test_a_newer_service_is_left_alone(root: Path, double: Double) -> None:
    double.answers = [(200, json.dumps({"protocol": PROTOCOL + 1, "version": "9.9"}).encode())]
    with pytest.raises(ProtocolMismatch, match=r"newer \(9\.9\)"):
        Connection.open(root)
    assert [asked[1] for asked in double.asked] == ["/v1/hello"]
