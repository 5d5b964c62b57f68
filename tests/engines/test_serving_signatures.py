"""Signatures of every sort, saved and called by a real TensorFlow, asked as TensorFlow Serving's REST API documents it."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import prometheus_client
import pytest

from jupyter_mltrain.deployments.injected import mltrain_endpoint
from tests.engines.python_environment import tensorflow_python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SAVE_AND_ASK = """
import asyncio, json, sys
package, packages, folder = sys.argv[1:]
sys.path.insert(0, package)
sys.path.append(packages)  # behind the environment's own: for what counts requests
from concurrent.futures import ThreadPoolExecutor
import tensorflow as tf
from mltrain_endpoint.app import Application, Keys
from mltrain_endpoint.signatures import load

Spec = tf.TensorSpec

class Many(tf.Module):
    @tf.function(input_signature=[Spec([None], tf.string, "text"), Spec([None], tf.bool, "flag"), Spec([None, 2], tf.int32, "n")])
    def mixed(self, text, flag, n):
        # Two outputs that are alike: mixed up, they would show.
        return {"upper": tf.strings.upper(text), "raw_bytes": text, "not": ~flag, "sum": tf.reduce_sum(n, 1),
                "difference": n[:, 0] - n[:, 1], "half": tf.cast(n, tf.float16)}
    @tf.function(input_signature=[Spec([], tf.float32, "x")])
    def scalar(self, x):
        return {"y": x / 0.0}
    @tf.function(input_signature=[Spec([None, None], tf.float32, "x")])
    def free(self, x):
        return {"log": tf.math.log(x)}
    @tf.function(input_signature=[Spec([None], tf.int64, "i")])
    def pick(self, i):
        return {"y": tf.gather(tf.constant([1.0, 2.0, 3.0]), i)}
    @tf.function(input_signature=[Spec([None, 3], tf.float32, "x")])
    def mean(self, x):
        return {"y": tf.reduce_mean(x)}

many = Many()
names = ("mixed", "scalar", "free", "pick", "mean")
tf.saved_model.save(many, folder + "/m", signatures={name: getattr(many, name) for name in names})
json.dump({"required": False, "primary": "a", "secondary": "b"}, open(folder + "/keys.json", "w"))
loaded = load(folder + "/m", "SavedModel")
app = Application("e", "m", "1", loaded, None, Keys(folder + "/keys.json"), 1 << 20, ThreadPoolExecutor(1))

async def ask(path, body):
    sent = []
    async def receive():
        return {"type": "http.request", "body": body.encode(), "more_body": False}
    async def send(message):
        sent.append(message)
    await app({"type": "http", "path": path, "method": "POST", "headers": []}, receive, send)
    return [sent[0]["status"], sent[1]["body"].decode()]

async def main():
    return [await ask(path, body) for path, body in json.load(sys.stdin)]

print("answers:" + json.dumps(asyncio.run(main())))
"""

PREDICT = "/v1/models/m:predict"
MIXED = [
    {"text": "a", "flag": True, "n": [1, 2]},
    {"text": {"b64": "/w=="}, "flag": False, "n": [3, 5]},
]
COLUMNS = {"text": ["a"], "flag": [True], "n": [[1, 2]]}


def test_signatures_of_every_sort(tmp_path: Path) -> None:
    asked: list[tuple[str, Any]] = [
        (PREDICT, {"signature_name": "mixed", "instances": MIXED}),
        (PREDICT, {"signature_name": "mixed", "inputs": COLUMNS}),
        (PREDICT, {"signature_name": "mixed", "inputs": {**COLUMNS, "flag": [1]}}),
        (PREDICT, {"signature_name": "scalar", "inputs": 1}),
        (PREDICT, {"signature_name": "free", "inputs": [[0, 1, math.nan]]}),
        (PREDICT, {"signature_name": "free", "instances": [[1], [1, 2]]}),
        (PREDICT, {"signature_name": "pick", "instances": [0, 2]}),
        (PREDICT, {"signature_name": "pick", "instances": [7]}),
        (PREDICT, {"signature_name": "mean", "instances": [[1, 2, 3]]}),
        (PREDICT, {"signature_name": "mean", "inputs": {"x": [[1, 2, 3]]}}),
        ("/v1/models/m:classify", {"examples": [{"x": 1}]}),
        ("/v1/models/other:predict", {"instances": [1]}),
    ]
    python = tensorflow_python()
    packages = Path(prometheus_client.__file__).parents[1]
    package = Path(mltrain_endpoint.__file__).parents[1]
    done = subprocess.run(
        [python, "-c", SAVE_AND_ASK, package, packages, tmp_path],
        input=json.dumps([(path, json.dumps(body)) for path, body in asked]),
        env={"PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers = [(status, json.loads(body)) for status, body in json.loads(done.stdout.partition("answers:")[2])]
    rows, columns, flag, scalar, free, ragged, pick, outside, one_for_all, mean, classify, other = answers
    first = {"upper": "A", "raw_bytes": {"b64": "YQ=="}, "not": False, "sum": 3, "difference": -1, "half": [1.0, 2.0]}
    assert rows == (200, {"predictions": [first, {**first, "upper": {"b64": "/w=="}, "raw_bytes": {"b64": "/w=="},
                                                  "not": True, "sum": 8, "difference": -2, "half": [3.0, 5.0]}]})  # fmt: skip
    assert columns == (200, {"outputs": {key: [value] for key, value in first.items()}})
    assert flag == (400, {"error": "Input 'flag' takes true and false, not whole numbers."})
    assert scalar == (200, {"outputs": math.inf})
    [[low, zero, unknown]] = free[1]["outputs"]
    assert (free[0], low, zero) == (200, -math.inf, 0)
    assert math.isnan(unknown)
    assert (ragged[0], "not all of the same length" in ragged[1]["error"]) == (400, True)
    assert pick == (200, {"predictions": [1.0, 3.0]})
    assert outside == (400, {"error": "The model refuses the values: indices[0] = 7 is not in [0, 3)"})
    assert (one_for_all[0], 'ask with {"inputs": …}' in one_for_all[1]["error"]) == (400, True)
    assert mean == (200, {"outputs": 2.0})
    assert (classify[0], other[0]) == (404, 404)
    assert ":predict" in classify[1]["error"]
