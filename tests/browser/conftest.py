"""A real JupyterLab with this package's extension, and Chromium looking at it. Screenshots go to `.artifacts/`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from hatch_build import digest_of_sources
from jupyter_mltrain.client.connection import Connection
from jupyter_mltrain.errors import ConflictError

ROOT = Path(__file__).parents[2]
ARTIFACTS = ROOT / ".artifacts"
PATIENCE = 90_000
"""Milliseconds for all that a test waits for: how fast a machine is says nothing about what it shows in the end."""
expect.set_options(timeout=PATIENCE)
JUPYTERS = re.compile(
    r"Canceled future for (create_subshell|delete_subshell|comm_info|debug)_request message before replies were done"
)
"""JupyterLab asks a kernel by itself, and nobody hears that the kernel died before it answered. We ask none of these."""
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its address, the folder that it serves, the token of its door."""

    url: str
    folder: Path
    token: str

    def write(self, name: str, outputs: list[dict[str, Any]]) -> None:
        """A notebook with one cell per output, as a colleague would send it: not trusted, none of its cells run here."""
        cells = [
            nbformat.v4.new_code_cell(
                "run", execution_count=1, outputs=[nbformat.v4.new_output("execute_result", data, execution_count=1)]
            )
            for data in outputs
        ]
        # With a kernel named, Lab does not ask for one in a dialog over the page.
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), self.folder / name)

    def visit(self, page: Page, name: str, *, app: str = "lab") -> None:
        """Open a notebook in JupyterLab or in Notebook 7 ("notebook"): one server has both."""
        page.goto(f"{self.url}/{'notebooks' if app == 'notebook' else 'doc/tree'}/{name}?token={self.token}")


# Playwright's event loop runs as long as this lives, and asynchronous tests cannot run beside it: so not for the session.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "Chromium is missing: `apt-get install chromium` (`make test` does it as root)."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def built() -> None:
    """The extension that is installed is the one in the working tree: an old copy must not pass for the new one."""
    installed = Path(sys.prefix, "share", "jupyter", "labextensions", "jupyter-mltrain", "sources.sha256")
    assert installed.exists(), "The front end is not installed: `make build`."
    assert installed.read_text().strip() == digest_of_sources(), "The installed front end is old: `make build`."


@pytest.fixture(scope="session")
def lab(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with started(tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.fixture(scope="module")
def bare_lab(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A host of widgets that has nothing of ours, and that sends a widget's messages to the kernel's main shell."""
    with started(tmp_path_factory.mktemp("bare"), ours=False) as made:
        yield made


@contextmanager
def started(home: Path, *, ours: bool = True) -> Iterator[Lab]:
    """A JupyterLab in the folder `home`; without `ours`, neither our server extension nor our front end is on."""
    folder = home / "notebooks"
    folder.mkdir()
    pages = home / "config" / "labconfig"
    pages.mkdir(parents=True)
    disabled = {"@jupyterlab/apputils-extension:announcements": True, **({} if ours else {"jupyter-mltrain": True})}
    (pages / "page_config.json").write_text(json.dumps({"disabledExtensions": disabled}))
    themes = home / "config" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    themes.mkdir(parents=True)
    # The theme follows the browser's colour scheme, which a test chooses.
    (themes / "themes.jupyterlab-settings").write_text(json.dumps({"adaptive-theme": True}))
    # What a test waits for may be in the application alone: whether a kernel is connected, for one.
    config: dict[str, Any] = {app: {"expose_app_in_browser": True} for app in ("LabApp", "JupyterNotebookApp")}
    if not ours:
        config["ServerApp"] = {"jpserver_extensions": {"jupyter_mltrain.server": False}}
        (themes / "kernels-settings.jupyterlab-settings").write_text(json.dumps({"commsOverSubshells": "disabled"}))
    (home / "config" / "jupyter_server_config.json").write_text(json.dumps(config))
    own = {name: str(home / name.lower()) for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    own["JUPYTER_CONFIG_DIR"] = str(home / "config")
    port, token = _free_port(), secrets.token_hex(16)
    command = [
        sys.executable,
        "-m",
        "jupyter",
        "lab",
        "--no-browser",
        f"--port={port}",
        f"--IdentityProvider.token={token}",
    ]
    if os.geteuid() == 0:
        command.append("--allow-root")
    with (home / "lab.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, f"--ServerApp.root_dir={folder}"], env=os.environ | own, stdout=log, stderr=log
        )
    try:
        _wait_until_up(f"http://localhost:{port}/api/status?token={token}", server, home / "lab.log")
        yield Lab(f"http://localhost:{port}", folder, token)
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_up(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(1200):
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start within two minutes:\n{log.read_text()}")


@pytest.fixture
def folder(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Path]:
    with folder_in(lab, request.node.name) as folder:
        yield folder


@contextmanager
def folder_in(lab: Lab, name: str) -> Iterator[Path]:
    """A folder of its own, so that the run's workspace is there and its service ends with the test."""
    folder = lab.folder / re.sub(r"\W+", "-", name)
    folder.mkdir()
    yield folder
    service = Connection.running(folder) if (folder / ".mltrain").exists() else None
    if service is not None:
        _end_runs(service)
        service.post("/v1/handover")
    shutil.rmtree(folder, ignore_errors=True)


def _end_runs(service: Connection) -> None:
    """A test that failed or ran out of time leaves no process behind."""
    for run in service.get("/v1/runs", limit=100)["runs"]:
        if run["status"] not in {"Completed", "Failed", "Canceled"}:
            with contextlib.suppress(ConflictError):  # it has just ended
                service.post(f"/v1/runs/{run['id']}/cancel", {"grace": 0})
            state = run
            while state["status"] not in {"Completed", "Failed", "Canceled"}:
                state = service.get(f"/v1/runs/{run['id']}", after=state["revision"], wait=10, timeout=20)


@pytest.fixture
def page(browser: Browser, folder: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page, gone before the `folder` of its notebooks, in the colour scheme and width that the test asks for."""
    theme, width = getattr(request, "param", ("light", 1100))
    with seen(browser, viewport={"width": width, "height": 1000}, color_scheme=theme) as page:
        yield page


@contextmanager
def seen(browser: Browser, **look: Any) -> Iterator[Page]:
    """A page of a browser that knows nothing yet; an error in the page's scripts fails the test."""
    context = browser.new_context(**look)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    errors = errors_of(page)
    try:
        yield page
    finally:
        context.close()
    assert errors == []


def errors_of(page: Page) -> list[str]:
    """Grows with every error in the page's scripts, but for those that the host makes by itself: Notebook 7 when it starts, JupyterLab when a kernel dies that it has asked something."""
    errors: list[str] = []

    def hear(error: Error) -> None:
        stack = error.stack or str(error)
        ours = "jupyter-mltrain" in stack or "/mltrain/" in stack
        if ours or not ("/static/notebook/" in stack or JUPYTERS.search(f"{error} {stack}")):
            errors.append(stack)

    page.on("pageerror", hear)
    return errors


@pytest.fixture
def artifact() -> Iterator[Path]:
    ARTIFACTS.mkdir(exist_ok=True)
    return ARTIFACTS
