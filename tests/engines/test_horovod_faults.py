"""Horovod's processes that do not find each other, disagree, or lose who brought them together: each in one clear line."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from jupyter_mltrain.core.compute import Exit, Phase
from jupyter_mltrain.core.spec import MPI, Distribution
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import joining, processes, records
from jupyter_mltrain.service.failure import Failure, explain_first
from jupyter_mltrain.testing.bench import Bench, living
from tests.engines.test_horovod_real import INIT, python, words

__all__ = ["python"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600), pytest.mark.usefixtures("patient")]


async def ended(
    bench: Bench, python: str, code: str, into: Path, distribution: Distribution
) -> tuple[tuple[Exit, ...], Failure, str]:
    handle = await bench.launch(bench.prepare(code, python=python, distribution=distribution))
    streams = await bench.streams(handle)
    exits = (await bench.until(handle, Phase.EXITED)).exits
    assert not living(handle["run_id"]), "something of the run is left"
    for name, data in streams.items():
        (into / name).write_bytes(data)
    failure = explain_first(exits, into)
    assert failure is not None, words(streams)
    return exits, failure, words(streams)


async def test_ranks_that_disagree_on_a_shape(bench: Bench, python: str, tmp_path: Path) -> None:
    code = INIT + "hvd.init()\nhvd.allreduce(tf.ones((2 + hvd.rank(),)), name='gradients/dense')\n"
    _, failure, said = await ended(bench, python, code, tmp_path, Distribution(MPI, 1, 2))
    assert failure.title.startswith("Ranks 0 and 1 disagree on the shape of a tensor 'gradients/dense' (allreduce)"), (
        said
    )
    assert ": one has [2], the other [3]." in failure.title or ": one has [3], the other [2]." in failure.title
    assert "same model" in failure.mend


async def test_a_rank_that_never_joins_is_named(bench: Bench, python: str, tmp_path: Path) -> None:
    code = (
        "import os, time\nif os.environ['HOROVOD_RANK'] == '1':\n    print('no hurry')\n    time.sleep(10_000)\n"
        + INIT
        + "hvd.init()\n"
    )
    exits, failure, said = await ended(bench, python, code, tmp_path, Distribution(MPI, 2, 1, join_seconds=3))
    assert failure.title == (
        "Rank 1 (node 1, process 0) did not join the others within 3 s: its process runs, and it never called hvd.init()."
    ), said
    assert (failure.rank, exits[0].stopped) == (1, "not all joined")
    assert "--join-timeout" in failure.mend


async def test_the_rendezvous_matters_until_all_have_joined(bench: Bench, python: str, tmp_path: Path) -> None:
    """`kill -9` of Horovod's server while they train changes nothing; before, it is told in so many words."""
    code = (
        INIT
        + """
import time
hvd.init()
hvd.allreduce(tf.constant([1.0]), name="first")
print("they train")
while hvd.allreduce(tf.constant([float(os.path.exists("go"))]), name="all", op=hvd.Sum) < 2:
    time.sleep(0.05)
"""
    )
    handle = await bench.launch(bench.prepare(code, python=python, distribution=Distribution(MPI, 1, 2)))
    log = Path(handle["root"], "streams", "r0.log")
    both = [Path(joining.joined(records.Rank(handle["root"], rank))) for rank in (0, 1)]
    assert records.wait_for(lambda: log.exists() and b"they train" in log.read_bytes(), 300, 0.1)
    assert all(path.exists() for path in both)
    os.kill(server_of(handle["run_id"]), signal.SIGKILL)
    Path(handle["root"], "work", "go").touch()
    streams = await bench.streams(handle)
    exits = (await bench.until(handle, Phase.EXITED)).exits
    assert [exit_.code for exit_ in exits] == [0, 0], words(streams)


async def test_a_rendezvous_that_is_killed_too_early(bench: Bench, python: str, tmp_path: Path) -> None:
    code = "import time\ntime.sleep(10_000)\n"
    plan = bench.prepare(code, python=python, distribution=Distribution(MPI, 1, 2))
    handle = await bench.launch(plan)
    os.kill(server_of(handle["run_id"]), signal.SIGKILL)
    exits = (await bench.until(handle, Phase.EXITED)).exits
    failure = explain_first(exits, tmp_path)
    assert failure is not None
    assert failure.title == ("Horovod's rendezvous was ended before rank 0 (node 0, process 0) and rank 1 came to it.")
    assert not living(handle["run_id"])


def server_of(run_id: str) -> int:
    def cmdline(pid: int) -> bytes:
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return b""

    (found,) = [one.pid for one in processes.of_run(run_id, []) if b"rendezvous_server.py" in cmdline(one.pid)]
    return found
