"""A real Jupyter server beside a real workspace, started once: token and password cookie, XSRF, a base URL of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

import httpx
import pytest

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.core.layout import Layout

TOKEN = "f" * 40
SCRIPT = """
from jupyter_mltrain import Run
run = Run.get_context()
for i in range(100):
    run.log("loss", 1 / (i + 1), step=i)
print("said")
open("outputs/page.html", "w").write("<script>alert(1)</script>")
"""


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory):
    os.environ["JUPYTER_MLTRAIN_STATE"] = str(tmp_path_factory.mktemp("state"))
    os.environ["JUPYTER_MLTRAIN_IDLE_SECONDS"] = "120"
    yield
    del os.environ["JUPYTER_MLTRAIN_STATE"], os.environ["JUPYTER_MLTRAIN_IDLE_SECONDS"]


@pytest.fixture(scope="session")
def workspace(own_state, tmp_path_factory):
    made = Workspace.create("door", tmp_path_factory.mktemp("ws"))
    yield made
    made.connection.post("/v1/handover")
    deadline = time.monotonic() + 60
    while Layout(made.root).address.exists() and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.fixture(scope="session")
def run(workspace):
    config = ScriptRunConfig(script="cell.py", files={"cell.py": SCRIPT}, environment="current")
    done = Experiment(workspace, "door").submit(config)
    assert done.wait_for_completion(wait_post_processing=True)["status"] == "Completed"
    return done


class Server:
    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}/deep/base/"
        self.port = port

        self.auth = {"Authorization": f"token {TOKEN}"}
        self.token = TOKEN
        self._clients = []

    def client(self, **headers):
        client = httpx.Client(base_url=self.base, headers=headers, timeout=30, follow_redirects=False)
        self._clients.append(client)
        return client

    def close_clients(self):
        while self._clients:
            self._clients.pop().close()

    def trusted(self):
        return self.client(Authorization=f"token {TOKEN}")


@pytest.fixture(scope="session")
def server(workspace, tmp_path_factory):
    home = tmp_path_factory.mktemp("jupyter")
    config = {
        "ServerApp": {
            "port": _free_port(),
            "base_url": "/deep/base/",
            "open_browser": False,
            "allow_root": True,
            "root_dir": str(workspace.root),
            "jpserver_extensions": {"jupyter_mltrain.server": True},
        },
        "IdentityProvider": {"token": TOKEN},
    }
    path = home / "config.json"
    path.write_text(json.dumps(config))
    env = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(home),
        "JUPYTER_DATA_DIR": str(home),
        "JUPYTER_RUNTIME_DIR": str(home),
    }
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", f"--config={path}"], env=env, stdout=log, stderr=log
        )
    try:
        found = Server(config["ServerApp"]["port"])
        deadline = time.monotonic() + 40
        while True:
            try:
                if found.client().get("api").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            assert process.poll() is None, (home / "log").read_text()
            assert time.monotonic() < deadline, (home / "log").read_text()
            time.sleep(0.1)
        yield found
        found.close_clients()
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(autouse=True)
def closed_clients(server):
    yield
    server.close_clients()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
