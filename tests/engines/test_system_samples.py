"""What real processes use, as their shim samples it; with a driver that a C file stands for."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.computes.archives import Entry, archive
from jupyter_mltrain.computes.docker import DockerCompute
from jupyter_mltrain.core.compute import Grant
from jupyter_mltrain.core.spec import Resources
from jupyter_mltrain.testing.bench import Bench
from tests.engines.docker_contract import PYTHON

WAITED = """
import os, time
samples = os.environ["MLTRAIN_STREAMS"] + "/r0.system"
def wait_for(count, name='"memory_bytes"'):
    while not os.path.exists(samples) or open(samples).read().count(name) < count:
        time.sleep(0.05)
    return open(samples).read().count(name)
"""
BUSY = f"""
import resource, subprocess, sys
{WAITED}
held = bytearray(200_000_000)
wait_for(1)
for _ in range(14):  # children that come and go between two samples
    subprocess.run([sys.executable, "-S", "-c", "import time\\nend = time.process_time() + 0.1\\nwhile time.process_time() < end: pass"])
wait_for(wait_for(1) + 2)
print(sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
"""


async def sampled(bench: Bench, plan: Any) -> tuple[dict[str, list[tuple[float, float]]], dict[str, Any]]:
    """Points (time, value) by name, and items by kind, of a run that has ended."""
    began = time.time()
    handle = await bench.launch(plan)
    exit_ = await bench.exit(handle)
    assert exit_.code == 0, await bench.log(handle)
    numbers: dict[str, list[tuple[float, float]]] = {}
    items: dict[str, Any] = {}
    path = Path(handle["root"], "streams", "r0.system")
    for line in map(json.loads, path.read_text().splitlines()):
        if isinstance(line, list):
            assert began <= line[2] <= time.time()
            numbers.setdefault(line[0], []).append((line[2], line[3]))
        else:
            items[line["k"]] = line
    return numbers, items


async def test_the_cpu_of_children_that_came_and_went_is_the_runs(bench: Bench) -> None:
    plan = bench.prepare(BUSY, resources=Resources(cpus=1, memory_gb=1), grant=Grant(cpus=1, memory_gb=1.0))
    numbers, items = await sampled(bench, plan)
    assert set(numbers) == {"cpu_percent", "memory_bytes"}
    used = float(await bench.log(bench.handles[-1]))
    # Of the time since the first sample, however long that took on this machine; the kernel counts in hundredths.
    assert 1.2 < seconds(numbers["cpu_percent"]) < used + 0.3
    assert 200e6 < numbers["memory_bytes"][-1][1] < 400e6
    assert (items["given"]["cpus"], items["given"]["memory_limit"]) == (1, 1_000_000_000)


def seconds(shares: list[tuple[float, float]]) -> float:
    """Of one CPU, from the first sample on; `shares`: times and percents."""
    return sum(value / 100 * (at - before) for (before, _), (at, value) in itertools.pairwise(shares))


async def test_the_gpus_of_a_run_are_sampled_and_no_others(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(tmp_path, monkeypatch)
    plan = bench.prepare(f"{WAITED}\nwait_for(1, 'gpu2_memory_bytes')", grant=Grant(gpus=(1, 2)))
    numbers, items = await sampled(bench, plan)
    assert [(gpu["name"], gpu["model"], gpu["memory"]) for gpu in items["gpus"]["gpus"]] == [
        ("1", "Fake 1", 80_000_000_000),
        ("2", "Fake 2", 80_000_000_000),
    ]
    assert {value for _, value in numbers["gpu1_percent"]} == {11.0}
    assert {value for _, value in numbers["gpu2_memory_bytes"]} == {3_000_000_000}
    assert not [name for name in numbers if name.startswith(("gpu0", "gpu3"))]


async def test_a_driver_that_fails_is_told_and_training_goes_on(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(tmp_path, monkeypatch, NVIDIA_FAKE_INIT="9")
    plan = bench.prepare(f"{WAITED}\nwait_for(1, 'gpu_problem')", grant=Grant(gpus=(0,)))
    numbers, items = await sampled(bench, plan)
    assert items["gpu_problem"]["text"] == "the NVIDIA driver answers Driver Not Loaded (nvmlInit_v2)"
    assert set(numbers) == {"cpu_percent", "memory_bytes"}


KNOWN = f"""
{WAITED}
wait_for(1)
held = bytearray(100_000_000)
with open("/dev/shm/shared", "wb") as file:  # as loaders with several processes do
    file.write(held)
print("ready", flush=True)
while not os.path.exists("go"):
    time.sleep(0.05)
end = time.process_time() + 1.5
while time.process_time() < end:
    pass
print("burnt", flush=True)
time.sleep(600)
"""


async def test_a_container_uses_what_its_engines_stats_say(docker_engine: Any, tmp_path: Path) -> None:
    """Between what the engine says before a sample is taken and after it: however busy the machine is."""
    compute = DockerCompute(url=docker_engine.url, base_image=docker_engine.image)
    bench = Bench(compute, tmp_path, PYTHON)
    handle = await bench.run(KNOWN, resources=Resources(cpus=1), grant=Grant(cpus=1))
    connection = compute.connection

    def engine() -> tuple[float, float, float]:
        """Now, CPU seconds so far, and bytes without the page cache that could be given back."""
        said = connection.do(lambda client: client.stats(handle["container"], stream=False, one_shot=True))
        memory = said["memory_stats"]
        cache = memory["stats"].get("total_inactive_file", memory["stats"].get("inactive_file", 0))
        return time.time(), said["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9, memory["usage"] - cache

    def go() -> None:
        place, data = f"{handle['root']}/work", b"".join(archive([Entry("go", data=b"")]))
        connection.do(lambda client: client.put_archive(handle["container"], place, data))

    await bench.said(handle, b"ready")
    _, before, _ = engine()
    go()
    await bench.said(handle, b"burnt")
    burnt_at, burnt, held = engine()
    given, first, *samples = [one async for one in sampled_after(compute, handle, burnt_at)]
    _, after, _ = engine()
    await bench.close()
    assert (given["k"], given["cpus"], given["memory_limit"], given["gpus"]) == ("given", 1, None, 0)
    cpu = seconds([(at, value) for name, _, at, value in (first, *samples) if name == "cpu_percent"])
    assert burnt - before >= 1.5
    # What the container used from the first sample on: at most some of the time between that and `before` more.
    assert burnt - before - 0.1 <= cpu <= after
    assert 200e6 < held < 300e6
    assert abs(samples[-1][3] - held) < 20e6, (samples[-1], held)


async def sampled_after(compute: DockerCompute, handle: Any, moment: float) -> AsyncIterator[Any]:
    """Records of the run's samples, up to the first memory that was all measured after `moment`."""
    rest, seen = b"", 0
    async with asyncio.timeout(60), contextlib.aclosing(compute.stream(handle, {})) as frames:
        async for frame in frames:
            if frame.stream == "r0.system":
                *lines, rest = (rest + frame.data).split(b"\n")
                for record in map(json.loads, lines):
                    yield record
                    seen += isinstance(record, list) and record[0] == "memory_bytes" and record[2] > moment
                    if seen == 2:
                        return


def driver(folder: Path, monkeypatch: pytest.MonkeyPatch, **state: str) -> None:
    """Runs from now on find the libraries of a driver with four devices."""
    source = Path(__file__).with_name("fake_driver.c")
    for name in ("libnvidia-ml.so.1", "libcuda.so.1"):
        subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / name, source], check=True)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
    for name, value in state.items():
        monkeypatch.setenv(name, value)
