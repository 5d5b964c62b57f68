"""A real service for each test, in a workspace of its own, reached as users reach it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.workspace import Workspace
from tests.faults.world import REPOSITORY, World


@pytest.fixture
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's registry and cache, for this test alone."""
    monkeypatch.setenv("JUPYTER_MLTRAIN_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("JUPYTER_MLTRAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JUPYTER_MLTRAIN_IDLE_SECONDS", "60")


@pytest.fixture
def world(tmp_path: Path, own_folders: None) -> Iterator[World]:
    with World(tmp_path / "w") as made:
        yield made


@pytest.fixture
def narrow(tmp_path: Path, own_folders: None) -> Iterator[World]:
    """A world with one slot: runs wait for each other."""
    with World(tmp_path / "w", slots=1) as made:
        yield made


@pytest.fixture
def workspace(world: World) -> Workspace:
    return Workspace(world.root)


@pytest.fixture
def experiment(workspace: Workspace) -> Experiment:
    return Experiment(workspace, "tests")


@pytest.fixture
def service_of_protocol(world: World) -> Callable[[int], None]:
    """Start a service that speaks another protocol, as that of another version of the package would."""

    def start(protocol: int) -> None:
        code = (
            "import sys; import jupyter_mltrain._version as version\n"
            f"version.PROTOCOL = {protocol}; version.__version__ = '0.{protocol}'\n"
            "from jupyter_mltrain.service.__main__ import main\n"
            "sys.exit(main(['--root', sys.argv[1]]))"
        )
        subprocess.run([sys.executable, "-c", code, str(world.root)], check=True, cwd=REPOSITORY)

    return start
