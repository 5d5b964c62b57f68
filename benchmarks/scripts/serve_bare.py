"""The model behind a bare uvicorn app: no checks, no counts, no keys, one path. MODEL PORT OVERLAY"""

import sys

sys.path.append(sys.argv[3])
import numpy as np
import orjson
import tensorflow as tf
import uvicorn

model = tf.saved_model.load(sys.argv[1])
call = model.signatures["serving_default"]
[name] = call.structured_input_signature[1]
[output] = call.structured_outputs


async def app(_scope, receive, send):
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    instances = (
        np.asarray(orjson.loads(body)["instances"], dtype=np.float32) if body else np.zeros((1, 784), np.float32)
    )
    predictions = call(**{name: tf.constant(instances)})[output].numpy()
    data = orjson.dumps({"predictions": predictions}, option=orjson.OPT_SERIALIZE_NUMPY)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": data})


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), lifespan="off", log_level="warning", access_log=False)
