"""Trains by Horovod, and writes to `FOLDER/<rank>.json` when `hvd.init` was done and how many examples a second all made.

Arguments: the folder, steps before the clock starts, steps while it runs.
"""

import json
import pathlib
import sys
import time

import horovod.tensorflow as hvd
import numpy as np
import tensorflow as tf

BATCH = 64

hvd.init()
ready = time.time()
folder, before, timed = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
chance = np.random.default_rng(hvd.rank())
images = chance.random((BATCH * 64, 784), np.float32)
labels = chance.integers(0, 10, len(images))
batches = iter(tf.data.Dataset.from_tensor_slices((images, labels)).repeat().batch(BATCH).prefetch(2))
layers = tf.keras.layers
model = tf.keras.Sequential(
    [layers.Dense(256, "relu", input_shape=(784,)), layers.Dense(128, "relu"), layers.Dense(10)]
)
optimizer = tf.keras.optimizers.SGD(0.01)
loss_of = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
hvd.broadcast_variables(model.variables, root_rank=0)


@tf.function
def train_step(x, y):
    with tf.GradientTape() as tape:
        loss = loss_of(y, model(x, training=True))
    tape = hvd.DistributedGradientTape(tape)
    optimizer.apply_gradients(
        zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
    )
    return loss


for _ in range(before):
    train_step(*next(batches))
started = time.perf_counter()
for _ in range(timed):
    loss = float(train_step(*next(batches)))
rate = BATCH * hvd.size() * timed / (time.perf_counter() - started)
(folder / f"{hvd.rank()}.json").write_text(json.dumps({"ready": ready, "rate": rate, "size": hvd.size(), "loss": loss}))
