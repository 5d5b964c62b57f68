"""The MLflow database of a workspace: moved, thrown away, outdated; and the server of a team."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request

import pytest

from jupyter_mltrain.core.mlflow_names import metric_key
from jupyter_mltrain.errors import TrackingError
from tests.engines.published import START, Plain, Record, opened, register, synced
from tests.engines.python_environment import python_environment

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow, pytest.mark.timeout(300)]


async def test_a_workspace_may_move_and_have_any_path(tmp_path):
    folder = tmp_path / "my work #1 100%20 🦦?"
    root = folder / ".mltrain"
    record = Record(root)
    record.output("model.keras", b"bytes")
    record.log(["loss", 1, START, 1])
    async with opened(root) as tracking:
        await synced(tracking, record, record.state("Running"))
        await register(tracking, record, "m", "model.keras")
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


@contextlib.contextmanager
def team_server(tmp_path, port):
    python = python_environment("mlflow-3", "mlflow>=3.1,<4")
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
            version = await register(tracking, record, "team-model", "model", tags={"a": "<b>"})
            assert version["version"] == 1
            assert (await register(tracking, record, "team-model", "model"))["same_as"] == 1
            place = await tracking.path("team-model", 1)
            assert (place / "weights.bin").read_bytes() == b"w" * 1000
            assert (place / "sub" / "🦦 1.bin").read_bytes() == b"m"
            assert not (root / "mlflow.db").exists()
