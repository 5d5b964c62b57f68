"""What real processes use, as their shim samples it; with a driver that a C file stands for."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.computes.docker import DockerCompute
from jupyter_mltrain.computes.local import LocalCompute
from jupyter_mltrain.core.compute import Grant
from jupyter_mltrain.core.spec import Resources
from jupyter_mltrain.testing.bench import Bench
from tests.engines.docker_contract import PYTHON

BUSY = """
import subprocess, sys, time
held = bytearray(200_000_000)
for _ in range(14):  # children that come and go between two samples
    subprocess.run([sys.executable, "-S", "-c", "import time\\nend = time.process_time() + 0.1\\nwhile time.process_time() < end: pass"])
"""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(LocalCompute(), tmp_path)
    yield bench
    await bench.close()


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
    assert all(20 < value < 115 for _, value in numbers["cpu_percent"]), numbers["cpu_percent"]
    assert 200e6 < numbers["memory_bytes"][-1][1] < 400e6
    assert (items["given"]["cpus"], items["given"]["memory_limit"]) == (1, 1_000_000_000)


async def test_the_gpus_of_a_run_are_sampled_and_no_others(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(tmp_path, monkeypatch)
    plan = bench.prepare("import time; time.sleep(4.2)", grant=Grant(gpus=(1, 2)))
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
    numbers, items = await sampled(bench, bench.prepare("import time; time.sleep(1.5)", grant=Grant(gpus=(0,))))
    assert items["gpu_problem"]["text"] == "the NVIDIA driver answers Driver Not Loaded (nvmlInit_v2)"
    assert set(numbers) == {"cpu_percent", "memory_bytes"}


async def test_a_container_is_sampled_from_inside(docker_engine: Any, tmp_path: Path) -> None:
    compute = DockerCompute(url=docker_engine.url, base_image=docker_engine.image)
    bench = Bench(compute, tmp_path, PYTHON)
    code = "held = bytearray(100_000_000)\nimport time\nwhile time.process_time() < 1.5: pass"
    asked = Resources(cpus=1, memory_gb=0.5)
    handle = await bench.launch(bench.prepare(code, resources=asked, grant=Grant(cpus=1, memory_gb=0.5)))
    said = b"".join([frame.data async for frame in compute.stream(handle, {}) if frame.stream == "r0.system"])
    await bench.close()
    given, *samples = map(json.loads, said.splitlines())
    assert (given["cpus"], given["memory_limit"], given["gpus"]) == (1, 500_000_000, 0)
    most = max(value for name, _, _, value in samples if name == "memory_bytes")
    assert 100e6 < most < 200e6


def driver(folder: Path, monkeypatch: pytest.MonkeyPatch, **state: str) -> None:
    """Runs from now on find the libraries of a driver with four devices."""
    source = Path(__file__).with_name("fake_driver.c")
    for name in ("libnvidia-ml.so.1", "libcuda.so.1"):
        subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / name, source], check=True)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
    for name, value in state.items():
        monkeypatch.setenv(name, value)
