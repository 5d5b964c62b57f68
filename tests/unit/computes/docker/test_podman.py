"""What Podman says becomes what Docker would have said; answers are those of a real one (4.3)."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from jupyter_mltrain.computes.docker.connection import Connection, status_of
from jupyter_mltrain.errors import EngineError

TAKEN = 'container create: creating container storage: the container name "a" is already in use by 46e7'
ENDED = "can only kill running containers. f99f is in state exited: container state improper"
GOING = "open /proc/32230/ns/mnt: no such file or directory"
MADE = "adding volume to state: name a is in use: volume already exists"


class Podman(http.server.BaseHTTPRequestHandler):
    """Answers with what is next in `answers`: a status and words."""

    protocol_version = "HTTP/1.1"
    answers: list[tuple[int, str]]
    name = "Libpod/4.3.1 (linux)"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.endswith("/version"):
            self.answer(200, '{"ApiVersion": "1.41", "MinAPIVersion": "1.24"}')
        else:
            self.answer(*self.answers.pop(0))

    do_POST = do_GET  # noqa: N815 - the server looks for it by this name

    def answer(self, status: int, words: str) -> None:
        body = words if status == 200 else json.dumps({"message": words})
        self.send_response_only(status)
        self.send_header("Server", self.name)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def podman() -> Iterator[tuple[type[Podman], Connection]]:
    handler = type("Handler", (Podman,), {"answers": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler, Connection(url=f"tcp://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


def refused(connection: Connection) -> int:
    with pytest.raises(EngineError) as caught:
        connection.do(lambda client: client.kill("a", "SIGTERM"))
    return status_of(caught.value)


@pytest.mark.parametrize("words", [TAKEN, ENDED])
def test_a_conflict_is_one(podman: tuple[type[Podman], Connection], words: str) -> None:
    handler, connection = podman
    handler.answers += [(500, words), (500, "the disk is broken")]
    assert refused(connection) == 409
    assert refused(connection) == 500


def test_a_file_of_a_container_that_ends_just_now_is_asked_for_again(podman: tuple[type[Podman], Connection]) -> None:
    handler, connection = podman
    handler.answers += [(500, GOING), (500, GOING), (200, "{}")]
    assert connection.do(lambda client: client.info()) == {}
    handler.answers += [(500, GOING)]
    assert refused(connection) == 500, "what may have been done is not done again"


def test_dockers_own_words_are_left_as_they_are(podman: tuple[type[Podman], Connection]) -> None:
    handler, connection = podman
    handler.name = "Docker/20.10.24 (linux)"
    handler.answers += [(500, TAKEN)]
    assert refused(connection) == 500


def test_a_volume_that_two_make_at_once_is_both_ones(podman: tuple[type[Podman], Connection]) -> None:
    handler, connection = podman
    handler.answers += [(500, MADE), (200, '{"Name": "a"}')]
    assert connection.do(lambda client: client.create_volume("a"))["Name"] == "a"
    assert handler.answers == []
