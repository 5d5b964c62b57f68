from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.client.connection import Connection
from jupyter_mltrain.commands.verbs import VERBS
from jupyter_mltrain.errors import ServiceUnavailable
from jupyter_mltrain.magics.completion import complete


class Running:
    """A service that is there, with the names of things."""

    def __init__(self) -> None:
        self.fail = False
        self.timeouts: list[float] = []

    def get(self, path: str, *, timeout: float = 30, **_: Any) -> dict[str, Any]:
        self.timeouts.append(timeout)
        if self.fail:
            raise ServiceUnavailable("busy")
        return {
            "/v1/environments": {
                "environments": [{"name": "tensorflow"}, {"name": "tensorflow-horovod"}, {"name": "mine"}]
            },
            "/v1/datasets": {"datasets": [{"name": "mnist"}, {"name": "fashion-mnist"}]},
            "/v1/models": {"models": [{"name": "tf-mnist"}, {"name": "tf-mnist"}]},
            "/v1/targets": {"targets": [{"name": "local"}]},
            "/v1/runs": {"runs": [{"display_name": "brave-otter-2"}, {"display_name": "calm-fox-1"}]},
        }[path]


@pytest.fixture
def running(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Running:
    monkeypatch.setenv("JUPYTER_MLTRAIN_STATE", str(tmp_path / "state"))
    Workspace.create(path=project)
    fake = Running()
    monkeypatch.setattr(Connection, "running", classmethod(lambda cls, root, **_: fake))
    return fake


def at(line: str) -> list[str]:
    result = complete(SimpleNamespace(text_until_cursor=line))
    assert result["suppress"]
    assert line.endswith(result["matched_fragment"])
    return [completion.text for completion in result["completions"]]


@pytest.mark.parametrize("line", ["", "x = ", "import o", "%timeit x", "# %mltrain x", "%mltrain", "%mltrainer x"])
def test_other_lines_are_none_of_ours(line: str) -> None:
    assert complete(SimpleNamespace(text_until_cursor=line)) == {"completions": [], "suppress": False}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("%mltrain ru", ["run", "runs"]),
        ("%mltrain show ", ["brave-otter-2", "calm-fox-1", "latest"]),
        ("%mltrain show br", ["brave-otter-2"]),
        ("%mltrain show brave-otter-2 ", []),
        ("%mltrain logs --tail 5 c", ["calm-fox-1"]),
        ("%mltrain logs --t", ["--tail"]),
        ("%mltrain logs -", ["--tail", "--name", "--help"]),
        ("%mltrain env ", ["list", "show", "add", "build", "rm", "prune"]),
        ("%mltrain env build tensorflow-", ["tensorflow-horovod"]),
        ("%mltrain models ", ["tf-mnist"]),
        ("%mltrain nothing ", []),
        ("%%mltrain --e", ["--experiment", "--env", "--evaluator"]),
        ("%%mltrain --env tens", ["tensorflow", "tensorflow-horovod"]),
        ("%%mltrain -e cur", ["current"]),
        ("%%mltrain --env=mi", ["--env=mine"]),
        ("%%mltrain -d mn", ["mnist"]),
        ("%%mltrain -d test=f", ["test=fashion-mnist"]),
        ("%%mltrain -t ", ["local"]),
        ("%%mltrain --gpus ", []),
        ("%%mltrain -- --e", []),
        ("%%mltrain ", []),
        ("%mltrain run tr", ["train.py", "tries/"]),
        ("%mltrain run tries/", ["tries/a.py"]),
        ("%mltrain run train.py --wa", ["--wait"]),
        ("%%mltrain -s tr", ["train.py", "tries/"]),
        ("%mltrain export ", ["train.py", "tries/"]),
        ("%mltrain export .h", [".hidden"]),
    ],
)
def test_what_is_offered(running: Running, project: Path, line: str, found: list[str]) -> None:
    (project / "train.py").touch()
    (project / "tries").mkdir()
    (project / "tries" / "a.py").touch()
    (project / ".hidden").touch()
    assert at(line) == found


def test_all_verbs_are_offered(running: Running) -> None:
    assert at("%mltrain ") == [*VERBS, "--help"]


def test_it_is_quick_and_never_fails(running: Running) -> None:
    running.fail = True
    assert at("%%mltrain -e ") == ["current"]
    assert max(running.timeouts) <= 0.5


def test_no_service_is_started(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JUPYTER_MLTRAIN_STATE", str(tmp_path / "state"))
    assert at("%mltrain show ") == ["latest"]
    Workspace.create(path=project)
    monkeypatch.setattr("jupyter_mltrain.client.starter.start", lambda *a, **k: pytest.fail("started a service"))
    assert at("%mltrain show ") == ["latest"]
