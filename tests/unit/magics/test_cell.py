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
    assert cell(shell, "--experiment mnist --data mnist -- --batch-size 64 --lr {lr} --json '{\"a\": {\"b\": 1}}'") is None
    [request] = [body for verb, path, body in service.requests if (verb, path) == ("POST", "/v1/runs")]
    assert request["arguments"] == ["--batch-size", "64", "--lr", "0.25", "--json", '{"a": {"b": 1}}']
    assert request["data"] == [{"name": "mnist", "version": None, "argument": "--data-folder"}]
    assert request["files"] == {"cell.py": "# %%mltrain\nprint('hi')\n"}
    assert request["script"] == "cell.py"
    run = shell.user_ns["run"]
    assert run.id == request["run_id"]
    first = shell.published[0]
    assert first["data"][MIME]["run"] == run.id
    assert "text/html" in first["data"] and "Status: NotStarted" in first["data"]["text/plain"]
    assert first["id"] and not first["update"]
