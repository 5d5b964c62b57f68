"""A web server on loopback that misbehaves on request."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import threading

from jupyter_mltrain.data.mirror import Mirror

CONTENT = {
    "digits.gz": bytes(range(256)) * 400,
    "labels.gz": b"0123456789" * 300,
    "about.txt": b"not compressed\n",
}


class LocalMirror:
    """Serves `files`. `asked`: (method, path, Range) of each request. To misbehave: `status` by name; `cut` after so
    many bytes of a body, `cuts` times; `ignores_range`; `hold` cleared: bodies wait; `claims` by name: what HEAD says is
    its length; `stall`: a cut body first stands still until `release`. `etags` by name are sent, and looked at in
    If-Range."""

    def __init__(self) -> None:
        self.files = {name: gzip.compress(data, 9) if name.endswith(".gz") else data for name, data in CONTENT.items()}
        self.asked: list[tuple[str, str, str | None]] = []
        self.status: dict[str, int] = {}
        self.cut = 0
        self.cuts = 0
        self.ignores_range = False
        self.stall = False
        self._released = threading.Event()
        self.claims: dict[str, int] = {}
        self.etags: dict[str, str] = {}
        self.hold = threading.Event()
        self.hold.set()
        self.in_body = threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def source(self) -> Mirror:
        return Mirror(f"http://127.0.0.1:{self._server.server_address[1]}/tiny", pause=0.01)

    def url(self, name: str) -> str:
        return f"{self.source.address}/{name}"

    def bodies(self) -> list[tuple[str, str | None]]:
        return [(path, span) for method, path, span in self.asked if method == "GET"]

    def release(self) -> None:
        """Let a body that stands still be cut."""
        self._released.set()

    def close(self) -> None:
        self.hold.set()
        self.release()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._answer(body=False)

            def do_GET(self) -> None:
                self._answer(body=True)

            def _answer(self, body: bool) -> None:
                name = self.path.rpartition("/")[2].partition("?")[0]
                span = self.headers.get("Range")
                mirror.asked.append((self.command, name, span))
                status = mirror.status.get(name, 200 if name in mirror.files else 404)
                data = mirror.files.get(name, b"") if status == 200 else b""
                etag = mirror.etags.get(name)
                other = self.headers.get("If-Range") not in {None, etag}
                if status == 200 and span and not mirror.ignores_range and not other:
                    start = int(span.removeprefix("bytes=").rstrip("-"))
                    status, data = (206, data[start:]) if start < len(data) else (416, b"")
                self.send_response(status)
                self.send_header("Content-Length", str(len(data) if body else mirror.claims.get(name, len(data))))
                if etag:
                    self.send_header("ETag", etag)
                self.end_headers()
                if not body:
                    return
                mirror.in_body.set()
                mirror.hold.wait(30)
                if mirror.cuts and mirror.cut < len(data):
                    mirror.cuts -= 1
                    data = data[: mirror.cut]
                    self.close_connection = True
                    if mirror.stall:
                        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                            self.wfile.write(data)
                        data = b""
                        mirror._released.wait(30)
                # The client may have stopped, which is what some tests are about.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self.wfile.write(data)

            def log_message(self, *_args: object) -> None:
                pass

        return Handler
