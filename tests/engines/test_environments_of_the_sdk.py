"""Environments of the SDK's notebooks as users get them from the package index, with a script of their time in one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jupyter_mltrain import Environment, Experiment, ScriptRunConfig, Workspace
from jupyter_mltrain.api.environment import request_of
from tests.faults.world import World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ARTICLE = """\
channels:
- conda-forge
dependencies:
- python=3.6.2
- pip:
  - azureml-defaults
  - tensorflow-gpu==2.2.0
"""

# What scripts of 2020 do that today's packages no longer know: `np.float`, a subclassed model whose inputs are set by
# hand, `lr`, weights in an .h5 file; and the SDK's own way to the run.
SCRIPT = """
import argparse, json, os
import h5py
import numpy as np
import tensorflow as tf
from tensorflow.keras import Model, layers
from azureml.core import Run

parser = argparse.ArgumentParser()
parser.add_argument("--learning-rate", type=float)
args = parser.parse_args()

class Net(Model):
    def __init__(self):
        super(Net, self).__init__()
        self.hidden = layers.Dense(8, activation=tf.nn.relu)
        self.out = layers.Dense(3)

    def call(self, x, is_training=False):
        x = self.out(self.hidden(x))
        return x if is_training else tf.nn.softmax(x)

rng = np.random.RandomState(0)
x = rng.rand(300, 6).astype(np.float32)
y = np.argmax(x[:, :3], axis=1).astype(np.int)
net = Net()
net._set_inputs(x[:1])
net.compile(
    optimizer=tf.keras.optimizers.RMSprop(lr=args.learning_rate, decay=1e-6),
    loss=tf.keras.losses.SparseCategoricalCrossentropy(),
    metrics=["accuracy"],
)
run = Run.get_context()

class LogRunMetrics(tf.keras.callbacks.Callback):
    def on_epoch_end(self, epoch, log):
        run.log("Loss", log["loss"])
        run.log("Accuracy", np.float(log["accuracy"]))

board = tf.keras.callbacks.TensorBoard("./logs")
history = net.fit(x, y, epochs=3, batch_size=32, verbose=2, callbacks=[LogRunMetrics(), board])
run.log("Final test loss", history.history["loss"][-1])
os.makedirs("./outputs/model", exist_ok=True)
tf.saved_model.save(net, "./outputs/model/")
functional = tf.keras.Sequential([layers.Dense(2, input_shape=(3,))])
with open("./outputs/model.json", "w") as file:
    file.write(functional.to_json())
functional.save_weights("./outputs/weights.h5")
with h5py.File("./outputs/weights.h5", "r") as weights:
    assert len(weights.keys())
said = {"tensorflow": tf.__version__, "numpy": np.__version__, "rate": float(net.optimizer.lr), "id": run.id}
json.dump(said, open("./outputs/said.json", "w"))
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        # The user's own cache: the environment is built there once.
        patch.setenv("JUPYTER_MLTRAIN_STATE", str(tmp_path_factory.mktemp("state")))
        patch.setenv("JUPYTER_MLTRAIN_IDLE_SECONDS", "60")
        with World(tmp_path_factory.mktemp("world")) as world:
            yield Workspace(world.root)


@pytest.fixture
def article(tmp_path: Path) -> Environment:
    (tmp_path / "conda_dependencies.yml").write_text(ARTICLE)
    return Environment.from_conda_specification("tensorflow-2.2-gpu", tmp_path / "conda_dependencies.yml")


def test_a_script_of_2020_runs_in_what_the_articles_conda_file_becomes(
    workspace: Workspace, article: Environment, tmp_path: Path
):
    environment = article
    environment.build(workspace).wait_for_completion(show_output=True)
    config = ScriptRunConfig(
        script="tf_mnist.py",
        files={"tf_mnist.py": SCRIPT},
        arguments=["--learning-rate", 0.02],
        environment=environment,
    )
    run = Experiment(workspace, "era").submit(config)
    run.wait_for_completion(wait_post_processing=True)
    run.download_file("outputs/said.json", tmp_path / "said.json")
    said = json.loads((tmp_path / "said.json").read_text())
    assert said["tensorflow"].startswith("2.12.")
    assert said["numpy"] == "1.23.5"
    assert said["rate"] == pytest.approx(0.02), "later ones ignore `lr` and keep 0.001"
    assert said["id"] == run.id
    metrics = run.get_metrics()
    assert len(metrics["Loss"]) == len(metrics["Accuracy"]) == 3
    assert metrics["Loss"][-1] < metrics["Loss"][0]
    assert {"outputs/model/saved_model.pb", "outputs/weights.h5"} <= set(run.get_file_names())
    assert [one["asked"] for one in run.state["substitutions"]] == [
        "3.6.2",
        "azureml-defaults",
        "tensorflow-gpu==2.2.0",
    ]
    text = workspace.connection.get("/v1/environments/tensorflow-2.2-gpu/dockerfile")["dockerfile"]
    assert "# tensorflow-gpu==2.2.0 -> tensorflow-cpu==2.12.1" in text


def test_the_curated_environment_of_that_time_resolves(workspace: Workspace):
    found = Environment.get(workspace, "AzureML-TensorFlow-2.2-GPU").clone("mine")
    preview = workspace.connection.post("/v1/environments/preview", request_of(found.definition), timeout=300)
    packages = dict(line.split("==") for line in preview["packages"])
    assert packages["tensorflow-cpu"] == "2.12.1"
    assert packages["numpy"] == "1.23.5"
    assert {"matplotlib", "pandas", "pillow", "scikit-learn", "tensorboard", "h5py"} <= set(packages)
    assert preview["adaptations"] == ["keras_optimizers_1"]
    assert [one["asked"] for one in preview["substitutions"]] == ["AzureML-TensorFlow-2.2-GPU"]


def test_packages_that_notebooks_of_the_time_pin_resolve_together(workspace: Workspace):
    pins = ["h5py<=2.10", "scikit-learn==0.22.1", "keras==2.3.1", "numpy==1.18.5", "matplotlib", "azureml-core"]
    body = {"name": "pins", "python": "3.7", "pip": [*pins, "tensorflow==2.2.0", "pandas==1.0.3", "pillow==6.2.1"]}
    found = workspace.connection.post("/v1/environments/preview", body, timeout=300)
    packages = dict(line.split("==") for line in found["packages"] if "==" in line)
    assert packages["tensorflow-cpu"] == "2.12.1"
    assert packages["numpy"] == "1.23.5"
    assert packages["keras"].startswith("2.12.")
    assert "azureml-core" not in packages
    assert len(found["substitutions"]) == 9
    assert "--hash=sha256:" in found["lock"]
