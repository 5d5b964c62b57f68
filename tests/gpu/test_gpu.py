"""Training on a real GPU: TensorFlow is seen to see it before the script starts, and what it uses is sampled."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.docker import DockerCompute
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.target import ComputeTarget
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.computes.docker import DockerCompute as DockerEngine
from tests.hosts import shared

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

TRAIN = """
import time
import numpy as np
import tensorflow as tf
from jupyter_mltrain import Run

run = Run.get_context()
run.log("devices", len(tf.config.list_physical_devices("GPU")))
rng = np.random.default_rng(7)
kind = rng.integers(0, 10, 20_000)
x = rng.normal(0, 0.3, (20_000, 28, 28, 1)).astype("float32")
x[np.arange(20_000), kind * 2 + 4] += 2.0  # a bright row tells the kind
model = tf.keras.Sequential([
    tf.keras.Input((28, 28, 1)),
    tf.keras.layers.Conv2D(32, 3, activation="relu"),
    tf.keras.layers.Conv2D(64, 3, activation="relu"),
    tf.keras.layers.Flatten(),
    tf.keras.layers.Dense(10),
])
model.compile("adam", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
end = time.monotonic() + 8  # some samples of the device
while True:
    accuracy = model.fit(x, kind, batch_size=256, verbose=0).history["accuracy"][-1]
    run.log("accuracy", accuracy)
    if accuracy > 0.9 and time.monotonic() > end:
        break
run.log("on_gpu", int("GPU" in model(x[:1]).device))
"""

# Where the kernel's own Python has TensorFlow it is taken as it is: a machine with a GPU may have no way to an index.
HERE = "current" if importlib.util.find_spec("tensorflow") else "tensorflow"


def trained(experiment: Experiment, devices: tuple[str, ...], **more: Any) -> None:
    config = ScriptRunConfig(script="train.py", files={"train.py": TRAIN}, gpus=1, **more)
    run = experiment.submit(config)
    run.wait_for_completion(show_output=True, wait_post_processing=True)
    metrics = run.get_metrics()
    assert metrics["devices"] == 1, "TensorFlow sees the one that was given, and no others"
    assert metrics["on_gpu"] == 1
    usage = run.usage()
    (node,) = usage["nodes"]
    assert node["problem"] == ""
    assert [gpu["model"] for gpu in node["gpus"]] == [devices[0]]
    peaks = {one["measure"]: one["peak"] for one in usage["series"]}
    assert peaks["gpu"] > 0
    assert 100e6 < peaks["gpu_memory"] <= node["gpus"][0]["memory"]


def test_tensorflow_trains_on_the_gpu_of_this_machine(experiment: Experiment, devices: tuple[str, ...]) -> None:
    trained(experiment, devices, environment=HERE)


def test_tensorflow_trains_on_the_gpu_in_a_container(
    workspace: Workspace, experiment: Experiment, devices: tuple[str, ...]
) -> None:
    engine = shared.running()
    if engine is None:
        pytest.skip("no Docker engine runs on this machine with a GPU")
    configuration = DockerCompute.attach_configuration(engine.url)
    box = ComputeTarget.attach(workspace, "box", configuration)
    trained(experiment, devices, environment="tensorflow", compute_target=box)


async def test_an_engine_without_a_gpu_runtime_tells_no_gpus(devices: tuple[str, ...]) -> None:
    engine = shared.running()
    if engine is None:
        pytest.skip("no Docker engine runs on this machine with a GPU")
    runtimes = engine.docker("info", "--format", "{{json .Runtimes}}")
    found = (await DockerEngine(url=engine.url).capacity()).gpus
    assert found == (devices if "nvidia" in runtimes else ())
