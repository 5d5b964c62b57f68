"""A folder of their own for the benchmarks: workspaces whose services end with it, and runs in them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import psutil
import uv

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.cache import cache_root, exclusive
from jupyter_mltrain.client import starter
from jupyter_mltrain.client.connection import Connection
from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.errors import ConflictError, MLTrainError, ServiceUnavailable

SCRIPTS = Path(__file__).parent / "scripts"

_ENDED = ("Completed", "Failed", "Canceled")


class Place:
    """`folder` is new and empty. What is started through this object ends with `close`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._workspaces: list[Workspace] = []

    def workspace(self, name: str) -> Workspace:
        """A new workspace. Nothing runs in it yet."""
        root = self.folder / name
        root.mkdir()
        workspace = Workspace.create(name, root)
        self._workspaces.append(workspace)
        return workspace

    def close(self) -> None:
        for workspace in self._workspaces:
            with contextlib.suppress(MLTrainError):
                end(workspace)


@contextlib.contextmanager
def new_place() -> Generator[Place]:
    """A place in a temporary folder. Built environments and datasets stay in the user's cache: building is not measured."""
    with tempfile.TemporaryDirectory(prefix="mltrain-bench-", ignore_cleanup_errors=True) as folder:
        # Bytecode is kept, as on users' machines; without, every import compiles.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        # Nothing of the benchmarks is entered in the user's registry; a service that is forgotten ends soon.
        os.environ |= {
            "JUPYTER_MLTRAIN_STATE": f"{folder}/state",
            "JUPYTER_MLTRAIN_IDLE_SECONDS": "120",
            "IPYTHONDIR": f"{folder}/ipython",
        }
        place = Place(Path(folder).resolve())
        try:
            yield place
        finally:
            place.close()


def submit(
    workspace: Workspace, script: str, *arguments: str, environment: str = "current", data: Sequence[str] = ()
) -> Run:
    """Start the script of that name (of `scripts/`) with those arguments."""
    config = ScriptRunConfig(
        script=script,
        files={script: (SCRIPTS / script).read_text(encoding="utf-8")},
        arguments=arguments,
        environment=environment,
        data=[(name, None, "--data-folder") for name in data],
    )
    return Experiment(workspace, "benchmarks").submit(config)


def wait(run: Run, status: str | None = "Completed") -> None:
    """Until the run has ended; `status` is how it has to."""
    run.wait_for_completion(wait_post_processing=True, raise_on_error=False)
    if status is not None and run.status != status:
        tail = run.workspace.connection.bytes(f"/v1/runs/{run.id}/log", offset=-2000)[0].decode(errors="replace")
        raise RuntimeError(f"{run.id} is {run.status}, not {status}: {run.state['failure']}\n{tail}")


def published(run: Run) -> dict[str, Any]:
    """The run's state once it has ended and MLflow has all of it."""
    wait(run)
    deadline = time.monotonic() + 120
    while run.refresh()["tracking"]["state"] != "synced":
        if time.monotonic() > deadline:
            raise RuntimeError(f"{run.id} is not published: {run.state['tracking']}")
        time.sleep(0.1)
    return run.state


def until(path: Path, run: Run, patience: float = 120) -> str:
    """The content of a file that the run's script writes whole; raises if the run ends without."""
    deadline = time.monotonic() + patience
    asked = time.monotonic()
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            if text := path.read_text():
                return text
        if time.monotonic() > asked + 5:  # rarely: what is measured shall not bear our questions
            asked = time.monotonic()
            if run.get_status() in _ENDED and not path.exists():
                wait(run, "Running")
        time.sleep(0.05)
    raise RuntimeError(f"{run.id} did not write {path.name} within {patience:.0f} s.")


def service(workspace: Workspace) -> psutil.Process:
    """The process of the workspace's service, which is started if there is none."""
    return psutil.Process(workspace.connection.get("/v1/hello")["pid"])


def end(workspace: Workspace) -> None:
    """End what runs in the workspace, then its service. Harmless when there is none."""
    connection = Connection.running(workspace.root)
    if connection is None:
        return
    live = [r for r in connection.get("/v1/runs", limit=100)["runs"] if r["status"] not in _ENDED]
    for run in live:
        with contextlib.suppress(ConflictError):
            connection.post(f"/v1/runs/{run['id']}/cancel", {"grace": 0})
    for run in live:
        while run["status"] not in _ENDED:
            run = connection.get(f"/v1/runs/{run['id']}", after=run["revision"], wait=20, timeout=40)  # noqa: PLW2901
    end_service(workspace)


def end_service(workspace: Workspace) -> None:
    """End the service and leave runs alone."""
    layout = Layout(workspace.root)
    address = json.loads(layout.address.read_text(encoding="utf-8"))
    Connection(workspace.root).post("/v1/handover")
    try:
        starter.wait_until_gone(layout)
    except ServiceUnavailable:
        psutil.Process(address["pid"]).kill()
        raise


def other_loggers() -> Path:
    """The interpreter of an environment with the loggers that ours is compared with."""
    return python_with(
        "loggers", "tensorboardX>=2.6", "mlflow-skinny>=3.1", "sqlalchemy>=2.0", "alembic>=1.13", "sqlparse>=0.4"
    )


def python_with(name: str, *packages: str) -> Path:
    """The interpreter of an environment with `packages`, made once in the user's cache."""
    folder = cache_root() / "benchmarks" / name
    marker = folder / "ready"
    with exclusive(folder.parent / f"{name}.lock"):
        if not marker.exists() or marker.read_text() != " ".join(packages):
            tool = uv.find_uv_bin()
            subprocess.run([tool, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
            subprocess.run(
                [tool, "pip", "install", "--quiet", "--python", folder / "bin" / "python", *packages], check=True
            )
            marker.write_text(" ".join(packages))
    return folder / "bin" / "python"
