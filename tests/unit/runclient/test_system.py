"""What a shim samples of a run: how often, what of it is written, and a driver that is absent, fails or hangs."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.core import records
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import gpus, memory, nvml, system
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim.nvml import Memory, NvmlError

DAY = 86_400


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_run_of_ten_days_leaves_a_bounded_file_that_keeps_every_extreme(tmp_path: Path) -> None:
    clock = Clock()
    usage = system.Usage(system.Samples(str(tmp_path / "r0.system"), clock), 4, 8_000_000_000, now=0)
    peak_at, used = 9 * DAY + 123, 0.0
    for second in range(1, 10 * DAY):
        clock.now = second
        used += 2.0  # two of four CPUs
        usage.saw(used, 7_000_000_000 if second == peak_at else 1_000_000_000, now=second)
    path = tmp_path / "r0.system"
    assert path.stat().st_size < 600_000
    found, consumed = records.parse(path.read_bytes())
    assert consumed == path.stat().st_size
    scalars = [one for one in found if type(one) is list]
    assert 5_000 < len(scalars) / 2 < 7_000
    assert max(value for name, _, _, value in scalars if name == "memory_bytes") == 7_000_000_000
    assert {value for name, _, _, value in scalars if name == "cpu_percent"} == {50.0}
    early = [at for name, _, at, _ in scalars if name == "cpu_percent"][:4]
    assert early == [1, 3, 5, 7]
    assert found[0]["k"] == "given"
    assert (found[0]["cpus"], found[0]["memory_limit"], found[0]["gpus"]) == (4, 8_000_000_000, 0)


def test_a_run_of_a_moment_has_no_file(tmp_path: Path) -> None:
    usage = system.Usage(system.Samples(str(tmp_path / "r0.system")), 1, None, now=0)
    usage.saw(0.01, 1000, now=0.01)
    usage.close()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_costs_samples_only(tmp_path: Path) -> None:
    usage = system.Usage(system.Samples("/dev/full"), 1, None, now=0)
    usage.saw(0.5, 1000, now=1)


@pytest.mark.parametrize(
    ("visible", "given"),
    [("0,1", ["0", "1"]), ("-1", []), ("", []), (None, []), ("GPU-ab, 3", ["GPU-ab", "3"]), ("1,-1,2", ["1"])],
)
def test_the_gpus_of_a_run_are_those_that_cuda_would_take(visible: str | None, given: list[str]) -> None:
    assert gpus.given({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}) == given


class Driver:
    """Stands for `Nvml`. `fails`: says no from the second look on; `hangs`: never answers."""

    def __init__(self, fails: bool = False, hangs: threading.Event | None = None) -> None:
        self.fails, self.hangs = fails, hangs
        self.looks = 0
        self.asked: list[str] = []

    def device(self, name: str) -> str:
        self.asked.append(name)
        return name

    def model(self, device: str) -> str:
        return f"Model {device}"

    def memory(self, device: str) -> Memory:
        return Memory(used=1000 * self.looks, total=80_000)

    def busy(self, device: str) -> int | None:
        if self.hangs is not None:
            self.hangs.wait(5)
        self.looks += 1
        if self.fails:
            raise NvmlError("the NVIDIA driver answers GPU is lost")
        return 10 * self.looks


def eventually(path: Path, name: str) -> Any:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for line in lines(path):
            if (line[0] if isinstance(line, list) else line["k"]) == name:
                return line
        time.sleep(0.005)
    raise AssertionError(f"no {name} in {lines(path)}")


def test_a_sample_is_the_mean_and_the_most_of_what_the_driver_said_since_the_last(tmp_path: Path) -> None:
    path, driver = tmp_path / "r0.system", Driver()
    watched = gpus.Gpus(["3"], system.Samples(str(path)), lambda: driver, every=0.005)
    watched.start()
    assert eventually(path, "gpus")["gpus"] == [{"name": "3", "model": "Model 3", "memory": 80_000}]
    while driver.looks < 3:
        time.sleep(0.001)
    assert not [line for line in lines(path) if isinstance(line, list)], "nothing is written before it is wanted"
    watched.want(time.monotonic())
    share, memory = eventually(path, "gpu3_percent")[3], eventually(path, "gpu3_memory_bytes")[3]
    looks = memory // 1000
    assert looks >= 3
    assert share == round(sum(10 * look for look in range(1, looks + 1)) / looks, 1)
    watched.close()
    size = path.stat().st_size
    watched.want(time.monotonic())
    time.sleep(0.03)
    assert path.stat().st_size == size
    assert driver.asked == ["3"], "no other device is looked at"


def test_a_driver_that_fails_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "_AFTER_PROBLEM", 0.005)
    path, driver = tmp_path / "r0.system", Driver(fails=True)
    watched = gpus.Gpus(["0"], system.Samples(str(path)), lambda: driver, every=0.001)
    watched.start()
    assert eventually(path, "gpu_problem")["text"] == "the NVIDIA driver answers GPU is lost"
    while driver.looks < 3:
        time.sleep(0.001)
    watched.close()
    assert len([line for line in lines(path) if isinstance(line, dict) and line["k"] == "gpu_problem"]) == 1


def test_a_driver_that_hangs_holds_nothing_up_and_is_told(tmp_path: Path) -> None:
    path, gate = tmp_path / "r0.system", threading.Event()
    samples = system.Samples(str(path))
    watched = gpus.Gpus(["0"], samples, lambda: Driver(hangs=gate), every=0.001)
    usage = system.Usage(samples, 1, None, watched, now=time.monotonic() - 5)
    began = time.monotonic()
    usage.saw(1.0, 1, now=began)
    eventually(path, "gpus")
    usage.saw(2.0, 1, now=began + 100)
    assert time.monotonic() - began < 60
    assert eventually(path, "gpu_problem")["text"] == "the NVIDIA driver has not answered for 30 s"
    gate.set()
    usage.close()


def test_no_driver_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "LIBRARY", "libmltrain-none.so.1")
    path = tmp_path / "r0.system"
    watched = gpus.Gpus(["0"], system.Samples(str(path)))
    watched.start()
    assert eventually(path, "gpu_problem")["text"] == (
        "no NVIDIA driver is here: libmltrain-none.so.1 cannot be loaded"
    )
    watched.close()


@pytest.mark.parametrize(
    ("version", "names"),
    [
        (2, ("memory.max", "memory.current", "inactive_file")),
        (1, ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")),
    ],
)
def test_a_container_that_is_the_runs_own_tells_what_it_holds(
    tmp_path: Path, version: int, names: tuple[str, str, str]
) -> None:
    allowed, used, cache = names
    (tmp_path / used).write_text("900000000\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\n{cache} 200000000\n")
    (tmp_path / allowed).write_text("999997440\n")  # a billion, in whole pages
    group = memory.Group(str(tmp_path), version, None)
    assert group.is_for(10**9)
    assert group.used() == 700_000_000
    assert not group.is_for(2 * 10**9)
    assert not group.is_for(None)
    (tmp_path / allowed).write_text("max\n")
    assert not group.is_for(10**9)
    assert memory.Group(str(tmp_path), version, 10**9).is_for(10**9)


@pytest.mark.parametrize(
    ("version", "name", "text", "seconds"),
    [
        (1, "cpuacct.usage", "2500000000\n", 2.5),
        (2, "cpu.stat", "usage_usec 2500000\nuser_usec 2000000\n", 2.5),
        (2, "cpu.stat", "user_usec 2000000\n", None),
        (1, "other", "5", None),
    ],
)
def test_the_cpu_of_a_container_is_the_kernels_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, name: str, text: str, seconds: float | None
) -> None:
    (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "present", lambda *_: (str(tmp_path), version))
    assert system.CpuCounter().seconds() == seconds
    monkeypatch.setattr(memory, "present", lambda *_: None)
    assert system.CpuCounter().seconds() is None


def test_what_was_used_before_the_start_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "r0.system"
    usage = system.Usage(system.Samples(str(path)), 1, None, now=0, used=30.0)
    usage.saw(30.5, 1000, now=1)
    assert [value for name, _, _, value in lines(path)[1:] if name == "cpu_percent"] == [50.0]
