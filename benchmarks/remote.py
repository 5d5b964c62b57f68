"""Containers by each way to an engine (socket, ssh, TLS): how soon what a run logs is here, and how soon what it made."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.place import Place
from benchmarks.samples import milliseconds, spread
from benchmarks.table import Row
from jupyter_mltrain.computes.docker import DockerCompute
from jupyter_mltrain.testing.bench import Bench
from tests.hosts import remote, shared
from tests.hosts.daemon import Engine

LATE_BAR = 0.3
COLLECT_BARS = {"socket": 2.0, "ssh": 4.0, "TLS": 4.0}

_PYTHON = "/usr/bin/python3"
_TALKS = """
from jupyter_mltrain import Run
import time
run = Run.get_context()
for i in range({count}):
    run.log("sent", time.time())
    time.sleep(0.05)
"""
_MAKES = """
import os
for i in range(5):
    with open(f"outputs/{i}.bin", "wb") as file:
        file.write(os.urandom(10_000_000))
"""


def measure(place: Place, *, quick: bool) -> list[Row]:
    rows: list[Row] = []
    with shared.engine() as engine, remote.host() as host:
        # There the `ssh` lies that has the key of the host and its own.
        os.environ["PATH"] = os.pathsep.join([str(host.sshd.programs), os.environ["PATH"]])
        ways: dict[str, tuple[Engine, dict[str, Any]]] = {
            "socket": (engine, {"url": engine.url, "base_image": engine.image}),
            "ssh": (host.engine, {"url": host.ssh_url, "base_image": host.image}),
            "TLS": (host.engine, {**host.tls, "base_image": host.image}),
        }
        for way, (there, settings) in ways.items():
            folder = place.folder / f"way-{way}"
            late, took = asyncio.run(_by(DockerCompute(**settings), folder, 40 if quick else 400, 1 if quick else 5))
            plain = milliseconds(_copied(there, folder))
            rows += [_logged(way, late), _collected(way, took, plain)]
    return rows


async def _by(compute: DockerCompute, folder: Path, logs: int, collections: int) -> tuple[list[float], list[float]]:
    """Seconds from `run.log` until a reader of the engine's stream has it; seconds to collect 50 MB."""
    bench = Bench(compute, folder, _PYTHON)
    try:
        return await _late(bench, logs), [await _collection(bench) for _ in range(collections)]
    finally:
        await bench.close()


async def _late(bench: Bench, logs: int) -> list[float]:
    handle = await bench.run(_TALKS.format(count=logs))
    late: list[float] = []
    partial = b""
    async for frame in bench.compute.stream(handle, {}):
        if frame.stream.endswith(".metrics"):
            now = time.time()  # the engines' hosts are this machine: one clock
            *whole, partial = (partial + frame.data).split(b"\n")
            late += [now - json.loads(line)[3] for line in whole]
    if len(late) != logs:
        raise RuntimeError(f"{len(late)} of {logs} logs arrived")
    return late


async def _collection(bench: Bench) -> float:
    plan = bench.prepare(_MAKES)
    handle = await bench.launch(plan)
    await bench.exit(handle)
    started = time.monotonic()
    await bench.compute.collect(handle, bench.record(plan.run_id))
    return time.monotonic() - started


def _copied(engine: Engine, folder: Path) -> float:
    """Seconds that `docker cp` takes for as much, at the host's own socket."""
    name, made = f"bench-{secrets.token_hex(4)}", folder / "made"
    made.write_bytes(secrets.token_bytes(50_000_000))
    engine.docker("create", "--name", name, engine.image)
    try:
        engine.docker("cp", str(made), f"{name}:/made")
        started = time.monotonic()
        engine.docker("cp", f"{name}:/made", str(folder / "back"))
        return time.monotonic() - started
    finally:
        engine.docker("rm", name)


def _logged(way: str, late: list[float]) -> Row:
    p95 = statistics.quantiles(late, n=20)[18]
    return Row(
        f"container by {way}: run.log to the service's stream",
        f"p95 {milliseconds(p95)}, median {milliseconds(statistics.median(late))}, {len(late)} logs",
        "p95 ≤ 300 ms",
        "",
        p95 <= LATE_BAR,
    )


def _collected(way: str, took: list[float], plain: str) -> Row:
    bar = COLLECT_BARS[way]
    return Row(
        f"container by {way}: 50 MB of outputs collected",
        spread(took),
        f"≤ {bar:g} s",
        f"docker cp at its own socket {plain}",
        statistics.median(took) <= bar,
    )
