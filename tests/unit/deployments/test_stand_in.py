"""Who asks an endpoint without a server is told to come again, and nobody is left hanging."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from jupyter_mltrain.deployments.stand_in import StandIn


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.setblocking(False)  # as a server leaves it
        yield made


def ask(listening: socket.socket, body: bytes = b"{}", path: str = "/score") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", listening.getsockname()[1], timeout=5)
    connection.request("POST", path, body)
    return connection.getresponse()


@pytest.mark.parametrize("size", [0, 2, 5_000_000])
def test_each_request_gets_a_503_that_says_when_to_come_again(listening: socket.socket, size: int) -> None:
    stand_in = StandIn(listening, "mnist", 7)
    try:
        for _ in range(3):
            answer = ask(listening, b"x" * size)
            assert (answer.status, answer.headers["Retry-After"], answer.headers["Connection"]) == (503, "7", "close")
            assert "mnist is being started" in json.loads(answer.read())["error"]
    finally:
        stand_in.stop()


def test_clients_that_say_nothing_or_leave_keep_nobody_from_an_answer(listening: socket.socket) -> None:
    stand_in = StandIn(listening, "mnist", 1)
    silent = [socket.create_connection(listening.getsockname()) for _ in range(3)]
    socket.create_connection(listening.getsockname()).close()
    try:
        assert ask(listening).status == 503
    finally:
        stand_in.stop()
        for each in silent:
            each.close()


def test_who_comes_after_it_stopped_waits_for_the_server(listening: socket.socket) -> None:
    StandIn(listening, "mnist", 1).stop()
    with socket.create_connection(listening.getsockname()) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        listening.setblocking(True)
        taken, _ = listening.accept()
        assert taken.recv(10) == b"GET / HTTP"
        taken.close()
