from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.api.run import Run
from jupyter_mltrain.commands import verbs
from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.commands.details import details
from jupyter_mltrain.commands.outcome import check_outcome
from jupyter_mltrain.commands.verbs.logs import last_lines
from jupyter_mltrain.errors import (
    ConflictError,
    ModelNotFound,
    PathNotFound,
    RunFailed,
    RunNotFound,
    UsageError,
    WorkspaceNotFound,
)
from tests.unit.commands.fake_service import FakeConnection


def submit(context: Context, *, text: str = "print(1)") -> Run:
    (context.folder / "t.py").write_text(text)
    run: Run = verbs.call(context, "run", ["t.py"]).run
    return run


def test_runs_are_listed_newest_first_with_their_disk_use(context: Context, service: FakeConnection) -> None:
    assert "No runs here yet." in repr(verbs.call(context, "runs", []))
    first, second = submit(context), submit(context)
    service.advance(first.id, "Completed")
    table = verbs.call(context, "runs", [])
    assert [run.id for run in table] == [second.id, first.id]
    assert "brave-otter-1" in repr(table)
    assert "2 of 2 runs; on disk, all runs use 2.0 MB." in repr(table)
    assert [run.id for run in verbs.call(context, "runs", ["--status", "completed"])] == [first.id]
    assert len(verbs.call(context, "runs", ["-n", "1"])) == 1


def test_an_unknown_status_names_the_nearest(context: Context) -> None:
    with pytest.raises(UsageError) as caught:
        verbs.call(context, "runs", ["--status", "complete"])
    assert "Completed" in caught.value.mend


def test_show_and_cancel(context: Context, service: FakeConnection) -> None:
    run = submit(context)
    assert verbs.call(context, "show", ["latest"]).id == run.id
    assert verbs.call(context, "cancel", ["brave-otter-1"]).state["status"] == "CancelRequested"
    service.advance(run.id, "Canceled")
    with pytest.raises(ConflictError):
        verbs.call(context, "cancel", [run.id])


@pytest.mark.parametrize(
    "name", ["brave-oter-1", "../hello", "..", "a/b", "?x=1", "<script>", "🙂", "x" * 255, "%2e%2e"]
)
def test_a_run_that_is_not_there(context: Context, service: FakeConnection, name: str) -> None:
    submit(context)
    for verb in ("show", "cancel", "logs", "register"):
        with pytest.raises(RunNotFound):
            verbs.call(context, verb, [name])
    assert all(
        ".." not in path and "?" not in path and len(path.split("/")) == 4
        for _, path, _ in service.requests
        if path != "/v1/runs"
    )


def test_logs(context: Context, service: FakeConnection) -> None:
    run = submit(context)
    service.write(run.id, b"".join(b"line %d\n" % i for i in range(500)))
    service.write(run.id, b"built\n", "build.log")
    assert str(verbs.call(context, "logs", ["latest", "--tail", "2"])) == "line 498\nline 499"
    assert len(str(verbs.call(context, "logs", [])).splitlines()) == 200
    terminal = dataclasses.replace(context, terminal=True)
    assert len(str(verbs.call(terminal, "logs", [])).splitlines()) == 500
    assert str(verbs.call(context, "logs", ["--name", "build.log"])) == "built"
    assert str(verbs.call(context, "logs", ["--name", "std_log.txt", "--tail", "1"])) == "line 499"
    with pytest.raises(PathNotFound):
        verbs.call(context, "logs", ["--name", "std_lag.txt"])


def test_a_run_whose_build_failed_shows_the_build(context: Context, service: FakeConnection) -> None:
    run = submit(context)
    service.write(run.id, b"no such package\n", "build.log")
    service.advance(run.id, "Failed")
    assert str(verbs.call(context, "logs", [])) == "no such package"


def test_follow_is_for_terminals(context: Context, service: FakeConnection) -> None:
    run = submit(context)
    with pytest.raises(UsageError, match="terminal"):
        verbs.call(context, "logs", ["-f"])
    terminal = dataclasses.replace(context, terminal=True)
    service.write(run.id, b"one\ntwo\nthree\n")
    following = verbs.call(terminal, "logs", ["-f", "--tail", "1"])
    service.write(run.id, b"four\n")
    service.advance(run.id, "Completed")
    assert following.head == "three"
    assert b"".join(following) == b"four\n"


def test_the_end_of_a_long_log_is_read_from_its_end(context: Context, service: FakeConnection) -> None:
    run = submit(context)
    service.write(run.id, b"x" * 300_000 + b"\n" + b"y" * 100_000 + b"\nlast\n")
    service.requests.clear()
    text, end = last_lines(service, run.id, "user_logs/std_log.txt", 1)
    assert (text, end) == ("last", 400_007)
    assert next(p["offset"] for _, _, p in service.requests) == -65536
    text, _ = last_lines(service, run.id, "user_logs/std_log.txt", 3)
    assert [line[:1] for line in text.splitlines()] == ["x", "y", "l"]


def test_register_and_models(context: Context, service: FakeConnection) -> None:
    run = submit(context)
    assert "No models" in repr(verbs.call(context, "models", []))
    table = verbs.call(
        context,
        "register",
        ["latest", "--name", "tf-mnist", "--path", "outputs/model", "--tag", "stage=final", "--tag", "x"],
    )
    assert repr(table).splitlines()[0] == "Registered tf-mnist:1"
    assert service.models[0]["run_id"] == run.id
    assert service.models[0]["tags"] == {"stage": "final", "x": ""}
    assert "val_accuracy 0.9751" in repr(table)
    verbs.call(context, "register", ["latest"])
    assert service.models[1]["name"] == "my-project"
    assert len(verbs.call(context, "models", [])) == 2
    assert [m["id"] for m in verbs.call(context, "models", ["tf-mnist"])] == ["tf-mnist:1"]
    with pytest.raises(ModelNotFound) as caught:
        verbs.call(context, "models", ["tf-mnits"])
    assert "tf-mnist" in caught.value.mend


def test_the_same_content_is_told(context: Context, service: FakeConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(context)
    post = service.post
    monkeypatch.setattr(
        service,
        "post",
        lambda path, body=None, **k: post(path, body, **k) | ({"same_as": 1} if path.endswith("/models") else {}),
    )
    assert "Registered already as my-project:1" in repr(verbs.call(context, "register", ["latest"]))


def test_init(project: Path, service: FakeConnection) -> None:
    context = Context(folder=project)
    shown = str(verbs.call(context, "init", ["--name", "Ünï"]))
    assert str(project) in shown
    assert "Ünï" in shown
    with pytest.raises(ConflictError):
        verbs.call(context, "init", [])
    (project / "inner").mkdir()
    assert "lies inside the workspace" in str(verbs.call(context, "init", ["inner"]))


def test_verbs_need_a_workspace_and_make_none(project: Path, service: FakeConnection) -> None:
    context = Context(folder=project)
    for verb, arguments in (("runs", []), ("show", ["x"]), ("models", []), ("env", []), ("data", []), ("logs", [])):
        with pytest.raises(WorkspaceNotFound) as caught:
            verbs.call(context, verb, arguments)
        assert "%mltrain init" in caught.value.mend
    assert not (project / ".mltrain").exists()


def test_export_calls_the_exporter(context: Context, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Path, Path]] = []

    def export_notebook(source: Path, target: Path) -> Path:
        calls.append((source, target))
        target.write_text("<html>")
        return target

    fake: Any = type(sys)("jupyter_mltrain.export")
    fake.export_notebook = export_notebook
    monkeypatch.setitem(sys.modules, "jupyter_mltrain.export", fake)
    (project / "nb.ipynb").write_text("{}")
    (project / "out").mkdir()
    verbs.call(context, "export", ["nb.ipynb"])
    verbs.call(context, "export", ["nb.ipynb", "-o", "out"])
    shown = str(verbs.call(context, "export", ["nb.ipynb", "-o", "x.html"]))
    assert [t for _, t in calls] == [project / "nb.html", project / "out" / "nb.html", project / "x.html"]
    assert "x.html" in shown
    assert "6 B" in shown
    with pytest.raises(PathNotFound) as caught:
        verbs.call(context, "export", ["nbb.ipynb"])
    assert "nb.ipynb" in caught.value.mend


def test_outcomes(context: Context, service: FakeConnection) -> None:
    run = submit(context)
    check_outcome(service.runs[run.id])
    check_outcome(service.advance(run.id, "Completed"))
    failed = {**service.runs[run.id], "status": "Failed", "failure": {"title": "Killed by SIGKILL.", "mend": ""}}
    with pytest.raises(RunFailed, match=r"brave-otter-1 failed: Killed by SIGKILL\."):
        check_outcome(failed)
    with pytest.raises(RunFailed, match="was canceled"):
        check_outcome({**failed, "status": "Canceled"})


def test_a_run_in_words_says_what_it_used(context: Context, service: FakeConnection) -> None:
    run = submit(context)
    state = service.advance(run.id, "Completed")
    assert run.usage()["series"] == []
    node = {"rank": 0, "cpus": 4, "memory_limit": 8 * 10**9, "gpus_given": 1, "gpus": [], "problem": ""}
    service.nodes = [node, {**node, "rank": 1, "cpus": 1, "memory_limit": None, "problem": "no driver"}]
    service.samples = [
        {"rank": 0, "name": "cpu_percent", "measure": "cpu", "gpu": None, "peak": 99.0, "mean": 43.4},
        {"rank": 0, "name": "memory_bytes", "measure": "memory", "gpu": None, "peak": 1.234e9, "mean": 1e9},
        {"rank": 0, "name": "gpu2_percent", "measure": "gpu", "gpu": "2", "peak": 100, "mean": 91.0},
        {"rank": 0, "name": "gpu2_memory_bytes", "measure": "gpu_memory", "gpu": "2", "peak": 7e10, "mean": 7e10},
        {"rank": 1, "name": "cpu_percent", "measure": "cpu", "gpu": None, "peak": 10.0, "mean": 7.0},
    ]
    used = [line.split("  ", 2)[-1].strip() for line in details(state, run.usage()).splitlines() if " used " in line]
    assert used == [
        "mean CPU 43 % of 4 CPUs, peak memory 1.2 GB of 8.0 GB, GPU 2 mean 91 %, GPU 2 peak memory 70.0 GB",
        "rank 1: mean CPU 7 % of 1 CPU",
        "rank 1: no driver",
    ]
    assert list(run.system()) == ["cpu_percent", "memory_bytes", "gpu2_percent", "gpu2_memory_bytes"]
    assert run.system(rank=1) == {"cpu_percent": {"times": [1.5], "values": [50.0]}}


def test_a_run_in_words_leads_with_its_failure(context: Context, service: FakeConnection) -> None:
    run = submit(context)
    state = service.advance(
        run.id,
        "Failed",
        failure={
            "title": "exit code 1",
            "evidence": ["ValueError: \x1b[31mbad"],
            "traceback": "Traceback\n  x",
            "rank": 0,
            "mend": "Mend it.",
        },
        metrics=[{"name": "loss", "rank": 0, "count": 10, "last": 0.123456}],
    )
    lines = details(state).splitlines()
    assert not any(line.lstrip().startswith(("ranks", "examples")) for line in lines)
    assert lines[0] == "brave-otter-1  Failed  0:42"
    assert lines[1] == "✗ exit code 1"
    assert "  Mend it." in lines
    assert any("loss 0.1235, 10 points" in line for line in lines)
    assert "\x1b" not in details(state)


def test_a_run_of_several_processes_in_words(context: Context, service: FakeConnection) -> None:
    run = submit(context)
    one = {"rank": 0, "status": "running", "behind": 0.0, "exit": ""}
    ranks = [one, {**one, "rank": 1, "behind": 75.0}, {**one, "rank": 2, "status": "failed", "exit": "SIGKILL"}]
    scaling = {"processes": 4, "examples": 3800.0, "efficiency": None, "baseline": None}
    told = {"ranks": ranks, "failed": 2, "examples": None, "scaling": scaling}
    state = service.advance(run.id, "Running", processes=4, ranks=told)
    words = details(state)
    assert "2 running, 1 failed; rank 2 failed: SIGKILL; rank 1 is 1:15 behind; 1 more" in words
    assert "3,800/s of 4 processes\n" in words
    scaling |= {"efficiency": 0.95, "baseline": {"run_id": "r", "name": "calm-fox-1", "examples": 1000.0}}
    assert "3,800/s of 4 processes, efficiency 95% against calm-fox-1" in details(state)
