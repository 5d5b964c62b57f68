"""An endpoint's speed beside the model alone, a bare uvicorn app around it, and kserve: the same MNIST MLP in all of them.

What is compared is measured in turns: on a shared machine the ratio of two figures taken side by side says more than
either. The load comes from a process of its own (`scripts/serve_load.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.place import SCRIPTS, Place, python_with, submit, wait
from benchmarks.table import Row
from jupyter_mltrain import Model
from jupyter_mltrain.api.webservice import Webservice

SEQUENTIAL_BAR = 2.0
BARE_BAR = 0.9
KSERVE_BAR = 1.8
ROUNDS = 5
CLIENTS = 16
_SECONDS = 3.0
_CALLS = 2000


def measure(place: Place, *, quick: bool) -> list[Row]:
    if quick:
        return []
    workspace = place.workspace("serving")
    run = submit(workspace, "serve_model.py", environment="tensorflow")
    wait(run)
    model = run.register_model("mlp", "outputs/model")
    service = Model.deploy(workspace, "mlp-endpoint", [model])
    try:
        service.wait_for_deployment()
        return _compare(service, model.path, _python(service), _overlay(service))
    finally:
        service.delete()


def _compare(service: Webservice, model: Path, python: str, overlay: str) -> list[Row]:
    def load(port: int, path: str, clients: int) -> dict[str, Any]:
        arguments = [port, path, clients, _SECONDS, overlay]
        return json.loads(_output([python, SCRIPTS / "serve_load.py", *map(str, arguments)]))

    ours = int(service.entry["port"])
    with (
        _server([python, SCRIPTS / "serve_bare.py", model], [overlay]) as bare,
        _server([kserve(), SCRIPTS / "serve_kserve.py", model], []) as other,
    ):
        servers = [(ours, "/score"), (bare, "/"), (other, "/v1/models/mlp:predict")]
        processes = {port: _listens(port) for port, _ in servers}
        for port, path in servers:
            load(port, path, CLIENTS)  # warm
        alone, single, many = [], [], []
        for number in range(ROUNDS):
            alone.append(float(_output([python, SCRIPTS / "serve_in_process.py", str(model), str(_CALLS)])))
            order = servers[number % 3 :] + servers[: number % 3]
            single.append({port: load(port, path, 1) for port, path in order})
            many.append({})
            for port, path in order:
                before = sum(processes[port].cpu_times()[:2])
                many[-1][port] = found = load(port, path, CLIENTS)
                found["cpu_ms"] = (sum(processes[port].cpu_times()[:2]) - before) * 1000 / found["answered"]
    failed = sum(one["failed"] for each in (*single, *many) for one in each.values())
    if failed:
        raise RuntimeError(f"{failed} requests failed: these figures say nothing")
    p50 = [each[ours]["p50_ms"] for each in single]
    rates = {port: [each[port]["per_second"] for each in many] for port, _ in servers}
    slower = statistics.median(mine / model for mine, model in zip(p50, alone, strict=True))
    beside_bare = statistics.median(a / b for a, b in zip(rates[ours], rates[bare], strict=True))
    beside_kserve = statistics.median(a / b for a, b in zip(rates[ours], rates[other], strict=True))
    share = max(each[ours]["client_share"] for each in many)
    cost = {port: statistics.median(each[port]["cpu_ms"] for each in many) for port, _ in servers}
    medians = {port: statistics.median(found) for port, found in rates.items()}
    bare_p50 = statistics.median(each[bare]["p50_ms"] for each in single)
    other_p50 = statistics.median(each[other]["p50_ms"] for each in single)
    peak = _peak(service)
    return [
        Row(
            "serving: one client, p50 beside the signature’s call",
            f"{slower:.2f} × ({statistics.median(p50):.2f} ms)",
            "≤ 2 ×",
            f"in process {statistics.median(alone):.2f} ms; bare uvicorn {bare_p50:.2f}, kserve {other_p50:.2f} ms",
            slower <= SEQUENTIAL_BAR,
        ),
        Row(
            f"serving: {CLIENTS} clients, beside a bare uvicorn app",
            f"{beside_bare:.0%} ({medians[ours]:.0f} requests/s)",
            "≥ 90 %",
            f"bare uvicorn {medians[bare]:.0f} requests/s; the client took {share:.0%} of a core",
            beside_bare >= BARE_BAR,
        ),
        Row(
            f"serving: {CLIENTS} clients, beside kserve",
            f"{beside_kserve:.2f} ×",
            "≥ 1.8 ×",
            f"kserve {medians[other]:.0f} requests/s",
            beside_kserve >= KSERVE_BAR,
        ),
        Row(
            "serving: processor time for a request",
            f"{cost[ours]:.2f} ms",
            "",
            f"bare uvicorn {cost[bare]:.2f}, kserve {cost[other]:.2f} ms",
            None,
        ),
        Row("serving: peak memory of the endpoint", f"{peak / 1e9:.2f} GB", "", "the floor of a limit is 0.9 GB", None),
    ]


def kserve() -> Path:
    """The interpreter of an environment with kserve and TensorFlow."""
    return python_with("kserve", "kserve>=0.15", "tensorflow-cpu>=2.20")


@contextlib.contextmanager
def _server(command: Sequence[str | Path], more: Sequence[str]) -> Generator[int]:
    """A server on a free port, once it accepts; ended with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tempfile.TemporaryFile()  # noqa: SIM115 - no pipe: one that nobody reads stops a server that talks
    # A session of its own, as an endpoint has: Linux shares a busy processor out by session.
    process = subprocess.Popen([*command, str(port), *more], stdout=log, stderr=log, env=_env(), start_new_session=True)
    try:
        deadline = time.monotonic() + 180
        while not _accepts(port):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                log.seek(0)
                raise RuntimeError(f"{command[1]} does not serve: {log.read().decode(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()
        log.close()


def _listens(port: int) -> psutil.Process:
    """The process that serves on the port: of several that hold the socket, the one that works."""
    found = [each.pid for each in psutil.net_connections("tcp4") if each.laddr[1:] == (port,) and each.pid]
    if not found:
        raise RuntimeError(f"nobody listens on port {port}")
    return max(map(psutil.Process, found), key=lambda process: sum(process.cpu_times()[:2]))


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _output(command: Sequence[str | Path]) -> str:
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=_env()
    ).stdout


def _env() -> dict[str, str]:
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}


def _plan(service: Webservice) -> dict[str, Any]:
    folder = service.workspace.root / ".mltrain" / "endpoints" / service.name
    found: dict[str, Any] = json.loads((folder / "wanted.json").read_text())
    return found


def _python(service: Webservice) -> str:
    return str(_plan(service)["argv"][0])


def _overlay(service: Webservice) -> str:
    return str(_plan(service)["serve"]["overlay"][0])


def _peak(service: Webservice) -> int:
    pid = json.loads((service.workspace.root / ".mltrain" / "endpoints" / service.name / "state.json").read_text())[
        "pid"
    ]
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
