"""A dataset of a few kilobytes, mirrors on loopback that misbehave on request, an npm that is a script."""

import contextlib
import gzip
import hashlib
import http.server
import io
import stat
import tarfile
import threading
from pathlib import Path

import pytest

from jupyter_mltrain.core.dataset import DatasetDefinition, DatasetFile
from jupyter_mltrain.data.mirror import Mirror

CONTENT = {
    "digits.gz": bytes(range(256)) * 400,
    "labels.gz": b"0123456789" * 300,
    "about.txt": b"not compressed\n",
}


@pytest.fixture
def definition() -> DatasetDefinition:
    files = (DatasetFile(name, hashlib.sha256(data).hexdigest(), len(data)) for name, data in CONTENT.items())
    return DatasetDefinition("tiny", 1, tuple(files), download=4000)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_MLTRAIN_CACHE", str(tmp_path / "cache"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


class LocalMirror:
    """Serves `files`. `asked`: (method, path, Range) of each request. To misbehave: `status` by name; `cut` after so
    many bytes of a body, `cuts` times; `ignores_range`; `hold` cleared: bodies wait."""

    def __init__(self) -> None:
        self.files = {name: gzip.compress(data, 9) if name.endswith(".gz") else data for name, data in CONTENT.items()}
        self.asked: list[tuple[str, str, str | None]] = []
        self.status: dict[str, int] = {}
        self.cut = 0
        self.cuts = 0
        self.ignores_range = False
        self.hold = threading.Event()
        self.hold.set()
        self.in_body = threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def source(self) -> Mirror:
        return Mirror(f"http://127.0.0.1:{self._server.server_address[1]}/tiny", pause=0.01)

    def bodies(self) -> list[tuple[str, str | None]]:
        return [(path, span) for method, path, span in self.asked if method == "GET"]

    def close(self) -> None:
        self.hold.set()
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
                name = self.path.rpartition("/")[2]
                span = self.headers.get("Range")
                mirror.asked.append((self.command, name, span))
                status = mirror.status.get(name, 200 if name in mirror.files else 404)
                data = mirror.files.get(name, b"") if status == 200 else b""
                if status == 200 and span and not mirror.ignores_range:
                    start = int(span.removeprefix("bytes=").rstrip("-"))
                    status, data = (206, data[start:]) if start < len(data) else (416, b"")
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if not body:
                    return
                mirror.in_body.set()
                mirror.hold.wait(30)
                if mirror.cuts and mirror.cut < len(data):
                    mirror.cuts -= 1
                    data = data[: mirror.cut]
                    self.close_connection = True
                # The client may have stopped, which is what some tests are about.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self.wfile.write(data)

            def log_message(self, *_args: object) -> None:
                pass

        return Handler


@pytest.fixture
def mirrors():
    made: list[LocalMirror] = []

    def make() -> LocalMirror:
        made.append(LocalMirror())
        return made[-1]

    yield make
    for mirror in made:
        mirror.close()


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Call with the files of a package, and what the npm on `PATH` says and does; it counts its calls in a file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def make(members: dict[str, bytes], script: str = "") -> Path:
        with tarfile.open(tmp_path / "package.tgz", "w:gz") as archive:
            for name, data in members.items():
                entry = tarfile.TarInfo(f"package/{name}")
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        path = folder / "npm"
        copy = f'for last; do :; done\ncp "{tmp_path}/package.tgz" "$last/tiny-1.tgz"'
        path.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/npm-calls"\n{script or copy}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return tmp_path / "npm-calls"

    return make
