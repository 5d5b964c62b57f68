"""The callback and MLflow's autologging in a real training, in runs of the local engine: Keras 3 and Keras 2."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from uv import find_uv_bin

from jupyter_mltrain.testing.bench import Bench

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("patient")]

TRAIN = """
import os, sys
import numpy as np, tensorflow as tf
if sys.argv[1] == "2":
    import tf_keras as keras
else:
    import keras
if "autolog" in sys.argv:
    import mlflow
    mlflow.autolog()
from jupyter_mltrain import Run
from jupyter_mltrain.keras import MLTrainCallback
layer = keras.layers.Dense(3, activation="softmax", input_shape=(4,)) if sys.argv[1] == "2" else keras.layers.Dense(3, activation="softmax")
model = keras.Sequential([layer])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
x, y = np.random.rand(64, 4).astype("float32"), np.random.randint(0, 3, 64)
board = keras.callbacks.TensorBoard(log_dir="logs")
callbacks = [] if "autolog" in sys.argv else [MLTrainCallback(every_batches=2), board]
model.fit(x, y, epochs=2, batch_size=16, validation_split=0.25, verbose=0, callbacks=callbacks)
run = Run.get_context()
run.log("tensor", tf.constant(1.5))
run.log("large", tf.constant(2**60))
run.log("variable", tf.Variable(2.0))
run.log_list("list", tf.constant([1, 2, 3]))
with tf.summary.create_file_writer("logs/own").as_default():
    tf.summary.scalar("temperature", 36.5, step=7)
import matplotlib.pyplot as plt
plt.figure("the loss")
plt.plot([1, 2, 3])
plt.show()
model.save("outputs/model.keras")
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tensorflow")
    uv = find_uv_bin()
    made = str(folder / "bin" / "python")
    subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, folder], check=True)
    install = [uv, "pip", "install", "-q", "--python", made]
    subprocess.run(
        [*install, "tensorflow-cpu==2.21.0", "tensorboard", "mlflow-skinny>=3.1", "pandas", "matplotlib"], check=True
    )
    subprocess.run([*install, "--no-deps", "tf_keras==2.21.0"], check=True)
    return made


async def records_of(bench: Bench, python: str, *arguments: str) -> list[Any]:
    handle = await bench.run(TRAIN, arguments=arguments, python=python)
    streams = await bench.streams(handle)
    assert (await bench.exit(handle)).code == 0, streams["r0.log"].decode()
    data = b"".join(content for name, content in streams.items() if name.endswith(".metrics"))
    return [json.loads(line) for line in data.splitlines()]


@pytest.mark.parametrize("version", ["3", "2"])
async def test_keras(version: str, bench: Bench, python: str) -> None:
    records = await records_of(bench, python, version)
    points = [(r[0], r[1]) for r in records if isinstance(r, list)]
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert [step for n, step in points if n == name] == [0, 1]
    assert [step for n, step in points if n == "batch/loss"] == [2, 4, 6]
    ((batches, rate),) = [(r[1], r[3]) for r in records if isinstance(r, list) and r[0] == "examples_per_second"][-1:]
    assert batches == 6
    assert rate > 0
    progress = [(r["value"], r["total"]) for r in records if isinstance(r, dict) and r["k"] == "progress"]
    assert progress == [(0, 2), (1, 2), (2, 2)]
    values = {r[0]: r[3] for r in records if isinstance(r, list)}
    assert (values["tensor"], values["large"], values["variable"]) == (1.5, 2**60, 2.0)
    assert [r["values"] for r in records if isinstance(r, dict) and r["k"] == "list"] == [[1, 2, 3]]
    # TensorBoard's files, and a figure, with no change to the script.
    assert [r[1] for r in records if isinstance(r, list) and r[0] == "train/epoch_loss"] == [0, 1]
    assert [r[1] for r in records if isinstance(r, list) and r[0] == "validation/epoch_accuracy"] == [0, 1]
    assert [(r[1], r[3]) for r in records if isinstance(r, list) and r[0] == "own/temperature"] == [(7, 36.5)]
    (figure,) = [r for r in records if isinstance(r, dict) and r["k"] == "image"]
    assert figure["name"] == "the loss"
    assert figure["path"].startswith("outputs/the_loss_")


async def test_mlflow_autologging(bench: Bench, python: str) -> None:
    records = await records_of(bench, python, "3", "autolog")
    points = [(r[0], r[1], r[2], r[3]) for r in records if isinstance(r, list)]
    for name in ("loss", "accuracy", "val_loss"):
        assert [step for n, step, *_ in points if n == name] == [0, 1]
    assert len(points) == len(set(points))
    assert {r["key"] for r in records if isinstance(r, dict) and r["k"] == "param"} >= {
        "epochs",
        "batch_size",
        "opt_name",
    }
