"""Several processes that train together, on the real TensorFlow, as runs of the local engine."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from jupyter_mltrain.core.compute import Phase
from jupyter_mltrain.core.spec import TENSORFLOW, Distribution
from jupyter_mltrain.service.failure import failed_ranks
from jupyter_mltrain.testing.bench import Bench
from tests.engines.python_environment import tensorflow_python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("patient")]

# Keras 3 does not `fit` under this strategy; a loop of one's own trains.
MIRRORED = """
import hashlib, json, os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import numpy as np, tensorflow as tf
tf.config.threading.set_inter_op_parallelism_threads(2)
strategy = tf.distribute.MultiWorkerMirroredStrategy()
task = json.loads(os.environ["TF_CONFIG"])["task"]
print("task", task["type"], task["index"], "of", strategy.num_replicas_in_sync)
tf.keras.utils.set_random_seed(7)
x = np.random.default_rng(1).normal(size=(256, 8)).astype("float32")
y = (x[:, :1] * 3 - x[:, 1:2]).astype("float32")
def batches(context):
    return tf.data.Dataset.from_tensor_slices((x, y)).shard(2, context.input_pipeline_id).repeat().batch(16)
with strategy.scope():
    model = tf.keras.Sequential([tf.keras.Input((8,)), tf.keras.layers.Dense(16, "relu"), tf.keras.layers.Dense(1)])
    optimizer = tf.keras.optimizers.SGD(0.05)
    optimizer.build(model.trainable_variables)
@tf.function
def step(iterator):
    def own(batch):
        a, b = batch
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(a) - b) ** 2) / 2
        grads = tape.gradient(loss, model.trainable_variables)
        grads = tf.distribute.get_replica_context().all_reduce("SUM", grads)
        for variable, grad in zip(model.trainable_variables, grads):
            variable.assign_sub(0.05 * grad)
        return loss
    return strategy.reduce("SUM", strategy.run(own, args=(next(iterator),)), axis=None)
iterator = iter(strategy.distribute_datasets_from_function(batches))
from jupyter_mltrain import Run
run = Run.get_context()
for i in range(20):
    loss = float(step(iterator))
    run.log("loss", loss, step=i)
weights = b"".join(w.tobytes() for w in model.get_weights())
run.tag(f"weights {task['index']}", hashlib.sha256(weights).hexdigest())
"""


# The workers and the server wait for work without end; the chief gives it, and its end is the run's. Alone, it does it all.
SERVED = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
import numpy as np, tensorflow as tf
from jupyter_mltrain import Run
together = "TF_CONFIG" in os.environ
chance = np.random.default_rng(1)
middles = chance.normal(size=(10, 16)) * 1.2
def examples(count):
    labels = chance.integers(0, 10, count)
    return (middles[labels] + chance.normal(size=(count, 16))).astype("float32"), labels
(x, y), (x_test, y_test) = examples(4000), examples(2000)
def batches():
    return tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x)).repeat().batch(32)
if together:
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if resolver.task_type != "chief":
        tf.distribute.Server(
            resolver.cluster_spec(), job_name=resolver.task_type, task_index=resolver.task_id, protocol="grpc"
        ).join()
    strategy = tf.distribute.ParameterServerStrategy(resolver)
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
    print("workers", resolver.cluster_spec().num_tasks("worker"))
else:
    strategy = tf.distribute.get_strategy()
with strategy.scope():
    first = tf.Variable(chance.normal(size=(16, 32), scale=0.2).astype("float32"))
    second = tf.Variable(chance.normal(size=(32, 10), scale=0.2).astype("float32"))
def logits(a):
    return tf.nn.relu(a @ first) @ second
@tf.function
def step(iterator):
    a, b = next(iterator)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(b, logits(a)))
    for variable, gradient in zip([first, second], tape.gradient(loss, [first, second])):
        variable.assign_sub(0.1 * gradient)
iterator = iter(coordinator.create_per_worker_dataset(batches) if together else batches())
for _ in range(600):
    coordinator.schedule(step, args=(iterator,)) if together else step(iterator)
if together:
    coordinator.join()
Run.get_context().log("accuracy", float(np.mean(logits(x_test).numpy().argmax(1) == y_test)))
"""


@pytest.fixture(scope="module")
def python() -> str:
    return str(tensorflow_python())


async def test_two_workers_end_with_the_same_weights_to_the_bit(bench: Bench, python: str) -> None:
    handle = await bench.launch(bench.prepare(MIRRORED, python=python, distribution=Distribution(TENSORFLOW, 2)))
    streams = await bench.streams(handle)
    seen = await bench.until(handle, Phase.EXITED)
    said = [streams[f"r{rank}.log"].decode("utf-8", "replace") for rank in (0, 1)]
    assert [exit_.code for exit_ in seen.exits] == [0, 0], "\n".join(said)
    assert "task worker 0 of 2" in said[0]
    assert "task worker 1 of 2" in said[1]
    logged = [
        [
            json.loads(line)
            for name, data in streams.items()
            if name.startswith(f"r{rank}-")
            for line in data.splitlines()
        ]
        for rank in (0, 1)
    ]
    losses = [[one[3] for one in rank if isinstance(one, list)] for rank in logged]
    assert losses[0] == losses[1]
    assert losses[0][-1] < losses[0][0] / 2
    weights = {one["value"] for rank in logged for one in rank if isinstance(one, dict) and one["k"] == "tag"}
    assert len(weights) == 1


async def test_a_chief_with_workers_and_a_parameter_server_trains_as_one_process_does(
    bench: Bench, python: str
) -> None:
    asked = Distribution(TENSORFLOW, 3, parameter_servers=1, chief=True)
    handle = await bench.launch(bench.prepare(SERVED, python=python, distribution=asked))
    streams = await bench.streams(handle)
    exits = (await bench.until(handle, Phase.EXITED)).exits
    said = "\n".join(data.decode(errors="replace") for name, data in streams.items() if name.endswith(".log"))
    assert exits[0].code == 0, said
    assert "workers 2" in said
    assert [exit_.stopped for exit_ in exits] == ["", *["the others are done"] * 3], said
    assert failed_ranks(exits) == []

    alone = await bench.launch(bench.prepare(SERVED, python=python))
    by_one = accuracy(await bench.streams(alone))
    assert by_one > 0.9
    assert accuracy(streams) == pytest.approx(by_one, abs=0.02)


def accuracy(streams: Mapping[str, bytes]) -> float:
    """What rank 0 logged, alone."""
    told = [json.loads(line) for name, data in streams.items() if name.startswith("r0-") for line in data.splitlines()]
    (point,) = (one for one in told if isinstance(one, list))
    return float(point[3])
