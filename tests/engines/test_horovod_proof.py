"""Horovod's processes train under our launch as they do under `horovodrun`: the same numbers."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from jupyter_mltrain.core.compute import Phase
from jupyter_mltrain.core.spec import MPI, Distribution
from jupyter_mltrain.environments import Environments
from jupyter_mltrain.testing.bench import Bench

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600), pytest.mark.usefixtures("patient")]

STEPS = 60
# Each process has its half of the data, in an order that the seed tells; the loss is the mean of both.
SCRIPT = """
import json, os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import numpy as np, tensorflow as tf
import horovod.tensorflow as hvd
hvd.init()
folder, steps = sys.argv[1], int(sys.argv[2])
tf.keras.utils.set_random_seed(7)
chance = np.random.default_rng(1)
x = chance.normal(size=(1024, 16)).astype("float32")
y = np.tanh(x @ chance.normal(size=(16, 4))).astype("float32")
x, y = x[hvd.rank()::hvd.size()], y[hvd.rank()::hvd.size()]
model = tf.keras.Sequential([tf.keras.layers.Dense(32, "relu", input_shape=(16,)), tf.keras.layers.Dense(4)])
optimizer = tf.keras.optimizers.Adam(0.01)
hvd.broadcast_variables(model.variables, root_rank=0)
@tf.function
def step(a, b):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(a, training=True) - b) ** 2)
    tape = hvd.DistributedGradientTape(tape)
    optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))
    return hvd.allreduce(loss, name="loss")
batches = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed=3).repeat().batch(16)
losses = [float(step(a, b)) for a, b in batches.take(steps)]
with open(f"{folder}/{hvd.rank()}.json", "w") as file:
    json.dump({"size": hvd.size(), "losses": losses}, file)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    ready = Environments(tmp_path_factory.mktemp("environments")).prepare("tensorflow-horovod", log=lambda _: None)
    return ready.prepared.python


def losses_in(folder: Path) -> list[list[float]]:
    told = [json.loads((folder / f"{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1)]
    assert [one["size"] for one in told] == [2, 2]
    return [one["losses"] for one in told]


async def test_the_losses_are_those_of_horovodrun(bench: Bench, python: str, tmp_path: Path) -> None:
    ours, bare = tmp_path / "ours", tmp_path / "bare"
    ours.mkdir()
    bare.mkdir()
    plan = bench.prepare(SCRIPT, python=python, arguments=(str(ours), str(STEPS)), distribution=Distribution(MPI, 1, 2))
    handle = await bench.launch(plan)
    exits = (await bench.until(handle, Phase.EXITED)).exits
    assert [one.code for one in exits] == [0, 0], await bench.log(handle)

    (bare / "train.py").write_text(SCRIPT, encoding="utf-8")
    command = [Path(python).with_name("horovodrun"), "--gloo", "-np", "2", python, bare / "train.py", bare, str(STEPS)]
    done = subprocess.run(command, env=_as_at_a_prompt(python), cwd=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    (first, second), (theirs, _) = losses_in(ours), losses_in(bare)
    assert len(first) == STEPS
    assert first == second, "the mean of all is the same for each"
    assert first[-1] < first[0] / 2, "it does not train"
    assert first == pytest.approx(theirs, rel=1e-5)


def _as_at_a_prompt(python: str) -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(python).parent}:{os.environ['PATH']}"}
