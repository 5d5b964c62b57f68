"""Milliseconds of a call of the model's signature, in this process: the median of many. MODEL CALLS"""

import statistics
import sys
import time

import numpy as np
import tensorflow as tf

model = tf.saved_model.load(sys.argv[1])
call = model.signatures["serving_default"]
[name] = call.structured_input_signature[1]
[output] = call.structured_outputs
sample = np.random.default_rng(1).random((1, 784), dtype=np.float32)
for _ in range(200):
    call(**{name: tf.constant(sample)})[output].numpy()
times = []
for _ in range(int(sys.argv[2])):
    began = time.perf_counter()
    call(**{name: tf.constant(sample)})[output].numpy()
    times.append(time.perf_counter() - began)
print(statistics.median(times) * 1000)
