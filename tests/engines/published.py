"""A run's folder, and MLflow as anybody reads it: for the tests of publication and registry against the real MLflow."""

from __future__ import annotations

import contextlib
import json
import warnings
from pathlib import Path

from jupyter_mltrain.core.model import Registration
from jupyter_mltrain.tracking.publisher import Tracking

START = 1700000000.0


class Record:
    """A run's folder, as the service and the run client write it."""

    count = 0

    def __init__(self, root, experiment="mnist", **spec):
        Record.count += 1
        self.id = f"{experiment}_{int(START)}_{Record.count:08x}"
        self.folder = root / "runs" / self.id
        self.streams = self.folder / "streams"
        self.streams.mkdir(parents=True)
        about = {
            "format": 1,
            "run_id": self.id,
            "experiment": experiment,
            "display_name": f"brave-otter-{Record.count}",
        }
        (self.folder / "spec.json").write_text(
            json.dumps({**about, "target": "local", "environment": "tensorflow", **spec})
        )

    def log(self, *records, file="r0-11.metrics"):
        with (self.streams / file).open("a") as stream:
            stream.writelines(json.dumps(record) + "\n" for record in records)

    def output(self, path, data=b"data"):
        place = self.folder / "outputs" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def state(self, status="Running", **more):
        ended = {"ended": START + 100.5} if status in {"Completed", "Failed", "Canceled"} else {}
        return {"id": self.id, "status": status, "started": START + 1.5, **ended, **more}


class Plain:
    """MLflow as anybody uses it, nothing of ours."""

    def __init__(self, uri):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from mlflow import MlflowClient

            self.client = MlflowClient(uri, registry_uri=uri)
        self.uri = uri

    def run(self, record):
        experiment = self.client.get_experiment_by_name("mnist").experiment_id
        (found,) = self.client.search_runs([experiment], f"tags.`mltrain.run_id` = '{record.id}'")
        return found

    def history(self, record, key):
        found = self.client.get_metric_history(self.run(record).info.run_id, key)
        return sorted((m.step, m.timestamp, m.value) for m in found)

    def text(self, record, path):
        return Path(self.client.download_artifacts(self.run(record).info.run_id, path)).read_text()

    def artifacts(self, record, path=None):
        run = self.run(record).info.run_id
        found = []
        for each in self.client.list_artifacts(run, path):
            found += self.artifacts(record, each.path) if each.is_dir else [each.path]
        return found


async def synced(tracking, record, state):
    assert await tracking.publish(record.id, record.folder, state) == {"state": "synced", "pending": 0, "message": ""}


@contextlib.asynccontextmanager
async def opened(root, uri=None):
    tracking = Tracking(root, uri)
    try:
        yield tracking
    finally:
        await tracking.close()


async def register(tracking, record, name, path, **given):
    return await tracking.register(record.id, record.folder, Registration(name, path, **given))
