"""Trains on MNIST in blocks, with or without logging every step, and says how many steps each block made.

Arguments: folder to talk in, seconds to train before a block is timed, seconds it is timed for. A block begins when the
file `block-<n>` is there (content: 1 to log, 0 not to, empty: end) and writes its steps per second to `rate-<n>`.
"""

import argparse
import gzip
import itertools
import pathlib
import time

import numpy as np
import tensorflow as tf

from jupyter_mltrain import Run

parser = argparse.ArgumentParser()
parser.add_argument("--data-folder", type=pathlib.Path)
parser.add_argument("folder", type=pathlib.Path)
parser.add_argument("before", type=float)
parser.add_argument("timed", type=float)
arguments = parser.parse_args()


def read(name, offset):
    return np.frombuffer(gzip.decompress((arguments.data_folder / name).read_bytes()), np.uint8, offset=offset)


images = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 784).astype("float32") / 255
labels = read("train-labels-idx1-ubyte.gz", 8).astype("int64")
batches = iter(tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(10_000).repeat().batch(128).prefetch(2))
layers = tf.keras.layers
model = tf.keras.Sequential(
    [tf.keras.Input((784,)), layers.Dense(256, "relu"), layers.Dense(128, "relu"), layers.Dense(10)]
)
optimizer = tf.keras.optimizers.Adam()
loss_of = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@tf.function
def train_step(x, y):
    with tf.GradientTape() as tape:
        loss = loss_of(y, model(x, training=True))
    optimizer.apply_gradients(
        zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
    )
    return loss


run = Run.get_context()
step = itertools.count(1)


def train(seconds, logging):
    """Steps per second; the loss is fetched at every step, as a script that shows it does, whether logged or not."""
    made, started = 0, time.perf_counter()
    while (now := time.perf_counter()) - started < seconds:
        loss = float(train_step(*next(batches)))
        made += 1
        number = next(step)
        if logging:
            run.log("loss", loss, step=number)
    return made / (now - started)


train(5, logging=False)
number = 0
while True:
    order = arguments.folder / f"block-{number}"
    while not order.exists():
        time.sleep(0.05)
    asked = order.read_text()
    if not asked:
        break
    train(arguments.before, asked == "1")
    rate = train(arguments.timed, asked == "1")
    draft = arguments.folder / f"draft-{number}"
    draft.write_text(repr(rate))
    draft.replace(arguments.folder / f"rate-{number}")
    number += 1
print("loss", float(loss_of(labels[:1000], model(images[:1000]))), "after", next(step) - 1, "steps")
