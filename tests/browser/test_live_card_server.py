"""The live card and its Jupyter server: below a prefix, with a password instead of a token, killed and started again."""

from __future__ import annotations

import json
import os
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
from playwright.sync_api import Browser, Page, expect

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.client import workspaces

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PREFIX = "/user/ann/deep/"
PASSWORD = "correct horse"
SCRIPT = """
import time
from jupyter_mltrain import Run
run = Run.get_context()
for step in range(10_000):
    run.log("loss", 1 / (step + 1), step=step)
    time.sleep(0.3)
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
        deadline = time.monotonic() + 60
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


def test_the_card_finds_its_way_back(server: Server, browser: Browser) -> None:
    workspace = Workspace.from_config(workspaces.create_root(server.folder))
    try:
        config = ScriptRunConfig(script="cell.py", files={"cell.py": SCRIPT}, environment="current")
        run = Experiment(workspace, "server").submit(config)
        while run.get_status() != "Running":
            time.sleep(0.1)
        v4 = nbformat.v4
        output = v4.new_output("execute_result", run._repr_mimebundle_(), execution_count=1)
        notebook = v4.new_notebook(cells=[v4.new_code_cell("run", outputs=[output])])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(notebook, server.folder / "run.ipynb")
        context = browser.new_context(viewport={"width": 1100, "height": 900})
        page = context.new_page()
        # Lab may say, at any time, that its server was away.
        page.add_locator_handler(page.locator(".jp-Dialog"), lambda _: page.keyboard.press("Escape"))
        page.goto(f"{server.url}login?next={PREFIX}doc/tree/run.ipynb")
        page.get_by_role("textbox").fill(PASSWORD)
        page.keyboard.press("Enter")
        _follows(page)
        server.kill()
        foot = page.locator(".mlt-foot")
        expect(foot).to_contain_text("connection lost", timeout=15_000)
        server.start()
        _follows(page)
        page.get_by_role("button", name="Cancel", exact=True).click()
        expect(page.locator(".mlt-alive .mlt-pill")).to_have_text("Canceled", timeout=60_000)
        context.close()
    finally:
        workspace.connection.post("/v1/handover")
        shutil.rmtree(server.folder, ignore_errors=True)


def _follows(page: Page) -> None:
    """The card is live, and its values move."""
    expect(page.locator(".mlt-foot")).to_contain_text("live", timeout=90_000)
    shown = page.locator(".mlt-alive .mlt-title > .mlt-num").first
    before = shown.inner_text(timeout=30_000)
    expect(shown).not_to_have_text(before, timeout=30_000)
