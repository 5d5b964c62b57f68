"""`%%mltrain`: what a cell becomes, what is shown, what it leaves behind."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_mltrain.errors import EnvironmentNotFound, PreflightError, RunFailed, UsageError
from tests.unit.commands.fake_service import FakeConnection

MIME = "application/vnd.mltrain.run+json"


def cell(shell: Any, line: str, body: str = "print('hi')\n") -> Any:
    return shell.run_cell_magic("mltrain", line, body)


def test_a_cell_is_submitted_shown_and_bound(shell: Any, service: FakeConnection) -> None:
    shell.user_ns["lr"] = 0.25
    assert (
        cell(shell, '--experiment mnist --data mnist -- --batch-size 64 --lr {lr} --json \'{"a": {"b": 1}}\'') is None
    )
    [request] = [body for verb, path, body in service.requests if (verb, path) == ("POST", "/v1/runs")]
    assert request["arguments"] == ["--batch-size", "64", "--lr", "0.25", "--json", '{"a": {"b": 1}}']
    assert request["data"] == [{"name": "mnist", "version": None, "argument": "--data-folder"}]
    assert request["files"] == {"cell.py": "# %%mltrain\nprint('hi')\n"}
    assert request["script"] == "cell.py"
    run = shell.user_ns["run"]
    assert run.id == request["run_id"]
    first = shell.published[0]
    assert first["data"][MIME]["run"] == run.id
    assert "text/html" in first["data"]
    assert "Status: NotStarted" in first["data"]["text/plain"]
    assert first["id"]
    assert not first["update"]


def test_errors_are_two_lines_and_leave_no_run(shell: Any, service: FakeConnection) -> None:
    shell.user_ns["x_train"] = [1]
    for line, body, error in (
        ("--evn tensorflow", "print(1)", UsageError),
        ("", "print(x_train)", PreflightError),
        ("-e tensorflw", "print(1)", EnvironmentNotFound),
        ("-- --x {unknown}", "print(1)", UsageError),
    ):
        with pytest.raises(error) as caught:
            cell(shell, line, body)
        assert len(caught.value._render_traceback_()) == 2
    assert not service.runs
    assert "run" not in shell.user_ns
    assert shell.published == []


def test_as_names_the_variable_and_the_card_says_it(shell: Any, service: FakeConnection) -> None:
    cell(shell, "--as baseline")
    assert shell.user_ns["baseline"].id in service.runs
    assert "run" not in shell.user_ns
    assert "baseline" in shell.published[0]["data"]["text/html"]


def test_braces_are_never_evaluated(shell: Any, service: FakeConnection, capsys: pytest.CaptureFixture[str]) -> None:
    shell.user_ns["ran"] = []
    cell(shell, "-- '{ran.append(1)}' '{\"a\": 1}' $ran {ran}")
    [run] = service.runs.values()
    assert run["arguments"] == ["{ran.append(1)}", '{"a": 1}', "$ran", "[]"]
    assert shell.user_ns["ran"] == []
    assert "{ran.append(1)} stays as it is" in capsys.readouterr().out


def test_a_value_cannot_become_more_words(shell: Any, service: FakeConnection) -> None:
    shell.user_ns["title"] = "a --gpus 8 -- b"
    cell(shell, "--tag title={title} -- {title}")
    [run] = service.runs.values()
    assert run["tags"] == {"title": "a --gpus 8 -- b"}
    assert run["arguments"] == ["a --gpus 8 -- b"]
    assert run["resources"]["gpus"] is None


def test_a_dry_run_is_the_cells_value(shell: Any, service: FakeConnection) -> None:
    plan = cell(shell, "--dry-run")
    assert "Nothing was started" in repr(plan)
    assert not service.runs
    assert shell.published == []
    assert "run" not in shell.user_ns


def test_help(shell: Any, service: FakeConnection, capsys: pytest.CaptureFixture[str]) -> None:
    assert cell(shell, "--help") is None
    assert "--max-run-time" in capsys.readouterr().out
    for line in ("", "--help"):
        assert shell.run_line_magic("mltrain", line) is None
        assert "doctor" in capsys.readouterr().out
    assert shell.run_line_magic("mltrain", "logs --help") is None
    assert "--tail" in capsys.readouterr().out
    assert service.requests == []


def test_a_line_returns_what_a_verb_returns(shell: Any, service: FakeConnection) -> None:
    cell(shell, "")
    assert shell.run_line_magic("mltrain", "show latest").id == shell.user_ns["run"].id
    shell.user_ns["name"] = "brave-otter-1"
    assert shell.run_line_magic("mltrain", "show {name}").id == shell.user_ns["run"].id
    assert "brave-otter-1" in shell.run_line_magic("mltrain", "runs")._repr_html_()


def test_a_file_is_shown_and_bound_like_a_cell(shell: Any, service: FakeConnection, project: Any) -> None:
    (project / "train.py").write_text("print(1)")
    assert shell.run_line_magic("mltrain", "run train.py --as r") is None
    assert shell.user_ns["r"].id in service.runs
    assert len(shell.published) >= 1


def test_wait_ends_with_the_run(shell: Any, service: FakeConnection) -> None:
    service.script = [("Preparing", b""), ("Running", b"epoch 1\repoch 2\n"), ("Completed", b"done\n")]
    assert cell(shell, "--wait") is None
    logs = [p for p in shell.published if MIME not in p["data"]]
    assert logs[-1]["data"] == {"text/plain": "epoch 2\ndone"}
    assert len({p["id"] for p in logs}) == 1
    assert not logs[0]["update"]
    assert all(p["update"] for p in logs[1:])


def test_a_failed_run_raises_with_its_cause(shell: Any, service: FakeConnection) -> None:
    service.script = [("Running", b"before\n"), ("Failed", b"")]
    with pytest.raises(RunFailed) as caught:
        cell(shell, "--wait")
    assert caught.value._render_traceback_() == [
        "RunFailed: brave-otter-1 failed: exit code 3.",
        "What it wrote: `%mltrain logs brave-otter-1`.",
    ]
    assert shell.user_ns["run"].id in service.runs


def test_the_log_in_a_notebook_is_bounded(shell: Any, service: FakeConnection) -> None:
    service.script = [
        ("Running", b"x" * 200 + b"\n" + b"".join(b"%d\r" % i for i in range(100_000)) + b"\n" + b"line\n" * 100_000),
        ("Completed", b""),
    ]
    cell(shell, "--wait")
    shown = [p["data"]["text/plain"] for p in shell.published if MIME not in p["data"]]
    assert max(map(len, shown)) < 10_000
    assert "earlier lines" in shown[-1]
    assert len(shown) <= 6


def test_a_terminal_prints_the_log_and_updates_nothing(
    shell: Any, service: FakeConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    del shell.kernel
    service.script = [("Running", b"epoch 1\n"), ("Completed", b"done\n")]
    cell(shell, "--wait")
    assert capsys.readouterr().out.endswith(".mltrain.\nepoch 1\ndone\n")
    assert len(shell.published) == 1


def test_loading_twice_is_harmless(shell: Any, service: FakeConnection) -> None:
    shell.run_line_magic("reload_ext", "jupyter_mltrain")
    cell(shell, "")
    assert len(service.runs) == 1
    assert len(shell.events.callbacks["post_run_cell"]) <= 3
