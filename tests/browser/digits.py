"""A model that knows digits, really trained on MNIST, for the tests that draw one."""

from __future__ import annotations

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.dataset import Dataset
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace

SCRIPT = """
import gzip, pathlib, sys
import numpy as np
import tensorflow as tf
from jupyter_mltrain import Run

folder = pathlib.Path(sys.argv[1])
read = lambda name, skip: np.frombuffer(gzip.decompress((folder / name).read_bytes()), np.uint8, offset=skip)
x = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 784).astype("float32") / 255
y = read("train-labels-idx1-ubyte.gz", 8).astype("int64")
tf.keras.utils.set_random_seed(7)
layers = tf.keras.layers
model = tf.keras.Sequential([
    tf.keras.Input((784,), name="images"),
    layers.Dense(256, activation="relu"),
    layers.Dropout(0.2),
    layers.Dense(10, activation="softmax", name="probabilities"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x, y, batch_size=128, epochs=2, verbose=2)
Run.get_context().log("accuracy", history.history["accuracy"][-1])
model.export("outputs/model", verbose=False)
"""


def trained(workspace: Workspace) -> Run:
    """A run that has trained it: `outputs/model` is a SavedModel of 784 values in 0..1 to ten probabilities."""
    data = Dataset.get_by_name(workspace, "mnist")
    config = ScriptRunConfig(
        script="cell.py", files={"cell.py": SCRIPT}, arguments=[data.as_mount()], environment="tensorflow"
    )
    run = Experiment(workspace, "digits").submit(config)
    run.wait_for_completion(wait_post_processing=True)
    assert run.get_status() == "Completed", run.id
    return run
