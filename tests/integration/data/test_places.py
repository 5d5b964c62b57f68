"""Datastores, downloads, a workspace's datasets, and what cannot be, said in one line."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.dataset import Dataset, FileDataset
from jupyter_mltrain.api.datastore import Datastore
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.fetching import fetch_dataset
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.errors import (
    ConflictError,
    DatasetNotFound,
    InvalidName,
    PathNotFound,
    Unreachable,
    UserErrorException,
)
from tests.faults.world import eventually
from tests.integration.data.scripts import seen
from tests.unit.data.local_mirror import LocalMirror


def test_what_cannot_be_is_said_in_one_line(
    workspace: Workspace, submit: Callable[..., Run], folder: Path, server: LocalMirror
) -> None:
    with pytest.raises(UserErrorException, match="no dataset 'mnits'") as unknown:
        Dataset.get_by_name(workspace, "mnits")
    assert isinstance(unknown.value, DatasetNotFound)
    assert "mnist" in unknown.value.mend
    with pytest.raises(PathNotFound, match="nothing at"):
        Dataset.File.from_files(folder / "nope")
    with pytest.raises(PathNotFound, match="No file matches"):
        Dataset.File.from_files(f"{folder}/*.png")
    with pytest.raises(UserErrorException, match="at least one"):
        Dataset.File.from_files([])
    with pytest.raises(UserErrorException, match="is a folder"):
        Dataset.File.from_files(folder, is_file=True)
    with pytest.raises(Unreachable, match="Connection refused"):
        Dataset.File.from_files("http://127.0.0.1:9/x").register(workspace, "x")
    with pytest.raises(UserErrorException, match=r"need a driver"):
        Dataset.File.from_files("s3://b/x").register(workspace, "x")
    words = Dataset.File.from_files(folder).register(workspace, "words")
    with pytest.raises(UserErrorException, match="already"):
        Dataset.File.from_files(folder / "a.csv").register(workspace, "words")
    with pytest.raises(UserErrorException, match="as_mount"):
        submit(words)
    with pytest.raises(InvalidName, match="'PATH' cannot be the name"):
        submit(words.as_named_input("PATH").as_mount())
    with pytest.raises(UserErrorException, match="outputs"):
        submit(words.as_mount("outputs/data"))
    with pytest.raises(UserErrorException, match="leads out"):
        submit(words.as_mount("../data"))
    for wrong in (-1, True, 1.5):
        with pytest.raises(UserErrorException):
            words.take(wrong)  # type: ignore[arg-type]
    with pytest.raises(UserErrorException):
        words.random_split(1.5)
    with pytest.raises(DatasetNotFound):
        Dataset.get_by_id(workspace, "nothing")


def test_data_that_cannot_be_had_fails_the_run_with_the_cause(
    workspace: Workspace, submit: Callable[..., Run], server: LocalMirror
) -> None:
    dataset = Dataset.File.from_files(server.url("part-0.csv")).register(workspace, "p")
    server.status["part-0.csv"] = 404
    run = submit(dataset.as_mount())
    assert eventually(lambda: run.refresh()["status"] == "Failed", "it does not fail")
    assert "nothing at" in run.state["failure"]["title"]
    assert run.state["failure"]["mend"]


def test_files_go_into_a_datastore_and_come_back(
    workspace: Workspace, submit: Callable[..., Run], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = workspace.get_default_datastore()
    place = store.upload_files([folder / "a.csv", folder / "deep/b.csv"], target_path="words", show_progress=True)
    assert "Uploaded 2 of 2 files" in capsys.readouterr().out
    dataset = Dataset.File.from_files((store, "words/"))
    assert dataset.to_path() == ["/a.csv", "/deep/b.csv"]
    assert Dataset.File.from_files(place).to_path() == dataset.to_path()
    assert Dataset.File.from_files(store.path("words/deep")).to_path() == ["/b.csv"]
    assert set(seen(submit(dataset.as_mount()), tmp_path)["seen"]) == {"a.csv", "deep/b.csv"}
    store.upload(folder, "all", show_progress=False)
    assert Dataset.File.from_files(store.path("all")).to_path() == ["/a.csv", "/deep/b.csv"]
    made = Dataset.File.upload_directory(folder / "deep", (store, "deep"), show_progress=False)
    assert made.to_path() == ["/b.csv"]
    got = dataset.download(tmp_path / "got")
    assert [Path(path).read_text() for path in got] == ["a.csv", "deep/b.csv"]
    with pytest.raises(ConflictError, match="there already"):
        dataset.download(tmp_path / "got")
    dataset.download(tmp_path / "got", overwrite=True)
    with pytest.raises(PathNotFound):
        store.upload_files([folder / "nope"])


def test_datastores_are_found_by_name(workspace: Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Datastore.register(workspace, "raw", folder)
    assert set(workspace.datastores) == {"default", "raw"}
    assert Datastore.get(workspace, "raw").url == str(folder)
    with pytest.raises(UserErrorException, match="no datastore 'row'"):
        Datastore.get(workspace, "row")
    with pytest.raises(UserErrorException, match="never stored"):
        Datastore.register(workspace, "cloud", "memory://b", secret="hunter2")
    monkeypatch.setenv("MEM_SECRET", "hunter2")
    Datastore.register(workspace, "cloud", "memory://b", secret="${MEM_SECRET}")
    files = [path for path in (workspace.root / ".mltrain").rglob("*") if path.is_file()]
    assert not [path for path in files if b"hunter2" in path.read_bytes()]
    raw = Dataset.File.from_files((Datastore.get(workspace, "cloud"), "y.csv"), validate=False)
    monkeypatch.delenv("MEM_SECRET")
    workspace.connection.post("/v1/handover")
    config = ScriptRunConfig(script="x.py", files={"x.py": ""}, environment="current", arguments=[raw.as_mount()])
    with pytest.raises(UserErrorException, match="without the environment variable MEM_SECRET") as caught:
        Experiment(workspace, "tests").submit(config)
    assert "Datastore.get(ws, 'cloud')" in caught.value.mend
    monkeypatch.setenv("MEM_SECRET", "hunter2")
    # The service has the value from here, not from its own surroundings.
    with pytest.raises(PathNotFound):
        Dataset.File.from_files((Datastore.get(workspace, "cloud"), "x.csv")).register(workspace, "x")


def test_datasets_of_a_workspace(workspace: Workspace, folder: Path) -> None:
    words = Dataset.File.from_files(folder).register(workspace, "words")
    assert set(workspace.datasets) == {"words", "mnist", "fashion-mnist"}
    assert Dataset.get_by_id(workspace, words.id).name == "words"
    assert Dataset.get_by_name(workspace, "mnist").to_path()[0] == "/t10k-images-idx3-ubyte.gz"
    loose = Dataset.File.from_files(folder / "a.csv")
    assert loose.id is None
    assert loose.as_mount().request(workspace)["dataset"] == f"id:{loose.id}"
    assert isinstance(Dataset.get_by_id(workspace, loose.id), FileDataset)
    words.unregister()
    assert "words" not in workspace.datasets


def test_a_fetch_says_how_far_it_is(workspace: Workspace, server: LocalMirror, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 3_000_000
    server.files["big.bin"], server.etags["big.bin"] = os.urandom(size), '"big"'
    server.cut, server.cuts, server.stall = size // 2, 1, True
    Dataset.File.from_files(server.url("big.bin")).register(workspace, "big")
    said = io.StringIO()
    monkeypatch.setattr("sys.stdout", said)

    def release_once_it_is_said() -> None:
        try:
            eventually(lambda: "1.5 of 3.0 MB from 127.0.0.1" in said.getvalue(), "it is not said")
        finally:
            server.release()

    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(release_once_it_is_said)
        entry = fetch_dataset(workspace, "big:1")
        told.result()
    assert entry["bytes"] == size
