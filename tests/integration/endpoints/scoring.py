"""What is deployed here: a script whose answers tell its version; who deploys it, and who asks it on and on."""

from __future__ import annotations

import http.client
import json
import threading
import time
from pathlib import Path
from typing import Any

from jupyter_mltrain import InferenceConfig, LocalWebservice, Model, Webservice
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.deployments.place import Place
from tests.faults.world import PATIENCE, World

SCORE = """
import json, os, time
from helper import VERSION

def init():
    global started
    started = time.time()
    print("init in", os.path.basename(os.getcwd()))

def run(raw):
    asked = json.loads(raw)
    if asked.get("fail"):
        raise ValueError("as asked")
    if asked.get("die"):
        os._exit(9)
    if asked.get("eat"):
        held = bytearray(asked["eat"]); held[::4096] = b"x" * len(held[::4096]); time.sleep(60)
    return {"version": VERSION, "pid": os.getpid(), "cwd": os.getcwd(), "model_dir": os.environ["AZUREML_MODEL_DIR"]}
"""


class Source:
    """A source folder whose answers tell its version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "scoring"
        (self.folder / "deep").mkdir(parents=True)
        (self.folder / "deep" / "score.py").write_text(SCORE)
        self.version(1)

    def version(self, number: object) -> None:
        (self.folder / "deep" / "helper.py").write_text(f"VERSION = {number!r}\n")

    def config(self) -> InferenceConfig:
        return InferenceConfig("deep/score.py", source_directory=self.folder, environment="current")


def place_of(world: World, name: str = "scorer") -> Place:
    return Place(world.layout.folder / "endpoints" / name)


def deploy(workspace: Workspace, source: Source, name: str = "scorer", **more: Any) -> Webservice:
    config = LocalWebservice.deploy_configuration(**more)
    service = Model.deploy(workspace, name, [], source.config(), config)
    service.wait_for_deployment()
    return service


class Clients:
    """Ask on and on, from several threads: some with a new connection each time, some with one that is kept."""

    def __init__(self, port: int, count: int = 4) -> None:
        self._port, self._stop = port, threading.Event()
        self.answers: list[Any] = []
        self.failed: list[str] = []
        self._threads = [threading.Thread(target=self._ask, args=(bool(i % 2),)) for i in range(count)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, keep: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        while not self._stop.is_set():
            try:
                connection.request("POST", "/score", b"{}")
                response = connection.getresponse()
                body = response.read()
                if response.status == 200:
                    self.answers.append(json.loads(body))
                else:
                    self.failed.append(f"{response.status} {body!r}")
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection.close()
            if not keep:
                connection.close()
            time.sleep(0.002)
        connection.close()

    def seen(self, version: int) -> bool:
        return any(answer["version"] == version for answer in self.answers[-50:])
