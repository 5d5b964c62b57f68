"""Before the script of a run with GPUs: TensorFlow must see them, or the run fails saying which part is missing. The driver is
a C file, TensorFlow a module in the run's folder; all processes are real."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.core.compute import Grant
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim.gpu_check import problem
from jupyter_mltrain.service.failure import explain, failed_ranks
from jupyter_mltrain.testing.bench import Bench

TENSORFLOW = """
import sys
print("TensorFlow's own words", file=sys.stderr)
__version__ = "2.20.0"
{first}
class config:
    list_physical_devices = staticmethod(lambda kind: ["GPU"] * {seen})
class test:
    is_built_with_cuda = staticmethod(lambda: {cuda})
class sysconfig:
    get_build_info = staticmethod(lambda: {{"cuda_version": "12.5.1", "cudnn_version": "9"}})
"""
LIBRARIES = ("libcudart.so.12", "libcublas.so.12", "libcudnn.so.9")


def tensorflow(*, seen: int = 0, cuda: bool = True, first: str = "") -> str:
    return TENSORFLOW.format(seen=seen, cuda=cuda, first=first)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a driver of four devices."""
    folder = tmp_path_factory.mktemp("driver")
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-o", folder / "libcuda.so.1", Path(__file__).with_name("fake_driver.c")], check=True
    )
    return folder


@pytest.mark.parametrize(
    ("module", "state", "absent", "says"),
    [
        (tensorflow(seen=2), {}, (), None),
        (tensorflow(cuda=False), {}, (), "because of the wheel: tensorflow 2.20.0 is a build for CPUs alone."),
        (tensorflow(first="import nothing_of_that_name"), {}, (), "because of the wheel: tensorflow cannot be"),
        (tensorflow(), {"LD_LIBRARY_PATH": ""}, (), "because of the driver: libcuda.so.1 cannot be loaded."),
        (tensorflow(), {"NVIDIA_FAKE_INIT": "100"}, (), "because of the driver: it answers no CUDA-capable device"),
        (tensorflow(), {"NVIDIA_FAKE_CUDA": "11040"}, (), "it is good for CUDA 11.4, and this tensorflow needs CUDA 12.5.1."),
        (tensorflow(seen=1), {"CUDA_VISIBLE_DEVICES": "0"}, (), "because of the driver: it shows 1 of the 2 GPUs"),
        (tensorflow(), {}, LIBRARIES[2:], "because of the toolkit: libcudnn.so.9 cannot be loaded."),
        (tensorflow(seen=1), {}, (), "tensorflow 2.20.0 sees 1 of 2 GPUs, though driver, toolkit and wheel are there."),
        (tensorflow(first="import os; os.abort()"), {}, (), "TensorFlow was not there to say whether it sees a GPU (exit code -6)."),
    ],
)  # fmt: skip
def test_the_part_that_is_missing_is_named(
    tmp_path: Path,
    driver: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    state: dict[str, str],
    absent: tuple[str, ...],
    says: str | None,
) -> None:
    (tmp_path / "tensorflow.py").write_text(module)
    wheels = tmp_path / "nvidia" / "cuda" / "lib"
    wheels.mkdir(parents=True)
    for name in set(LIBRARIES) - set(absent):
        (wheels / name).touch()
    monkeypatch.chdir(tmp_path)
    env = {**os.environ, "LD_LIBRARY_PATH": str(driver), "CUDA_VISIBLE_DEVICES": "0,1", **state}
    found = problem(sys.executable, env, 2)
    if says is None:
        assert found is None
    else:
        assert found is not None
        assert says in found["title"]
        assert found["said"].startswith("TensorFlow's own words")


def test_an_environment_without_tensorflow_has_nothing_to_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    without = {**env, "PYTHONPATH": str(hidden(tmp_path))}
    assert problem(sys.executable, without, 1) is None


def hidden(folder: Path) -> Path:
    """A folder that, on PYTHONPATH, hides an installed TensorFlow."""
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\nu.find_spec = lambda name, *a: None if name == 'tensorflow' else find(name, *a)\n"
    )
    return folder / "site"


def test_it_takes_no_longer_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tensorflow.py").write_text("import time; time.sleep(600)")
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()
    found = problem(sys.executable, os.environ, 1, patience=0.5)
    assert time.monotonic() - began < 300
    assert found is not None
    assert found["title"] == "TensorFlow did not say within 0.5 s whether it sees a GPU."


async def ended(bench: Bench, module: str, gpus: tuple[int, ...], **variables: str) -> tuple[Any, Any, str]:
    files = {"tensorflow.py": module.encode()}
    plan = bench.prepare("print('trained')", files=files, grant=Grant(gpus=gpus), variables=variables)
    handle = await bench.launch(plan)
    return handle, await bench.exit(handle), await bench.log(handle)


async def test_a_run_whose_tensorflow_sees_no_gpu_fails_before_its_script(bench: Bench) -> None:
    handle, exit_, log = await ended(bench, tensorflow(cuda=False), (0,))
    assert "trained" not in log
    assert "TensorFlow's own words" in log
    assert (exit_.code, exit_.signal, exit_.stopped) == (None, None, "no GPU")
    assert failed_ranks((exit_,)) == [exit_]
    failure = explain(exit_, Path(handle["root"], "streams", "r0.log"))
    assert failure.title == (
        "TensorFlow does not see the GPU because of the wheel: tensorflow 2.20.0 is a build for CPUs alone."
    )
    assert failure.mend.startswith("Use an environment with tensorflow[and-cuda]")
    assert failure.traceback is None


async def test_one_that_sees_it_trains_with_nothing_else_in_its_log(bench: Bench) -> None:
    _, exit_, log = await ended(bench, tensorflow(seen=1), (0,))
    assert (exit_.code, log) == (0, "trained\n")


async def test_nothing_is_looked_for_without_a_gpu_or_where_it_is_off(bench: Bench) -> None:
    blind = "open('looked', 'w'); raise SystemExit"
    for gpus, off in (((), {}), ((0,), {"MLTRAIN_GPU_CHECK": "off"})):
        handle, exit_, log = await ended(bench, blind, gpus, **off)
        assert (exit_.code, log) == (0, "trained\n")
        assert not Path(handle["root"], "work", "looked").exists()


async def test_a_program_that_is_not_there_is_told_as_ever(bench: Bench) -> None:
    plan = bench.prepare(
        command=("no-such-program",), files={"tensorflow.py": tensorflow(seen=1).encode()}, grant=Grant(gpus=(0,))
    )
    exit_ = await bench.exit(await bench.launch(plan))
    assert exit_.error == "could not run no-such-program: No such file or directory"
    assert (exit_.code, exit_.stopped) == (None, "")
