"""Datasets through the Python API and a real service: registered, fetched, read by runs."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.dataset import Dataset
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.data.ready_made import MNIST
from tests.faults.world import World
from tests.integration.data.scripts import READ, seen
from tests.unit.data.local_mirror import LocalMirror


def test_a_run_reads_urls_once_fetched_and_says_what_it_read(
    workspace: Workspace, submit: Callable[..., Run], server: LocalMirror, tmp_path: Path
) -> None:
    dataset = Dataset.File.from_files([server.url(f"part-{i}.csv") for i in range(4)])
    dataset = dataset.register(workspace, "parts", "four of them", {"by": "test"})
    assert (dataset.name, dataset.version, dataset.description, dataset.tags) == (
        "parts", 1, "four of them", {"by": "test"},
    )  # fmt: skip
    host = server.url("x").removeprefix("http://").rpartition("/")[0]
    assert dataset.to_path() == [f"/http/{host}/part-{i}.csv" for i in range(4)]
    run = submit(dataset.as_mount())
    read = seen(run, tmp_path)
    begins = {name: server.files[name][:20].decode() for name in server.files if name.startswith("part")}
    assert read["seen"] == {f"http/{host}/{name}": begin for name, begin in begins.items()}
    name = f"input__{dataset.id[:8]}"
    assert read["inputs"][name] == read["path"]
    assert {name, f"MLTRAIN_DATA_{name.upper()}"} <= set(read["told"])
    assert run.get_details()["runDefinition"]["arguments"] == ["--data", f"DatasetConsumptionConfig:{name}"]
    (entry,) = run.state["data"]
    assert (entry["name"], entry["version"], entry["id"], entry["files"]) == ("parts", 1, dataset.id, 4)
    assert entry["key"].startswith("sha256:")
    assert entry["bytes"] == sum(len(server.files[f"part-{i}.csv"]) for i in range(4))
    assert entry["source"] == "127.0.0.1"
    kept = json.loads((workspace.root / ".mltrain" / "runs" / run.id / "data.json").read_text())["inputs"][name]
    assert kept["hash"] == entry["key"]
    assert kept["sources"] == [server.url(f"part-{i}.csv") for i in range(4)]
    assert [size for _, size, _ in kept["files"]] == [len(server.files[f"part-{i}.csv"]) for i in range(4)]
    bodies = len(server.bodies())
    again = submit(dataset.as_mount())
    again.wait_for_completion(wait_post_processing=True)
    assert len(server.bodies()) == bodies == 4
    assert again.state["data"][0]["key"] == entry["key"]


def test_the_articles_addresses_are_had_by_content(
    workspace: Workspace, submit: Callable[..., Run], tmp_path: Path
) -> None:
    """With the ready-made files already in the cache, as they are after `%mltrain data fetch mnist`."""
    place = Path(os.environ["JUPYTER_MLTRAIN_CACHE"]) / "datasets" / "mnist" / MNIST.key[:20]
    place.mkdir(parents=True)
    for file in MNIST.files:
        (place / file.name).write_bytes(gzip.compress(file.name.encode()))
    paths = [f"http://yann.lecun.com/exdb/mnist/{file.name}" for file in MNIST.files]
    dataset = Dataset.File.from_files(path=paths)
    dataset = dataset.register(
        workspace=workspace, name="mnist-dataset", description="training and test dataset", create_new_version=True
    )
    assert "/http/yann.lecun.com/exdb/mnist/train-images-idx3-ubyte.gz" in dataset.to_path()
    run = submit(dataset.as_mount())
    read = seen(run, tmp_path)
    assert set(read["seen"]) == {f"http/yann.lecun.com/exdb/mnist/{file.name}" for file in MNIST.files}
    (told,) = run.state["substitutions"]
    assert (told["asked"], told["given"]) == ("http://yann.lecun.com/exdb/mnist (4 files)", "mnist (ready-made)")


def test_a_strict_workspace_refuses_what_would_be_replaced(world: World) -> None:
    config = world.root / ".mltrain" / "config.toml"
    config.write_text(config.read_text().replace("strict = false", "strict = true"))
    workspace = Workspace(world.root)
    dataset = Dataset.File.from_files("http://yann.lecun.com/exdb/mnist/t10k-labels-idx1-ubyte.gz")
    config_ = ScriptRunConfig(
        script="x.py", files={"x.py": READ}, environment="current", arguments=["--data", dataset.as_mount()]
    )
    with pytest.raises(Exception, match="strict") as caught:
        Experiment(workspace, "tests").submit(config_)
    assert "would be replaced by mnist" in caught.value.message


def test_local_folders_files_and_copies(
    workspace: Workspace, submit: Callable[..., Run], folder: Path, tmp_path: Path
) -> None:
    whole = Dataset.File.from_files(folder)
    read = seen(submit(whole.as_named_input("words").as_mount()), tmp_path)
    assert (read["path"], read["seen"]) == (str(folder), {"a.csv": "a.csv", "deep/b.csv": "deep/b.csv"})
    assert read["inputs"]["words"] == str(folder)
    assert "words" in read["told"]
    read = seen(submit(Dataset.File.from_files(folder / "a.csv").as_mount()), tmp_path)
    assert read["path"] == str(folder / "a.csv"), "of a single file the path is the file"
    read = seen(submit(whole.as_mount("some/place")), tmp_path)
    assert read["path"] == f"{read['cwd']}/some/place"
    assert set(read["seen"]) == {"a.csv", "deep/b.csv"}
    assert (folder / "a.csv").exists(), "removing the working folder reached the data"
    run = submit(whole.as_mount("/somewhere/else"))
    assert seen(run, tmp_path)["path"] == str(folder)
    assert run.state["substitutions"][0]["asked"] == "/somewhere/else"


def test_parts_of_a_split_are_kept_with_the_definition(
    workspace: Workspace, submit: Callable[..., Run], server: LocalMirror, tmp_path: Path
) -> None:
    dataset = Dataset.File.from_files([server.url(f"part-{i}.csv") for i in range(4)])
    train, test = dataset.random_split(0.75, seed=11)
    kept = train.register(workspace, "train")
    assert len(kept.to_path()) == 3
    assert sorted(kept.to_path() + test.to_path()) == dataset.to_path()
    found = Dataset.get_by_name(workspace, "train")
    assert found.to_path() == kept.to_path()
    run = submit(found.as_mount())
    assert [f"/{path}" for path in sorted(seen(run, tmp_path)["seen"])] == kept.to_path()
    assert run.state["data"][0]["selection"] == ["split 0.75, seed 11, part 1"]
    assert found.skip(1).take(1).to_path() == kept.to_path()[1:2]


def test_two_inputs_and_a_rerun_with_the_same_version(
    workspace: Workspace, experiment: Experiment, folder: Path, tmp_path: Path
) -> None:
    one = Dataset.File.from_files(folder / "a.csv").register(workspace, "one")
    run = experiment.submit(
        ScriptRunConfig(
            script="train.py",
            files={"train.py": READ},
            environment="current",
            arguments=["--data", one.as_named_input("left").as_mount(), one.as_named_input("right").as_download()],
        )
    )
    inputs = seen(run, tmp_path)["inputs"]
    assert inputs["left"] != inputs["right"]
    Dataset.File.from_files(folder).register(workspace, "one", create_new_version=True)
    answer = workspace.connection.post(f"/v1/runs/{run.id}/rerun", {})
    again = Run.of(workspace, answer)
    again.wait_for_completion(wait_post_processing=True)
    assert [entry["version"] for entry in again.state["data"]] == [1, 1]
