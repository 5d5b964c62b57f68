"""The model behind kserve's server, as its own documentation has a model of one's own. MODEL PORT"""

import sys

import numpy as np
import tensorflow as tf
from kserve import Model, ModelServer


class Mlp(Model):
    def __init__(self):
        super().__init__("mlp")
        self.model = tf.saved_model.load(sys.argv[1])
        self.call = self.model.signatures["serving_default"]
        [self.input_name] = self.call.structured_input_signature[1]
        [self.output] = self.call.structured_outputs
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):  # noqa: ARG002 - the library's signature
        instances = np.asarray(payload["instances"], dtype=np.float32)
        found = self.call(**{self.input_name: tf.constant(instances)})[self.output].numpy()
        return {"predictions": found.tolist()}


ModelServer(http_port=int(sys.argv[2]), enable_grpc=False, workers=1, enable_latency_logging=False).start([Mlp()])
