"""Publication and the registry against the real MLflow: what a plain `MlflowClient` reads back."""

import asyncio
import contextlib
import json
import math
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
import urllib.request
import warnings
from pathlib import Path

import platformdirs
import pytest
import pytest_asyncio

from jupyter_mltrain.core.mlflow_names import metric_key, metric_name
from jupyter_mltrain.errors import ModelNotFound, PathNotFound, TrackingError
from jupyter_mltrain.tracking import cursor
from jupyter_mltrain.tracking.publisher import Tracking, recorded

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow, pytest.mark.timeout(300)]

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


@pytest.fixture(autouse=True, scope="module")
def quiet():
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "1"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("workspace") / ".mltrain"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tracking(root):
    made = Tracking(root)
    yield made
    await made.close()


@pytest.fixture(scope="module")
def plain(tracking, root):
    return Plain(f"sqlite:///{root / 'mlflow.db'}")


async def synced(tracking, record, state):
    assert await tracking.publish(record.id, record.folder, state) == {"state": "synced", "pending": 0, "message": ""}


async def test_a_plain_client_reads_everything_back(tracking, root, plain):
    record = Record(root, arguments=["--batch-size", "64", "--lr=0.1"])
    record.log(*(["loss", i, START + i * 0.0137, 1 / (i + 3)] for i in range(3000)))
    record.log({"k": "param", "key": "optimizer", "value": "adam"}, {"k": "tag", "key": "phase", "value": "warm-up"})
    state = record.state(
        display_name="brave-otter-7",
        tags={"team": "🦦", "gone": "soon"},
        environment={"name": "tensorflow", "version": 3},
    )
    await synced(tracking, record, state)
    run = plain.run(record)
    assert (run.info.status, run.info.run_name, run.info.start_time) == ("RUNNING", "brave-otter-7", 1700000001500)
    assert run.data.params == {"batch-size": "64", "lr": "0.1", "optimizer": "adam"}
    assert plain.history(record, "loss") == [(i, round((START + i * 0.0137) * 1000), 1 / (i + 3)) for i in range(3000)]

    record.log(["loss", 3000, START + 50, 0.25], ["accuracy", None, START + 50, 1])
    record.output("model/saved.txt", b"hello")
    (record.streams / "r0.log").write_text("Epoch 1\n")
    await synced(
        tracking,
        record,
        {**state, "status": "Completed", "ended": START + 60.25, "tags": {"team": "🦦"}, "display_name": "renamed"},
    )
    run = plain.run(record)
    assert (run.info.status, run.info.run_name, run.info.end_time) == ("FINISHED", "renamed", 1700000060250)
    assert run.data.metrics == {"loss": 0.25, "accuracy": 1.0}
    assert run.data.tags["team"] == "🦦"
    assert "gone" not in run.data.tags
    assert run.data.tags["phase"] == "warm-up"
    assert run.data.tags["mltrain.environment"] == "tensorflow:3"
    assert sorted(plain.artifacts(record)) == ["outputs/model/saved.txt", "user_logs/std_log.txt"]
    assert plain.text(record, "outputs/model/saved.txt") == "hello"
    assert plain.text(record, "user_logs/std_log.txt") == "Epoch 1\n"
    assert recorded(record.folder)["state"] == "synced"


async def test_values_that_mlflow_cannot_hold_go_along(tracking, root, plain):
    values = [math.nan, math.inf, -math.inf, 2**60, 10**400, "text", None, True, 5e-324]
    record = Record(root)
    record.log(*(["odd", i, START, value] for i, value in enumerate(values)))
    await synced(tracking, record, record.state("Failed"))
    read = {step: value for step, _, value in plain.history(record, "odd")}
    assert math.isnan(read.pop(0))
    assert read == {1: sys.float_info.max, 2: -sys.float_info.max, 3: float(2**60), 7: 1.0, 8: 5e-324}
    kept = [json.loads(line)["record"] for line in plain.text(record, "mltrain/values.jsonl").splitlines()]
    assert kept == [["odd", i, START, values[i]] for i in (1, 2, 3, 4, 5, 6)]
    assert plain.run(record).info.status == "FAILED"


async def test_any_name_comes_back(tracking, root, plain):
    names = [
        "loss",
        "🦦",
        "<script>alert(1)</script>",
        "a//b",
        "/a",
        "..",
        "a/",
        "",
        "x" * 255,
        "🦦" * 63,
        ":3C",
        "a\0b\n",
        "精度",
    ]
    record = Record(root, arguments=["--<img>", "🦦", "--a//b", "<b>"])
    record.log(*([name, 1, START, float(i)] for i, name in enumerate(names)))
    record.log({"k": "tag", "key": "<tag>", "value": "<b>\0"}, {"k": "param", "key": "../p", "value": "🦦" * 5000})
    await synced(tracking, record, record.state("Canceled", tags={"mlflow.runName": "no"}, display_name="<b>🦦</b>"))
    run = plain.run(record)
    long = {
        line["key"]: line["name"]
        for line in map(json.loads, plain.text(record, "mltrain/values.jsonl").splitlines())
        if "key" in line
    }
    read = {long.get(key) or metric_name(key)[0]: value for key, value in run.data.metrics.items()}
    assert read == {name: float(i) for i, name in enumerate(names)}
    assert run.info.status == "KILLED"
    assert run.info.run_name == "<b>🦦</b>"
    assert run.data.params[":2E:2E/p"] == "🦦" * 5000
    assert run.data.params["a:2F:2Fb"] == "<b>"


async def test_ranks_and_processes_are_told_apart(tracking, root, plain):
    record = Record(root)
    for rank in range(3):
        record.log(["loss", 0, START, rank], file=f"r{rank}-{rank + 5}.metrics")
    record.log(["loss", 1, START, 9], file="r0-99.metrics")
    record.log(["no", 0, START, 1], file="notes.metrics")
    await synced(tracking, record, record.state())
    assert plain.run(record).data.metrics == {"loss": 9.0, "loss:rank1": 1.0, "loss:rank2": 2.0}
    assert len(plain.history(record, "loss")) == 2


async def test_five_thousand_metrics(tracking, root, plain):
    record = Record(root)
    record.log(*([f"layer {i}/norm", None, START, i] for i in range(5000)))
    await synced(tracking, record, record.state())
    assert plain.run(record).data.metrics == {f"layer {i}/norm": float(i) for i in range(5000)}


async def test_sending_all_again_changes_nothing(tracking, root, plain):
    record = Record(root, arguments=["--a", "1"])
    record.log(*(["loss", None, START + i, math.nan if i % 7 == 0 else i % 5] for i in range(2500)))
    record.log(*(["same", 1, START, 1.0] for _ in range(10)))
    record.output("a.txt")
    await synced(tracking, record, record.state("Completed"))
    before = plain.history(record, "loss"), plain.history(record, "same"), plain.run(record).to_dictionary()
    (record.folder / cursor.FILE).unlink()
    await synced(tracking, record, record.state("Completed"))
    after = plain.history(record, "loss"), plain.history(record, "same"), plain.run(record).to_dictionary()
    assert len(before[0]) == 2500
    assert len(before[1]) == 1
    assert json.dumps(before) == json.dumps(after)


async def test_a_process_killed_again_and_again_loses_and_doubles_nothing(tracking, root, plain):
    random.seed(7)
    record = Record(root)
    expected = [(i, round((START + i * 0.01) * 1000), i * 0.5) for i in range(20_000)]
    record.log(*(["loss", None, START + i * 0.01, i * 0.5] for i in range(20_000)))
    record.log(*(["text", i, START, "x"] for i in range(500)))
    record.output("a.txt")
    kills = 0
    while True:
        task = asyncio.create_task(tracking.publish(record.id, record.folder, record.state("Completed")))
        if kills < 4:
            while not tracking._child.running or not tracking.about:
                await asyncio.sleep(0.02)
            await asyncio.sleep(random.uniform(0.02, 0.35))
            with contextlib.suppress(ProcessLookupError):
                os.kill(tracking.about["pid"], signal.SIGKILL)
            kills += 1
            tracking._child.about = {}
        result = await task
        if result["state"] == "synced":
            break
        assert result["state"] == "error"
        assert "ended" in result["message"]
    assert plain.history(record, "loss") == expected
    assert len(plain.text(record, "mltrain/values.jsonl").splitlines()) == 500
    (run,) = plain.client.search_runs([plain.run(record).info.experiment_id], f"tags.`mltrain.run_id` = '{record.id}'")
    assert run.info.status == "FINISHED"


async def test_a_parameter_that_changes_keeps_its_first_value_there(tracking, root, plain):
    record = Record(root)
    record.log({"k": "param", "key": "lr", "value": 0.1}, {"k": "param", "key": "lr", "value": 0.2})
    await synced(tracking, record, record.state())
    record.log({"k": "param", "key": "lr", "value": 0.3})
    await synced(tracking, record, record.state("Completed"))
    assert plain.run(record).data.params == {"lr": "0.2"}
    assert json.loads(plain.text(record, "mltrain/values.jsonl").splitlines()[-1]) == {"param": "lr", "value": "0.3"}


async def test_registered_models_are_mlflows(tracking, root, plain, tmp_path):
    record = Record(root)
    record.output("model/weights.bin", b"w" * 1000)
    record.output("model/sub/more.bin", b"m")
    given = {
        "tags": {"stage": "<b>🦦</b>", "mltrain.run_id": "x"},
        "description": "first",
        "metrics": {"accuracy": 0.97},
    }
    version = await tracking.register(
        record.id, record.folder, "mnist-tf", "model", framework="TensorFlow", framework_version="2.21", **given
    )
    assert {
        key: version[key]
        for key in ("id", "version", "run_id", "path", "bytes", "files", "same_as", "metrics", "tags", "framework")
    } == {
        "id": "mnist-tf:1",
        "version": 1,
        "run_id": record.id,
        "path": "outputs/model",
        "bytes": 1001,
        "files": 2,
        "same_as": None,
        "metrics": {"accuracy": 0.97},
        "tags": {"stage": "<b>🦦</b>", "mltrain.run_id": "x"},
        "framework": "TensorFlow",
    }
    (found,) = plain.client.search_model_versions("name = 'mnist-tf'")
    assert (found.version, found.description, found.run_id) == (1, "first", plain.run(record).info.run_id)
    assert found.tags["mltrain.framework"] == "TensorFlow"
    import mlflow

    mlflow.set_tracking_uri(plain.uri)
    mlflow.set_registry_uri(plain.uri)
    (tmp_path / "got").mkdir()
    got = Path(mlflow.artifacts.download_artifacts("models:/mnist-tf/1", dst_path=str(tmp_path / "got")))
    assert (got / "weights.bin").read_bytes() == b"w" * 1000
    assert (got / "sub" / "more.bin").read_bytes() == b"m"

    # The version outlives the record.
    place = await tracking.path("mnist-tf", 1)
    record.output("model/weights.bin", b"changed")
    assert (place / "weights.bin").read_bytes() == b"w" * 1000
    second = await tracking.register(record.id, record.folder, "mnist-tf", "outputs/model")
    assert (second["version"], second["same_as"]) == (2, None)
    assert [v["version"] for v in await tracking.versions("mnist-tf")] == [1, 2]
    assert (await tracking.get("mnist-tf"))["version"] == 2
    assert [v["id"] for v in await tracking.models() if v["name"] == "mnist-tf"] == ["mnist-tf:2", "mnist-tf:1"]


async def test_the_same_content_is_one_version_unless_forced(tracking, root):
    record, other = Record(root), Record(root)
    for each in (record, other):
        each.output("model.keras", b"same")
    first = await tracking.register(record.id, record.folder, "twice", "model.keras", tags={"a": "1"})
    again = await tracking.register(
        other.id, other.folder, "twice", "model.keras", tags={"b": "2"}, description="said later"
    )
    assert (again["version"], again["same_as"], again["run_id"]) == (1, 1, record.id)
    assert (again["tags"], again["description"]) == ({"a": "1", "b": "2"}, "said later")
    many = {f"layer {i}/norm": i / 3 for i in range(5000)}
    again = await tracking.register(other.id, other.folder, "twice", "model.keras", metrics=many)
    assert 2000 < len(again["metrics"]) < 5000
    assert again["metrics"].items() <= many.items()
    forced = await tracking.register(other.id, other.folder, "twice", "model.keras", force=True)
    assert (forced["version"], forced["same_as"], forced["run_id"]) == (2, 1, other.id)
    assert first["content_hash"] == forced["content_hash"]
    assert (await tracking.path("twice", 2)).name == "model.keras"
    assert (await tracking.path("twice", 1)).read_bytes() == b"same"
    elsewhere = await tracking.register(record.id, record.folder, "another", "model.keras")
    assert (elsewhere["version"], elsewhere["same_as"]) == (1, None)


async def test_a_run_that_goes_on_may_register_what_it_wrote(tracking, root, plain):
    record = Record(root)
    place = record.folder / "work" / "outputs" / "checkpoint.keras"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"epoch 1")
    version = await tracking.register(
        record.id, record.folder, "live", "outputs/checkpoint.keras", metrics={"loss": math.nan}
    )
    assert (version["path"], version["files"]) == ("outputs/checkpoint.keras", 1)
    assert math.isnan(version["metrics"]["loss"])
    await synced(tracking, record, record.state())
    assert plain.run(record).info.run_id == plain.client.get_model_version("live", "1").run_id
    assert not (record.folder / "work" / cursor.FILE).exists()


async def test_what_is_not_there_is_told(tracking, root):
    record = Record(root)
    record.output("model/weights.bin")
    with pytest.raises(PathNotFound, match="outputs/model/"):
        await tracking.register(record.id, record.folder, "nothing", "outputs/modle")
    with pytest.raises(ModelNotFound):
        await tracking.versions("nothing")
    await tracking.register(record.id, record.folder, "mnist-cnn", "model")
    with pytest.raises(ModelNotFound, match="mnist-cnn"):
        await tracking.get("mnist-cmm")
    with pytest.raises(ModelNotFound, match="last ones are: 1"):
        await tracking.get("mnist-cnn", 7)


async def test_files_that_are_too_many_are_left_out_and_listed(root, tmp_path, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

        from jupyter_mltrain.tracking import outputs
    monkeypatch.setattr(outputs, "MAX_BYTES", 100)
    record = Record(root)
    record.output("small.txt", b"1")
    record.output("big.bin", b"2" * 200)
    (record.folder / "outputs" / "secret").symlink_to("/etc/hostname")
    (record.folder / "outputs" / "bad\udcff").write_bytes(b"3")
    found = outputs.Outputs(record.folder)
    assert found.total == 2
    repository = LocalArtifactRepository(str(tmp_path))
    for index in range(found.total):
        found.put(repository, index)
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()) == [
        "mltrain/outputs.json",
        "outputs/small.txt",
    ]
    left = json.loads((tmp_path / "mltrain" / "outputs.json").read_text())
    assert [(each["path"], each["why"]) for each in left["left_out"]] == [
        ("outputs/bad?", "its name is not UTF-8"),
        ("outputs/big.bin", "over the limit of what is copied"),
    ]
    digest = found.digest
    record.output("small.txt", b"22")
    assert outputs.Outputs(record.folder).digest != digest


async def test_the_process_ends_with_the_service(tmp_path):
    script = textwrap.dedent("""
        import asyncio, sys
        from pathlib import Path
        from jupyter_mltrain.tracking.publisher import Tracking
        async def main():
            tracking = Tracking(Path(sys.argv[1]))
            await tracking.models()
            print(tracking.about["pid"], flush=True)
            await asyncio.sleep(1000)
        asyncio.run(main())
    """)
    service = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / ".mltrain")], stdout=subprocess.PIPE, text=True
    )
    try:
        pid = int(service.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        assert os.getpriority(os.PRIO_PROCESS, pid) >= 10
    finally:
        service.kill()
        service.wait()
        service.stdout.close()
    deadline = time.monotonic() + 15
    while Path(f"/proc/{pid}").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def opened(root, uri=None):
    tracking = Tracking(root, uri)
    try:
        yield tracking
    finally:
        await tracking.close()


async def test_a_workspace_may_move_and_have_any_path(tmp_path):
    folder = tmp_path / "my work #1 100%20 🦦?"
    root = folder / ".mltrain"
    record = Record(root)
    record.output("model.keras", b"bytes")
    record.log(["loss", 1, START, 1])
    async with opened(root) as tracking:
        await synced(tracking, record, record.state("Running"))
        await tracking.register(record.id, record.folder, "m", "model.keras")
        assert (await tracking.path("m")).read_bytes() == b"bytes"
    moved = tmp_path / "moved"
    folder.rename(moved)
    record.folder = moved / ".mltrain" / "runs" / record.id
    record.streams = record.folder / "streams"
    async with opened(moved / ".mltrain") as tracking:
        assert (await tracking.path("m")).is_relative_to(moved)
        assert (await tracking.path("m")).read_bytes() == b"bytes"
        record.log(["loss", 2, START, 2])
        await synced(tracking, record, record.state("Completed"))
    plain = Plain(f"sqlite:///{moved / '.mltrain' / 'mlflow.db'}")
    assert [value for _, _, value in plain.history(record, "loss")] == [1.0, 2.0]
    assert plain.text(record, "outputs/model.keras") == "bytes"


async def test_a_database_that_was_thrown_away_is_made_anew(tmp_path):
    root = tmp_path / ".mltrain"
    record = Record(root)
    record.log(*(["loss", i, START, i] for i in range(100)))
    async with opened(root) as tracking:
        await synced(tracking, record, record.state("Completed"))
    for path in root.glob("mlflow.db*"):
        path.unlink()
    shutil.rmtree(root / "artifacts")
    async with opened(root) as tracking:
        await synced(tracking, record, record.state("Completed"))
    assert len(Plain(f"sqlite:///{root / 'mlflow.db'}").history(record, "loss")) == 100


OLD_SCHEMA = """
import sys, sqlalchemy
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.store.db.utils import InitialBase, _get_alembic_config
engine = sqlalchemy.create_engine(sys.argv[1])
InitialBase.metadata.create_all(engine)
config = _get_alembic_config(sys.argv[1])
revisions = [r.revision for r in ScriptDirectory.from_config(config).walk_revisions()]
with engine.begin() as connection:
    config.attributes["connection"] = connection
    command.upgrade(config, revisions[12])
    connection.execute(sqlalchemy.text(
        "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) VALUES (7, 'old', 'x', 'active')"))
print(revisions[12])
"""


async def test_an_outdated_database_is_upgraded_after_a_copy(tmp_path):
    root = tmp_path / ".mltrain"
    root.mkdir()
    uri = f"sqlite:///{root / 'mlflow.db'}"
    made = subprocess.run([sys.executable, "-c", OLD_SCHEMA, uri], capture_output=True, text=True, check=True)
    revision = made.stdout.split()[-1]
    record = Record(root)
    record.log(["loss", 1, START, 1])
    async with opened(root) as tracking:
        await synced(tracking, record, record.state())
        backup = root / tracking.about["backup"]
    assert backup.name.startswith(f"mlflow.db.{revision}.")
    with contextlib.closing(sqlite3.connect(backup)) as copy:
        assert copy.execute("SELECT version_num FROM alembic_version").fetchall() == [(revision,)]
    plain = Plain(uri)
    assert plain.client.get_experiment("7").name == "old"
    async with opened(root) as tracking:
        await tracking.models()
        assert tracking.about["backup"] == ""


async def test_a_database_of_a_newer_mlflow_is_left_as_it_is(tmp_path):
    root = tmp_path / ".mltrain"
    record = Record(root)
    async with opened(root) as tracking:
        await synced(tracking, record, record.state())
    with contextlib.closing(sqlite3.connect(root / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    async with opened(root) as tracking:
        with pytest.raises(TrackingError, match="schema") as error:
            await tracking.models()
        assert "newer MLflow" in error.value.mend
        state = await tracking.publish(record.id, record.folder, record.state("Completed"))
        assert state["state"] == "error"
    with contextlib.closing(sqlite3.connect(root / "mlflow.db")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("ffffffffffff",)]


def uv_environment(name, *packages):
    """An environment of its own for a test, kept in the user's cache: its interpreter."""
    folder = platformdirs.user_cache_path("jupyter-mltrain") / "test-environments" / name
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        import uv

        subprocess.run([uv.find_uv_bin(), "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
        subprocess.run([uv.find_uv_bin(), "pip", "install", "--quiet", "--python", python, *packages], check=True)
        ready.touch()
    return python


@contextlib.contextmanager
def team_server(tmp_path, port):
    python = uv_environment("mlflow-3", "mlflow>=3.1,<4")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PYTEST"))}
    command = [python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = [
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/team.db",
        "--artifacts-destination",
        str(tmp_path / "team-artifacts"),
    ]
    with (tmp_path / "server.log").open("ab") as log:
        server = subprocess.Popen([*command, *stores], env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            assert server.poll() is None, (tmp_path / "server.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.mark.timeout(600)
async def test_a_teams_server(tmp_path, unused_tcp_port):
    root = tmp_path / ".mltrain"
    record = Record(root, arguments=["--a", "1"])
    record.log(*(["loss <b>", i, START + i, i / 3] for i in range(2000)), ["odd", 0, START, math.inf])
    record.output("model/weights.bin", b"w" * 1000)
    record.output("model/sub/🦦 1.bin", b"m")
    uri = f"http://127.0.0.1:{unused_tcp_port}"
    async with opened(root, uri) as tracking:
        # Down at first: told, and nothing is lost.
        state = await tracking.publish(record.id, record.folder, record.state("Completed"))
        assert (state["state"], state["pending"]) == ("error", 2001)
        with team_server(tmp_path, unused_tcp_port):
            await synced(tracking, record, record.state("Completed"))
            plain = Plain(uri)
            assert plain.history(record, metric_key("loss <b>")) == [
                (i, round((START + i) * 1000), i / 3) for i in range(2000)
            ]
            assert plain.run(record).info.status == "FINISHED"
            assert sorted(plain.artifacts(record)) == [
                "mltrain/values.jsonl",
                "outputs/model/sub/🦦 1.bin",
                "outputs/model/weights.bin",
            ]
            version = await tracking.register(record.id, record.folder, "team-model", "model", tags={"a": "<b>"})
            assert version["version"] == 1
            assert (await tracking.register(record.id, record.folder, "team-model", "model"))["same_as"] == 1
            place = await tracking.path("team-model", 1)
            assert (place / "weights.bin").read_bytes() == b"w" * 1000
            assert (place / "sub" / "🦦 1.bin").read_bytes() == b"m"
            assert not (root / "mlflow.db").exists()


MODELS = """
import sys
from pathlib import Path
import tensorflow as tf
out = Path(sys.argv[1])
keras = tf.keras
model = keras.Sequential([keras.Input((28, 28), name="image"), keras.layers.Flatten(), keras.layers.Dense(10)])
model.export(out / "exported", verbose=False)
model.save(out / "model.keras")
model.save(out / "model.h5")
inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((None, 2), dtype="int32", name="b")}
total = keras.layers.Dense(1, name="score")(inputs["a"])
keras.Model(inputs, total).save(out / "functional.keras")
class Module(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x"), tf.TensorSpec([], tf.string, name="s")])
    def __call__(self, x, s):
        return {"doubled": x * 2, "text": s}
tf.saved_model.save(Module(), str(out / "module"))
print(tf.__version__, keras.__version__)
"""


async def test_models_that_tensorflow_wrote(tracking, root, tmp_path):
    python = uv_environment("tensorflow-2.21", "tensorflow-cpu>=2.21,<2.22")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    made = subprocess.run([python, "-c", MODELS, tmp_path], env=environment, capture_output=True, text=True, check=True)
    tensorflow, keras = made.stdout.split()[-2:]
    record = Record(root)
    shutil.copytree(tmp_path, record.folder / "outputs")
    found = {}
    for name in ("exported", "module", "model.keras", "functional.keras", "model.h5"):
        found[name] = await tracking.register(record.id, record.folder, f"tf-{name}", name)
    versions = {name: (v["format"], v["framework"], v["framework_version"]) for name, v in found.items()}
    assert versions == {
        "exported": ("SavedModel", "TensorFlow", tensorflow),
        "module": ("SavedModel", "TensorFlow", tensorflow),
        "model.keras": ("Keras", "Keras", keras),
        "functional.keras": ("Keras", "Keras", keras),
        "model.h5": ("HDF5", "Keras", None),
    }
    serving = found["exported"]["signature"]["serving_default"]
    assert list(serving["inputs"].values()) == [{"dtype": "float32", "shape": [None, 28, 28]}]
    assert list(serving["outputs"].values()) == [{"dtype": "float32", "shape": [None, 10]}]
    assert found["module"]["signature"] == {
        "serving_default": {
            "inputs": {"x": {"dtype": "float32", "shape": [None, 3]}, "s": {"dtype": "string", "shape": []}},
            "outputs": {"doubled": {"dtype": "float32", "shape": [None, 3]}, "text": {"dtype": "string", "shape": []}},
        }
    }
    assert found["model.keras"]["signature"]["call"]["inputs"] == {
        "image": {"dtype": "float32", "shape": [None, 28, 28]}
    }
    functional = found["functional.keras"]["signature"]["call"]
    assert functional["inputs"] == {
        "a": {"dtype": "float32", "shape": [None, 4]},
        "b": {"dtype": "int32", "shape": [None, None, 2]},
    }
    assert list(functional["outputs"]) == ["score"]
