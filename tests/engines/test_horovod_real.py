"""Horovod, compiled once and launched through its own rendezvous, as runs of the local engine."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from jupyter_mltrain.core.compute import Exit, Phase
from jupyter_mltrain.core.spec import MPI, Distribution
from jupyter_mltrain.environments import Environments
from jupyter_mltrain.service.failure import explain_first
from jupyter_mltrain.testing.bench import Bench, living

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600), pytest.mark.usefixtures("patient")]

INIT = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import tensorflow as tf
import horovod.tensorflow as hvd
from jupyter_mltrain import Run
run = Run.get_context()
"""
WHERE = (
    INIT
    + """
hvd.init()
numbers = [hvd.rank(), hvd.size(), hvd.local_rank(), hvd.local_size(), hvd.cross_rank(), hvd.cross_size()]
assert [hvd.mpi_enabled(), hvd.gloo_enabled()] == ([True, False] if "PMIX_RANK" in os.environ else [False, True])
total = hvd.allreduce(tf.constant([float(hvd.rank() + 1)]), op=hvd.Sum)
run.log_list("numbers", [*numbers, int(total[0])])
"""
)
# Keras and its optimizer through Horovod: each rank sees its half of the data, and all have the same weights.
KERAS = """
import hashlib, os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import numpy as np, tensorflow as tf
import horovod.tensorflow.keras as hvd
from jupyter_mltrain import Run
run = Run.get_context()
hvd.init()
tf.keras.utils.set_random_seed(7 + hvd.rank())
x = np.random.default_rng(1).normal(size=(256, 8)).astype("float32")
y = (x[:, :1] * 3 - x[:, 1:2]).astype("float32")
x, y = x[hvd.rank()::hvd.size()], y[hvd.rank()::hvd.size()]
model = tf.keras.Sequential([tf.keras.layers.Dense(16, "relu", input_shape=(8,)), tf.keras.layers.Dense(1)])
model.compile(hvd.DistributedOptimizer(tf.keras.optimizers.SGD(0.05)), "mse")
begin = [hvd.callbacks.BroadcastGlobalVariablesCallback(0), hvd.callbacks.MetricAverageCallback()]
history = model.fit(x, y, batch_size=16, epochs=4, shuffle=False, verbose=0, callbacks=begin).history
run.log_list("loss", history["loss"])
run.tag("weights", hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest())
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The curated environment, in the user's own cache: compiled once on a machine."""
    log: list[str] = []
    ready = Environments(tmp_path_factory.mktemp("environments")).prepare("tensorflow-horovod", log=log.append)
    assert "horovod==0.28.1" in ready.packages
    if not ready.cached:
        percents = [line for line in log if re.fullmatch(r"Compiling horovod: \d+ %", line)]
        assert percents or ready.seconds < 120, "minutes went by without a word of how far it is"
    return ready.prepared.python


async def run_of(
    bench: Bench, python: str, code: str, nodes: int, local: int, *, mpirun: bool = False
) -> tuple[tuple[Exit, ...], dict[str, bytes]]:
    asked = Distribution(MPI, nodes, local, mpirun=mpirun)
    handle = await bench.launch(bench.prepare(code, python=python, distribution=asked))
    streams = await bench.streams(handle)
    exits = (await bench.until(handle, Phase.EXITED)).exits
    async with asyncio.timeout(60):
        while mpirun and living(handle["run_id"]):  # it ends after its ranks
            await asyncio.sleep(0.05)
    assert not living(handle["run_id"]), "something of the run is left"
    return exits, streams


def logged(streams: dict[str, bytes], rank: int, kind: str) -> list[dict[str, object]]:
    data = b"".join(data for name, data in streams.items() if name.startswith(f"r{rank}-"))
    return [line for line in map(json.loads, data.splitlines()) if isinstance(line, dict) and line["k"] == kind]


def words(streams: dict[str, bytes]) -> str:
    return "\n".join(data.decode(errors="replace") for name, data in streams.items() if name.endswith(".log"))


@pytest.mark.parametrize(
    ("nodes", "local", "mpirun"), [(1, 2, False), (2, 1, False), (2, 2, False), (1, 2, True)], ids=str
)
async def test_each_process_knows_where_it_is(bench: Bench, python: str, nodes: int, local: int, mpirun: bool) -> None:
    exits, streams = await run_of(bench, python, WHERE, nodes, local, mpirun=mpirun)
    size = nodes * local
    assert [(e.code, e.note) for e in exits] == [(0, "")] * size, words(streams)
    for rank in range(size):
        node, local_rank = divmod(rank, local)
        (told,) = logged(streams, rank, "list")
        assert told["values"] == [rank, size, local_rank, local, node, nodes, size * (size + 1) // 2]


async def test_keras_trains_to_the_same_weights_everywhere(bench: Bench, python: str) -> None:
    exits, streams = await run_of(bench, python, KERAS, 1, 2)
    assert [e.code for e in exits] == [0, 0], words(streams)
    (first,), (second,) = (logged(streams, rank, "list") for rank in (0, 1))
    assert first["values"] == second["values"], "the loss is the mean of all"
    losses = first["values"]
    assert isinstance(losses, list)
    assert losses[-1] < losses[0] / 2
    assert len({tag["value"] for rank in (0, 1) for tag in logged(streams, rank, "tag")}) == 1


@pytest.mark.parametrize("mpirun", [False, True], ids=["gloo", "mpi"])
async def test_a_failing_rank_is_the_cause_and_ends_the_others(
    bench: Bench, python: str, tmp_path: Path, mpirun: bool
) -> None:
    code = INIT + (
        "hvd.init()\n"
        "if hvd.rank() == 1:\n"
        "    raise ValueError('no such batch')\n"
        "while True:\n"
        "    hvd.allreduce(tf.constant([1.0]), name='all')\n"
    )
    exits, streams = await run_of(bench, python, code, 1, 2, mpirun=mpirun)
    for name, data in streams.items():
        (tmp_path / name).write_bytes(data)
    failure = explain_first(exits, tmp_path)
    assert failure is not None
    assert (failure.rank, failure.title) == (1, "ValueError: no such batch on rank 1"), words(streams)


async def test_a_script_that_never_calls_init_is_told_of(bench: Bench, python: str) -> None:
    exits, _ = await run_of(bench, python, "print('alone')", 2, 1)
    assert [(e.code, e.note) for e in exits] == [(0, "never called hvd.init(), and trained alone")] * 2


async def test_an_environment_without_horovod_says_so(bench: Bench) -> None:
    handle = await bench.launch(bench.prepare("print(1)", distribution=Distribution(MPI, 2, 1)))
    exits = (await bench.until(handle, Phase.EXITED)).exits
    assert exits[0].error.startswith("the environment has no Horovod")
    assert "tensorflow-horovod" in exits[0].error
