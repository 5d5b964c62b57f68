from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from jupyter_mltrain.environments.indexes import IndexSettings
from jupyter_mltrain.service.reachable import package_index

WHEEL = "pip-26.0-py3-none-any.whl"


class _Index(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/simple/pip/":
            body = f'<a href="/files/{WHEEL}" data-core-metadata="true">{WHEEL}</a>'.encode()
        elif self.path.endswith(".metadata"):
            body = b"Metadata-Version: 2.1\nName: pip\nVersion: 26.0\n"
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Index)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/simple"
    server.shutdown()
    thread.join()
    server.server_close()


def settings(url: str) -> IndexSettings:
    variables = {"UV_DEFAULT_INDEX": url, "UV_INDEX": "", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return IndexSettings(variables, secrets=("s3cret",))


def test_an_index_that_answers(index: str) -> None:
    words, problem = package_index(settings(index))
    assert words.startswith("answers (")
    assert problem is None


def test_one_that_refuses_is_a_problem_without_its_password() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        words, problem = package_index(settings(f"http://me:s3cret@127.0.0.1:{taken.getsockname()[1]}/simple"))
    assert words == "does not answer"
    assert problem is not None
    assert problem["mend"]
    assert "s3cret" not in problem["problem"]


def test_one_that_never_answers_is_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        words, problem = package_index(settings(f"http://127.0.0.1:{silent.getsockname()[1]}/simple"), patience=0.04)
    assert words == "does not answer"
    assert problem is not None
    assert "no answer within" in problem["problem"]
