"""Data to read: a server of files, a folder, a run that reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.run import Run
from tests.faults.world import World
from tests.integration.data.scripts import READ
from tests.unit.data.local_mirror import LocalMirror


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def here(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Datasets that are not registered ask the workspace of the current folder."""
    monkeypatch.chdir(world.root)


@pytest.fixture
def server() -> Iterator[LocalMirror]:
    made = LocalMirror()
    made.files |= {f"part-{i}.csv": f"part {i}\n".encode() * 1000 for i in range(4)}
    made.etags = {name: f'"{name}"' for name in made.files}
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    for path in ("a.csv", "deep/b.csv"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    return root


@pytest.fixture
def submit(experiment: Experiment) -> Callable[..., Run]:
    def start(argument: object, script: str = READ) -> Run:
        config = ScriptRunConfig(
            script="train.py", files={"train.py": script}, environment="current", arguments=["--data", argument]
        )
        return experiment.submit(config)

    return start
