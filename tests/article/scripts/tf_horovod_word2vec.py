"""Words as vectors: skip-gram with negative sampling, trained by all the processes that Horovod finds."""

import argparse
import pathlib

import horovod.tensorflow as hvd
import numpy as np
import tensorflow as tf
from azureml.core import Run

parser = argparse.ArgumentParser()
parser.add_argument("--input_data", type=pathlib.Path, required=True, help="folder with text, one sentence a line")
parser.add_argument("--steps", type=int, default=400)
parser.add_argument("--batch-size", type=int, default=128)
parser.add_argument("--dimensions", type=int, default=16)
args = parser.parse_args()

WINDOW, NEGATIVE = 2, 5

hvd.init()
run = Run.get_context()
print(f"process {hvd.rank()} of {hvd.size()}, TensorFlow {tf.__version__}")

texts = [path.read_text(encoding="utf-8") for path in sorted(args.input_data.rglob("*.txt"))]
sentences = [line.split() for text in texts for line in text.lower().splitlines() if line.strip()]
words = sorted({word for sentence in sentences for word in sentence})
number = {word: index for index, word in enumerate(words)}
pairs = np.array(
    [
        (number[word], number[other])
        for sentence in sentences
        for at, word in enumerate(sentence)
        for other in sentence[max(0, at - WINDOW) : at] + sentence[at + 1 : at + 1 + WINDOW]
    ]
)
np.random.default_rng(1).shuffle(pairs)
mine = pairs[hvd.rank() :: hvd.size()]
frequency = np.bincount(pairs[:, 1], minlength=len(words)) ** 0.75
print(f"{len(sentences)} sentences, {len(words)} words, {len(pairs)} pairs, {len(mine)} of them here")

tf.random.set_seed(hvd.rank())
vectors = tf.Variable(tf.random.uniform((len(words), args.dimensions), -0.5, 0.5), name="vectors")
contexts = tf.Variable(tf.zeros((len(words), args.dimensions)), name="contexts")
optimizer = tf.keras.optimizers.Adam(0.01 * hvd.size())
chances = tf.constant(np.log(frequency / frequency.sum())[None], tf.float32)


@tf.function
def train(centers, others):
    drawn = tf.random.categorical(chances, NEGATIVE * args.batch_size)
    negative = tf.reshape(drawn, (args.batch_size, NEGATIVE))
    with tf.GradientTape() as tape:
        here = tf.gather(vectors, centers)
        near = tf.einsum("bd,bd->b", here, tf.gather(contexts, others))
        far = tf.einsum("bd,bnd->bn", here, tf.gather(contexts, negative))
        loss = tf.reduce_mean(tf.nn.softplus(-near) + tf.reduce_sum(tf.nn.softplus(far), axis=1))
    tape = hvd.DistributedGradientTape(tape, sparse_as_dense=True)
    of_vectors, of_contexts = tape.gradient(loss, [vectors, contexts])
    optimizer.apply_gradients([(of_vectors, vectors), (of_contexts, contexts)])
    return hvd.allreduce(loss, name="loss")


batches = tf.data.Dataset.from_tensor_slices(mine).shuffle(len(mine), seed=2).repeat().batch(args.batch_size)
hvd.broadcast_variables([vectors, contexts], root_rank=0)
for step, batch in enumerate(batches.take(args.steps)):
    loss = float(train(batch[:, 0], batch[:, 1]))
    if hvd.rank() == 0 and (step % 20 == 0 or step == args.steps - 1):
        run.log("loss", loss, step=step)
        print(f"step {step}: loss {loss:.3f}")

if hvd.rank() == 0:
    table = tf.linalg.l2_normalize(vectors, axis=1).numpy()
    nearest = (table @ table.T - 2 * np.eye(len(words))).argmax(1)
    pathlib.Path("outputs").mkdir(exist_ok=True)
    np.save("outputs/vectors.npy", table)
    lines = [f"{word} {words[nearest[index]]}" for index, word in enumerate(words)]
    pathlib.Path("outputs/nearest.txt").write_text("\n".join(lines), encoding="utf-8")
