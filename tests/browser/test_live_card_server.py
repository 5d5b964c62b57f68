"""The live card and its Jupyter server: below a prefix, with a password instead of a token, killed and started again, also
a day later."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from jupyter_server.auth.security import passwd
from playwright.sync_api import Browser, BrowserContext, Page, expect

from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.client import workspaces
from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.widgets.output import MIME
from tests.browser.cards import output_of, save, saved, submitted
from tests.browser.conftest import PATIENCE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PREFIX = "/user/ann/deep/"
PASSWORD = "correct horse"
SCRIPT = """
import os
import time
from jupyter_mltrain import Run
run = Run.get_context()
for step in range({steps}):
    run.log("loss", 1 / (step + 1), step=step)
    time.sleep(0.3)
    while step and os.path.isfile("{gate}"):
        time.sleep(0.05)
"""


class Server:
    """A JupyterLab as a hub starts it for a user."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "notebooks"
        self.folder.mkdir()
        config = home / "config"
        (config / "labconfig").mkdir(parents=True)
        disabled = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
        (config / "labconfig" / "page_config.json").write_text(json.dumps(disabled))
        hashed = {"hashed_password": passwd(PASSWORD)}
        settings = {"ServerApp": {"base_url": PREFIX}, "PasswordIdentityProvider": hashed}
        (config / "jupyter_server_config.json").write_text(json.dumps(settings))
        own = {name: str(home / name.lower()) for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
        self._environment = os.environ | own | {"JUPYTER_CONFIG_DIR": str(config)}
        self._log = home / "lab.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://localhost:{self.port}{PREFIX}"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", f"--port={self.port}"]
        command += ["--ServerApp.port_retries=0", f"--ServerApp.root_dir={self.folder}"]
        command += ["--allow-root"] if os.geteuid() == 0 else []
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 120
        while True:
            assert self.process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server(built: None, tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def workspace(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    # A service that nobody needs ends soon: two idle seconds for the quarter of an hour.
    monkeypatch.setenv("JUPYTER_MLTRAIN_IDLE_SECONDS", "2")
    workspace = Workspace.from_config(workspaces.create_root(server.folder))
    yield workspace
    workspace.connection.post("/v1/handover")
    shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


def test_the_card_finds_its_way_back(server: Server, workspace: Workspace, context: BrowserContext) -> None:
    run = submitted(workspace, SCRIPT.format(steps=10_000, gate="."))
    _write(server, run)
    page = _opened(server, context)
    _follows(page)
    server.kill()
    foot = page.locator(".mlt-foot")
    expect(foot).to_contain_text("connection lost")
    server.start()
    _follows(page)
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator(".mlt-alive .mlt-pill")).to_have_text("Canceled")


def test_the_next_day_it_shows_what_was_recorded_and_then_the_truth(
    server: Server, workspace: Workspace, context: BrowserContext, artifact: Path
) -> None:
    gate = server.folder / "gate"
    gate.touch()
    run = submitted(workspace, SCRIPT.format(steps=4, gate=gate))
    notebook = _write(server, run)
    page = _opened(server, context, "notebook")
    _follows(page, moves=False)
    saved(page, notebook, lambda data: data[MIME]["state"]["status"] == "Running")
    # Everything is closed and stopped. The run goes on to its end, and the service ends for want of work.
    page.close()
    server.kill()
    gate.unlink()
    run.wait_for_completion(wait_post_processing=True)
    address = Layout(server.folder).address
    deadline = time.monotonic() + 120
    while address.exists():
        assert time.monotonic() < deadline, "the service is still there"
        time.sleep(0.1)
    assert output_of(notebook)[MIME]["state"]["status"] == "Running"
    server.start()
    page = _opened(server, context, "notebook")
    card = page.locator(".mlt-card")
    expect(card.locator(".mlt-pill")).to_have_text("Running")
    expect(page.locator(".mlt-foot")).to_contain_text("recorded on")
    show = page.get_by_role("button", name="Show live")
    expect(show).to_be_visible()
    page.screenshot(path=artifact / "live-card-next-day.png")
    # Showing it has started nothing, and neither does saving.
    save(page)
    page.wait_for_timeout(1_000)
    assert not address.exists()
    assert output_of(notebook)[MIME]["state"]["status"] == "Running"
    show.click()
    expect(page.locator(".mlt-alive .mlt-pill")).to_have_text("Completed")
    data = saved(page, notebook, lambda data: data[MIME]["state"]["status"] == "Completed")[MIME]
    assert data["series"][0]["total"] == 4


def _write(server: Server, run: Run) -> Path:
    """The run's output as it stands, in a notebook."""
    v4 = nbformat.v4
    output = v4.new_output("execute_result", run._repr_mimebundle_(), execution_count=1)
    notebook = v4.new_notebook(cells=[v4.new_code_cell("run", outputs=[output])])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    path = server.folder / "run.ipynb"
    nbformat.write(notebook, path)
    return path


def _opened(server: Server, context: BrowserContext, app: str = "lab") -> Page:
    """The notebook in a new page; logged in, where the browser was not."""
    page = context.new_page()
    # Lab may say, at any time, that its server was away. By its button: on a busy machine a key comes before the dialog
    # has the focus, and is lost.
    close = page.locator(".jp-Dialog .jp-mod-reject, .jp-Dialog .jp-mod-accept").last
    page.add_locator_handler(page.locator(".jp-Dialog"), lambda _: close.click(), no_wait_after=True)
    page.goto(f"{server.url}login?next={PREFIX}{'notebooks' if app == 'notebook' else 'doc/tree'}/run.ipynb")
    if page.get_by_role("textbox", name=re.compile("[Pp]assword")).count():
        page.get_by_role("textbox").fill(PASSWORD)
        page.keyboard.press("Enter")
    return page


def _follows(page: Page, *, moves: bool = True) -> None:
    """The card is live, and its values move."""
    expect(page.locator(".mlt-foot")).to_contain_text("live")
    if moves:
        shown = page.locator(".mlt-alive .mlt-title > .mlt-num").first
        before = shown.inner_text()
        expect(shown).not_to_have_text(before)
