"""A workspace whose runs are containers of another host, to hurt as `world` does: what a run's script did, and what its
shim saw, is read on that host's disk, past all that brings it here."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_mltrain.api.environment import Environment
from jupyter_mltrain.api.workspace import Workspace
from tests.faults.world import PATIENCE, Submitted, World, eventually
from tests.hosts.remote import RemoteHost

TARGET = "box"
_TOLD, _END = "outputs/told", "outputs/end"
_LOOK_SECONDS = 0.01


class ContainerWorld(World):
    """`settings`: of the engine, as `attach` takes them: through which door `host` is reached."""

    def __init__(self, base: Path, host: RemoteHost, settings: Mapping[str, Any], *, slots: int = 8) -> None:
        super().__init__(base)
        self.host = host
        self._open: dict[str, int] = {}
        self._exits: dict[str, dict[str, Any]] = {}
        self._runs: list[Submitted] = []
        self._closed = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        ready = Environment.from_docker_image("ready", host.image)
        ready.python.user_managed_dependencies, ready.python.interpreter_path = True, "/usr/bin/python3"
        ready.register(Workspace(self.root))
        asked = {"name": TARGET, "engine": "docker", "settings": {**settings, "max_nodes": slots}}
        self.connection.post("/v1/attached-targets", asked, timeout=PATIENCE)

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._closed.set()
            self._watcher.join()
            for file in self._open.values():
                os.close(file)

    def request(self, script: str, **more: Any) -> tuple[Submitted, dict[str, Any]]:
        run, body = super().request(script, **{"environment": "ready", "target": TARGET, **more})
        body["environment_variables"]["FAULT_TOLD"] = _TOLD
        run.told = self.volume(run.id) / "work" / _TOLD
        self._runs.append(run)
        return run, body

    def shim(self, run: Submitted) -> dict[str, Any] | None:
        return _json(self.volume(run.id) / "shim" / "r0.start.json")

    def exit(self, run: Submitted) -> dict[str, Any] | None:
        return self._exits.get(run.id)

    def volume(self, run_id: str) -> Path:
        """The run folder, where it lies on the host's disk."""
        return self.host.engine.folder / "data" / "volumes" / f"mltrain-run-{run_id}" / "_data"

    def check(self, run: Submitted, *, complete_metrics: bool = True) -> dict[str, Any]:
        state = super().check(run, complete_metrics=complete_metrics)
        eventually(lambda: not self.left_of(run), "the run left {} there", lambda: self.left_of(run))
        return state

    def left_of(self, run: Submitted) -> list[str]:
        """Containers and volumes of the run on the host."""
        ours = self.host.engine.ours()
        return [name for name in (*ours["containers"], *ours["volumes"]) if run.id in name]

    def end(self, run: Submitted) -> None:
        """Let a script of `until_ended` come to its end, past all that lies between it and here."""
        (self.volume(run.id) / "work" / _END).touch()

    def _watch(self) -> None:
        """Keep what the script and the shim wrote when the run's volume goes: an open file stays."""
        # Ahead of who removes it, on a busy machine too.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -20)
        while not self._closed.wait(_LOOK_SECONDS):
            for run in list(self._runs):
                if run.id not in self._open:
                    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                        self._open[run.id] = os.open(run.told, os.O_RDONLY | os.O_CLOEXEC)
                        run.told = Path(f"/proc/self/fd/{self._open[run.id]}")
                if run.id not in self._exits and (seen := _json(self.volume(run.id) / "shim" / "r0.exit.json")):
                    self._exits[run.id] = seen


def until_ended(pause: float = 0.01) -> str:
    """A script that logs until `ContainerWorld.end` lets it end: however slow the machine, it is there until then."""
    return (
        "import itertools\nfor i in itertools.count():\n"
        f"    log(i)\n    if os.path.exists({_END!r}):\n        break\n    time.sleep({pause})\n"
    )


def until_status(world: World, run: Submitted, status: str) -> dict[str, Any]:
    """The run's state once it has that status, or has had it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        state = world.state(run)
        path = [change["status"] for change in state["history"]]
        if status in path or status == state["status"]:
            return state
        assert time.monotonic() < deadline, f"not {status} within {PATIENCE:.0f} s: {path}\n{world.log_tail()}"
        time.sleep(0.2)


def _json(path: Path) -> dict[str, Any] | None:
    try:
        raw: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return raw
