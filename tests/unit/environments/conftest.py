"""A package index on loopback with wheels made here, and a machine that knows no other index."""

import base64
import hashlib
import http.server
import os
import threading
import zipfile
from pathlib import Path

import pytest

from jupyter_mltrain.environments import Environments
from jupyter_mltrain.environments import interpreters as interpreters_module


class LocalIndex:
    """A simple index (PEP 503) over HTTP. `requests`: paths asked for. `hold`: while cleared, wheels are not sent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        self.login: str | None = None
        self.hold = threading.Event()
        self.hold.set()
        self.asked_for_wheel = threading.Event()
        folder.mkdir(parents=True)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/simple"

    def wheel(
        self, name: str, version: str = "1.0", files: dict[str, bytes] | None = None, requires: tuple = ()
    ) -> Path:
        """Put a wheel into the index: package `name` with `files`, by default a module that says its version."""
        path = self.folder / f"{name}-{version}-py3-none-any.whl"
        files = files or {f"{name}.py": f"version = {version!r}\n".encode()}
        info = f"{name}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += "".join(f"Requires-Dist: {other}\n" for other in requires)
        whole = {
            **files,
            f"{info}/METADATA": metadata.encode(),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(
            f"{member},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
            for member, data in whole.items()
        )
        with zipfile.ZipFile(path, "w") as archive:
            for member, data in {**whole, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
                archive.writestr(member, data)
        # The hash in the index stays that of this moment, whatever a test does to the file later.
        path.with_name(f"{path.name}.metadata").write_text(metadata)
        path.with_suffix(".hash").write_text(hashlib.sha256(path.read_bytes()).hexdigest())
        return path

    def wheels_sent(self) -> int:
        return sum(path.endswith(".whl") for path in self.requests)

    def close(self) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.requests.append(self.path)
                if index.login and self.headers.get("Authorization") != index.login:
                    return self._send(401, b"who are you?", {"WWW-Authenticate": "Basic"})
                if self.path.startswith("/simple/"):
                    name = self.path.strip("/").rpartition("/")[2]
                    links = [
                        # With PEP 658 metadata, so that resolving asks for no wheel.
                        f'<a href="/files/{path.name}#sha256={path.with_suffix(".hash").read_text()}"'
                        f' data-dist-info-metadata="true">{path.name}</a>'
                        for path in sorted(index.folder.glob(f"{name.replace('-', '_')}-*.whl"))
                    ]
                    return self._send(200 if links else 404, "\n".join(links).encode())
                path = index.folder / self.path.rpartition("/")[2]
                if path.suffix == ".whl":
                    index.asked_for_wheel.set()
                    index.hold.wait(30)
                return self._send(200, path.read_bytes()) if path.exists() else self._send(404, b"")

            def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "text/html" if b"<a" in body[:3] else "application/octet-stream")
                    self.send_header("Content-Length", str(len(body)))
                    for name, value in (headers or {}).items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the client was killed, which is what some tests are about

            def log_message(self, *_args: object) -> None:
                pass

        return Handler


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with no settings for pip or uv and empty caches; returns the home folder."""
    home = tmp_path / "home"
    home.mkdir()
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("JUPYTER_MLTRAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(interpreters_module, "_inspected", {})
    return home


def pip_configuration(home: Path, **settings: str) -> None:
    """Write the user's pip configuration; what the machine's own file says about indexes is overruled."""
    settings = {"extra_index_url": "", "find_links": "", **settings}
    lines = [f"{name.replace('_', '-')} = {value}" for name, value in settings.items()]
    file = home / ".config" / "pip" / "pip.conf"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(["[global]", *lines, ""]))


@pytest.fixture
def index(machine: Path, tmp_path: Path):
    local = LocalIndex(tmp_path / "index")
    pip_configuration(machine, index_url=local.url)
    yield local
    local.close()


@pytest.fixture
def environments(machine: Path, tmp_path: Path) -> Environments:
    return Environments(tmp_path / "workspace" / "environments")


@pytest.fixture
def configure_pip(machine: Path):
    """Call with pip's settings (`index_url=…`) to write them into the user's configuration file."""
    return lambda **settings: pip_configuration(machine, **settings)
