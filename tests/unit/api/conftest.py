from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_mltrain.api.workspace import Workspace
from tests.unit.api.fake_service import FakeConnection


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeConnection:
    """The service of every workspace of this test."""
    fake = FakeConnection()
    monkeypatch.setenv("JUPYTER_MLTRAIN_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(Workspace, "connection", fake)
    return fake


@pytest.fixture
def workspace(service: FakeConnection, tmp_path: Path) -> Workspace:
    return Workspace.create("tests", tmp_path / "w")
