"""The service by itself: how soon it answers, and what it takes while nothing is asked of it."""

from __future__ import annotations

import contextlib
import http.client
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import psutil

from benchmarks.place import SCRIPTS, Place, end, end_service, published, service, submit
from benchmarks.samples import in_turns, milliseconds, spread
from benchmarks.table import Row

START_BAR = 1.0
CPU_BAR = 1.0
MEMORY_BAR = 150.0


def measure(place: Place, *, quick: bool) -> list[Row]:
    workspace = place.workspace("service")

    processor: list[float] = []

    def start() -> float:
        started = time.perf_counter()
        hello = workspace.connection.get("/v1/hello")
        seconds = time.perf_counter() - started
        processor.append(sum(psutil.Process(hello["pid"]).cpu_times()[:2]))
        end_service(workspace)
        return seconds

    # A workspace that has been used: its database made, its run published.
    published(submit(workspace, "now.py", str(place.folder / "reached")))
    end(workspace)
    ours, bare = in_turns(3 if quick else 11, start, lambda: _bare_start(place.folder / "bare.sock"))
    process = service(workspace)
    time.sleep(1 if quick else 5)
    share, memory = _idle(process, 3 if quick else 30)
    with _bare(place.folder / "bare.sock") as other:
        other_share, other_memory = _idle(psutil.Process(other.pid), 1 if quick else 10)
    children = [child.pid for child in process.children(recursive=True)]
    end(workspace)
    if children:
        raise RuntimeError("an idle service has a child process: its figures are not its own")
    bare_name = "bare FastAPI + uvicorn"
    median = statistics.median(ours)
    return [
        Row("service: start to healthy", f"{spread(ours)}; {milliseconds(statistics.median(processor))} of processor time", "≤ 1 s", f"{bare_name} {milliseconds(statistics.median(bare))}", median <= START_BAR),
        Row("service: idle CPU", f"{share:.2f} % of a core", "< 1 %", f"{bare_name} {other_share:.2f} %", share < CPU_BAR),
        Row("service: idle memory, without MLflow’s child", f"{memory:.0f} MB RSS", "≤ 150 MB", f"{bare_name} {other_memory:.0f} MB", memory <= MEMORY_BAR),
    ]  # fmt: skip


def _idle(process: psutil.Process, seconds: float) -> tuple[float, float]:
    """Percent of a core over that time, and resident MB at its end."""
    before = sum(process.cpu_times()[:2])
    started = time.perf_counter()
    time.sleep(seconds)
    share = (sum(process.cpu_times()[:2]) - before) / (time.perf_counter() - started) * 100
    return share, process.memory_info().rss / 1e6


def _bare_start(path: Path) -> float:
    started = time.perf_counter()
    with _bare(path):
        return time.perf_counter() - started


@contextlib.contextmanager
def _bare(path: Path) -> Generator[subprocess.Popen[bytes]]:
    """The bare service, answering."""
    process = subprocess.Popen([sys.executable, "-P", SCRIPTS / "bare_service.py", path])
    try:
        while not _answers(path):
            if process.poll() is not None:
                raise RuntimeError("the bare service did not start")
            time.sleep(0.005)
        yield process
    finally:
        process.terminate()
        process.wait()


def _answers(path: Path) -> bool:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.sock.connect(str(path))
        connection.request("GET", "/v1/hello")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
