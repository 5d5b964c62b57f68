"""How fast what a run says and makes is here, from a container of this machine and of another host, reached by ssh."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from jupyter_mltrain.computes.docker import DockerCompute
from jupyter_mltrain.testing.bench import Bench

TALKS = """
from jupyter_mltrain import Run
import time
run = Run.get_context()
for i in range(100):
    run.log("sent", time.time())
    time.sleep(0.05)
"""
MAKES = """
import os
for i in range(5):
    with open(f"outputs/{i}.bin", "wb") as file:
        file.write(os.urandom(10_000_000))
"""


@pytest.fixture(params=["local", "ssh"])
def place(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def bench(place: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    if place == "local":
        engine = request.getfixturevalue("docker_engine")
        compute = DockerCompute(url=engine.url, base_image=engine.image)
    else:
        host = request.getfixturevalue("remote_host")
        compute = DockerCompute(url=host.ssh_url, base_image=host.image)
    bench = Bench(compute, tmp_path)
    yield bench
    await bench.close()


async def test_what_a_run_logs_is_here_at_once(
    bench: Bench, place: str, record_property: Callable[[str, object], None]
) -> None:
    handle = await bench.run(TALKS, python="/usr/bin/python3")
    late: list[float] = []
    partial = b""
    async with asyncio.timeout(60):
        async for frame in bench.compute.stream(handle, {}):
            if frame.stream.endswith(".metrics"):
                now = time.time()
                *whole, partial = (partial + frame.data).split(b"\n")
                late += [now - json.loads(line)[3] for line in whole]
    p95 = sorted(late)[94]
    record_property("log_to_service_p95_s", p95)
    print(f"{place}: log to service p50 {sorted(late)[49]:.3f} s, p95 {p95:.3f} s")
    assert len(late) == 100
    assert p95 <= 0.3


async def test_50_mb_of_outputs_are_here_soon(
    bench: Bench, place: str, record_property: Callable[[str, object], None]
) -> None:
    plan = bench.prepare(MAKES, python="/usr/bin/python3")
    handle = await bench.launch(plan)
    assert (await bench.exit(handle)).code == 0
    began = time.monotonic()
    await bench.compute.collect(handle, bench.record(plan.run_id))
    took = time.monotonic() - began
    record_property("collect_50_mb_s", took)
    print(f"{place}: 50 MB collected in {took:.2f} s")
    assert sum(path.stat().st_size for path in (bench.record(plan.run_id) / "outputs").iterdir()) == 50_000_000
    assert took <= {"local": 2, "ssh": 4}[place]
