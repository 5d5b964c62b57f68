"""Runs that a script keeps below its own, as its streams tell them; and the record that is read of that."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.computes.within import WithinCompute, begun
from jupyter_mltrain.core.compute import Handle, Phase
from jupyter_mltrain.runclient.injected.jupyter_mltrain import _stream
from jupyter_mltrain.runclient.injected.jupyter_mltrain._children import ChildRun
from jupyter_mltrain.runclient.injected.jupyter_mltrain._run import LiveRun, OfflineRun
from jupyter_mltrain.runclient.injected.jupyter_mltrain._values import UsageError


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stream, "_said", set())


@pytest.fixture
def run(tmp_path: Path) -> LiveRun:
    folder = tmp_path / "runs" / "e_1_aa"
    (folder / "streams").mkdir(parents=True)
    (folder / "state.json").write_text(json.dumps({"status": "Running", "doc": {}}))
    return LiveRun("e_1_aa", "e", "brave-otter-7", 0, str(folder / "streams"))


def handle(run: LiveRun, child: Any) -> Handle:
    within = Path(run.streams).parent
    return {"engine": "x", "run_id": child.id, "root": str(within.with_name(child.id)), "within": str(within)}


async def test_an_end_counts_once_all_that_came_before_it_is_there(run: LiveRun) -> None:
    """On another machine the files of a run come one after the other, in any order."""
    child = run.child_run("fold")
    child.log("x", 1)
    child.complete()
    assert child.get_status() == "Completed"
    engine, there = WithinCompute(), handle(run, child)
    [stream] = Path(run.streams).glob("*.metrics")
    data = stream.read_bytes()
    stream.write_bytes(data[:-3])
    assert (await engine.observe(there)).phase is Phase.RUNNING
    stream.write_bytes(data)
    seen = await engine.observe(there)
    assert (seen.phase, seen.exits[0].code) == (Phase.EXITED, 0)
    assert [(f.stream, f.data) async for f in engine.stream(there, {})] == [(stream.name.partition(".")[2], data)]


async def test_a_run_whose_script_is_gone_has_vanished(run: LiveRun) -> None:
    child = run.child_run()
    engine, there = WithinCompute(), handle(run, child)
    for state, phase in (
        ({"status": "Finalizing", "doc": {}}, Phase.RUNNING),
        ({"status": "Finalizing", "doc": {"drained": True}}, Phase.VANISHED),
        ({"status": "Failed", "doc": {}}, Phase.VANISHED),
    ):
        Path(run.streams).with_name("state.json").write_text(json.dumps(state))
        assert (await engine.observe(there)).phase is phase
    Path(run.streams).with_name("state.json").unlink()
    assert (await engine.observe(there)).phase is Phase.VANISHED


def test_who_is_below_whom(run: LiveRun) -> None:
    with run.child_run("a") as child, child.child_run("b") as deeper:
        deeper.log("x", 1)
    told = {each.display_name: each.parent for each in begun(Path(run.streams).parent)}
    assert told == {"a": run.id, "b": child.id}
    assert [each.name for each in run.get_children(recursive=True)] == ["a", "b"]
    assert deeper.parent is child
    with pytest.raises(UsageError, match="count"):
        run.create_children()


def test_a_forked_process_logs_to_the_same_child(run: LiveRun) -> None:
    with run.child_run("a") as child:
        child.log("x", 1)
        pid = os.fork()
        if pid == 0:
            child.log("x", 2)
            os._exit(0)
        os.waitpid(pid, 0)
    [end] = Path(run.streams).glob("*.end")
    assert len(json.loads(end.read_text())["sizes"]) == 2


def test_a_script_is_never_stopped_by_what_cannot_be_written(run: LiveRun, capsys: pytest.CaptureFixture[str]) -> None:
    run.streams = "/nowhere"
    with run.child_run("a") as child:
        child.log("x", 1)
    assert "cannot be noted" in capsys.readouterr().err
    child.fail("again")
    assert child.get_status() == "Completed", "the first end counts"
    assert "has ended already" in capsys.readouterr().err


def test_leaving_the_block_ends_it(run: LiveRun) -> None:
    with run.child_run() as good:
        raise SystemExit(0)
    with pytest.raises(KeyError), run.child_run() as bad:
        raise KeyError("gone")
    with run.child_run() as canceled:
        canceled.cancel()
    assert [one.get_status() for one in (good, bad, canceled)] == ["Completed", "Failed", "Canceled"]
    assert isinstance(bad, ChildRun)
    assert "KeyError: 'gone'" in Path(run.streams, bad.id + ".end").read_text()


def test_outside_of_a_run_there_are_children_too(capsys: pytest.CaptureFixture[str]) -> None:
    with OfflineRun().child_run("a") as child:
        child.log("x", 1)
    assert "Attempted to log scalar metric x:\n1" in capsys.readouterr().out
