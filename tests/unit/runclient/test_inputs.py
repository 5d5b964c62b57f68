"""What a script has of its datasets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jupyter_mltrain.runclient.injected.jupyter_mltrain._inputs import InputDataset
from jupyter_mltrain.runclient.injected.jupyter_mltrain._run import OfflineRun


def test_inputs_have_the_names_that_the_run_gave_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLTRAIN_DATA_FASHION_MNIST", "/data/f")
    monkeypatch.setenv("MLTRAIN_INPUTS", json.dumps({"fashion-mnist": "/data/f", "Own": str(tmp_path)}))
    found = OfflineRun().input_datasets
    assert found == {"fashion_mnist": "/data/f", "fashion-mnist": "/data/f", "Own": str(tmp_path)}
    assert Path(found["Own"]) == tmp_path


def test_an_input_is_a_path_that_answers_like_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.csv").write_text("a")
    (folder / "b.csv").write_text("b")
    dataset = InputDataset(folder)
    assert dataset.to_path() == ["/b.csv", "/deep/a.csv"]
    monkeypatch.chdir(tmp_path)
    assert [Path(path).read_text() for path in dataset.download()] == ["b", "a"]
    with pytest.raises(FileExistsError):
        dataset.download("data")
    dataset.download("data", overwrite=True)
    single = InputDataset(folder / "b.csv")
    assert single.to_path() == ["/b.csv"]
    assert [Path(path).read_text() for path in single.download(str(tmp_path / "one"))] == ["b"]
