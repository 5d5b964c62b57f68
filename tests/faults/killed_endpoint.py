"""Endpoints hurt: their process, their keeper and the service killed while they are made and while they are asked."""

from __future__ import annotations

import http.client
import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.faults.case import case
from tests.faults.world import PATIENCE, World, eventually, kill

_SCRIPT = """
import os
def init():
    pass
def run(raw):
    return {"revision": %d, "pid": os.getpid()}
"""


@case()
def service_killed_during_deploy(world: World) -> None:
    """What was answered is done by the next service; what was not is there or is not, and can be asked again."""
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(_deploy, world, 1)
        time.sleep(world.random.uniform(0, 0.8))
        world.kill_service()
        sending.result()
    _serves(world, 1)
    _end(world)


@case()
def endpoint_and_keeper_killed_under_load(world: World) -> None:
    """In any order, with and without a service: it answers again, and one process is left of it."""
    _deploy(world, 1)
    _serves(world, 1)
    port = _state(world)["port"]
    with ThreadPoolExecutor(2) as pool:
        answered = [threading.Event() for _ in range(2)]
        asking = [pool.submit(_ask_on, port, 2.0, one) for one in answered]
        assert all(one.wait(PATIENCE) for one in answered)
        told = _keeper(world)
        victims = [told["pid"], told["keeper"]]
        world.random.shuffle(victims)
        if world.random.random() < 0.5:
            world.kill_service()
        for pid in victims[: world.random.randrange(1, 3)]:
            time.sleep(world.random.uniform(0, 0.3))
            kill(pid)
        for one in asking:
            one.result()
    _serves(world, 1)
    _deploy(world, 2)
    _serves(world, 2)
    eventually(lambda: len(_servers(world)) == 1, "more than one server is left: {}", lambda: _servers(world))
    _end(world)


def _deploy(world: World, revision: int) -> dict[str, Any]:
    folder = world.base / "scoring"
    folder.mkdir(exist_ok=True)
    (folder / "score.py").write_text(_SCRIPT % revision)
    body = {
        "name": "hurt",
        "inference": {"entry_script": "score.py", "source_directory": str(folder), "environment": "current"},
        "deployment": {"kind": "Local"},
        "kernel_python": sys.executable,
    }
    return world.connection.post("/v1/endpoints", body)


def _state(world: World) -> dict[str, Any]:
    return world.connection.get("/v1/endpoints/hurt")


def _serves(world: World, revision: int) -> None:
    def right() -> bool:
        state = _state(world)
        assert state["phase"] != "failed", state["failure"]
        try:
            return state["phase"] == "running" and _ask(state["port"]).get("revision") == revision
        except (OSError, http.client.HTTPException):
            return False

    eventually(right, "it does not serve: {}", lambda: _state(world))


def _ask(port: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("POST", "/score", b"{}")
        found: dict[str, Any] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return found


def _ask_on(port: int, seconds: float, answered: threading.Event) -> None:
    """Ask without a pause. Requests that a killed process held are lost."""
    until = time.monotonic() + seconds
    while time.monotonic() < until or not answered.is_set():
        try:
            if "revision" in _ask(port):
                answered.set()
        except (OSError, http.client.HTTPException):
            time.sleep(0.02)


def _keeper(world: World) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((world.layout.folder / "endpoints" / "hurt" / "state.json").read_text())
    return found


def _servers(world: World) -> list[str]:
    return [command for pid, command in world.processes() if "mltrain_endpoint" in command and _is_program(pid)]


def _is_program(pid: int) -> bool:
    """Not the shim, which has the server's command in its environment alone."""
    try:
        return b"_shim" not in Path(f"/proc/{pid}/cmdline").read_bytes() and os.getpgid(pid) == pid
    except OSError:
        return False


def _end(world: World) -> None:
    world.connection.delete("/v1/endpoints/hurt", timeout=PATIENCE)
    assert not (world.layout.folder / "endpoints" / "hurt").exists()
