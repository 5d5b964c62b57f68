from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.commands.context import Context
from tests.unit.commands.fake_service import FakeConnection


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeConnection:
    """The service of every workspace of this test."""
    fake = FakeConnection()
    monkeypatch.setenv("JUPYTER_MLTRAIN_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(Workspace, "connection", fake)
    return fake


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "My Project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


class Voice(list[str]):
    def __call__(self, text: str) -> None:
        self.append(text)


@pytest.fixture
def said() -> Voice:
    return Voice()


@pytest.fixture
def context(project: Path, service: FakeConnection, said: Voice) -> Context:
    Workspace.create(path=project)
    return Context(folder=project, say=said)
