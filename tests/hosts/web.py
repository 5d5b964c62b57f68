"""A web server of a test that other hosts can reach, and that a test can hold up."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator


class Web:
    """`files`: by name. `asked`: who asked for what, and from which byte on. `held`: while it is clear, no answer gets
    beyond its first `half` bytes."""

    def __init__(self, address: str) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str, int]] = []
        self.held = threading.Event()
        self.held.set()
        self.half = 0
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name, first = self.path[1:], int(self.headers.get("Range", "bytes=0-")[6:-1])
                if self.command == "GET":
                    web.asked.append((self.client_address[0], name, first))
                content = web.files.get(name)
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(206 if first else 200)
                self.send_header("Content-Length", str(len(content) - first))
                self.end_headers()
                if self.command == "GET":
                    with contextlib.suppress(OSError):  # who asked has gone
                        self._answer(content[first:])

            do_HEAD = do_GET  # noqa: N815 - the server looks for it by this name

            def _answer(self, content: bytes) -> None:
                if not web.held.is_set():
                    self.wfile.write(content[: web.half])
                    self.wfile.flush()
                    web.held.wait()
                    content = content[web.half :]
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://{address}:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.held.set()
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def web(address: str) -> Iterator[Web]:
    """One at an address of this machine."""
    made = Web(address)
    try:
        yield made
    finally:
        made.close()
