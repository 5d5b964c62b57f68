"""A small network on drawn digits, trained by all workers of `TF_CONFIG`: the model as Keras knows it, under a strategy."""

import argparse
import json
import os
import tempfile

import numpy as np
import tensorflow as tf
from azureml.core import Run

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--model-dir", required=True)
parser.add_argument("--batch-size", type=int, default=64, help="for each worker")
args = parser.parse_args()

# Digits, three dots wide and five high.
GLYPHS = [
    "111101101101111", "010110010010111", "111001111100111", "111001111001111", "101101111001001",
    "111100111001111", "111100111101111", "111001001001001", "111101111101111", "111101111001111",
]  # fmt: skip


def digits(count, seed):
    """Images as [count, 15], each dot from 0 to 1 with noise on it, and what they show."""
    chance = np.random.default_rng(seed)
    labels = chance.integers(0, 10, count)
    clean = np.array([[float(dot) for dot in glyph] for glyph in GLYPHS])[labels]
    return (clean + chance.normal(0, 0.25, clean.shape)).astype("float32"), labels.astype("int64")


task = json.loads(os.environ["TF_CONFIG"])["task"]
strategy = tf.distribute.experimental.MultiWorkerMirroredStrategy()
print(f"{task['type']} {task['index']} of {strategy.num_replicas_in_sync}, TensorFlow {tf.__version__}")

together = args.batch_size * strategy.num_replicas_in_sync
train = tf.data.Dataset.from_tensor_slices(digits(4000, 1)).shuffle(4000, seed=3).repeat().batch(together)
test = tf.data.Dataset.from_tensor_slices(digits(2000, 2)).batch(together, drop_remainder=True)

with strategy.scope():
    model = tf.keras.Sequential(
        [tf.keras.layers.Dense(32, activation="relu", input_shape=(15,)), tf.keras.layers.Dense(10)]
    )
    model.compile(
        tf.keras.optimizers.Adam(learning_rate=0.003),
        tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )

run = Run.get_context()
history = model.fit(train, epochs=args.epochs, steps_per_epoch=20, verbose=2 if task["index"] == 0 else 0).history
run.log_list("loss", history["loss"])
loss, accuracy = model.evaluate(test, verbose=0)
run.log("accuracy", accuracy)
print(f"accuracy on digits it never saw: {accuracy:.3f}")

# All workers take part in saving; the first one's is kept.
model.save(args.model_dir if task["index"] == 0 else tempfile.mkdtemp())
