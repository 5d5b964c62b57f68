"""Publication against the real MLflow: what a plain `MlflowClient` reads back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import pytest

from jupyter_mltrain.core.mlflow_names import metric_name
from jupyter_mltrain.tracking import cursor
from jupyter_mltrain.tracking.publisher import recorded
from tests.engines.published import START, Record, synced

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow, pytest.mark.timeout(300)]


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
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
