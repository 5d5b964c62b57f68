"""Calls per second of other loggers, each with a real target in the folder named first. Prints JSON: name -> calls per second."""

import json
import logging
import os
import pathlib
import sys
import time

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "1"
os.environ["GIT_PYTHON_REFRESH"] = "quiet"

folder = pathlib.Path(sys.argv[1])
share = float(sys.argv[2])  # of the full number of calls


def per_second(calls, log):
    for i in range(20):
        log(i)
    started = time.perf_counter()
    for i in range(calls):
        log(20 + i)
    return calls / (time.perf_counter() - started)


def tensorboard():
    from tensorboardX import SummaryWriter  # noqa: PLC0415 - each logger is loaded when its turn comes

    writer = SummaryWriter(str(folder / "tensorboard"))
    rate = per_second(int(50_000 * share), lambda i: writer.add_scalar("loss", i * 0.5, i))
    writer.close()
    return rate


def mlflow(uri):
    import mlflow  # noqa: PLC0415

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    mlflow.set_tracking_uri(uri)
    with mlflow.start_run():
        return per_second(int(1_000 * share), lambda i: mlflow.log_metric("loss", i * 0.5, step=i))


print(json.dumps({"tensorboardX": tensorboard(), "MLflow log_metric": mlflow(f"sqlite:///{folder}/mlflow.db")}))
