"""Datasets through the Python API and a real service: registered, fetched, read by runs, told when they change."""

from __future__ import annotations

import gzip
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.dataset import Dataset, FileDataset
from jupyter_mltrain.api.datastore import Datastore
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.fetching import fetch_dataset
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.client import starter
from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.data.ready_made import MNIST
from jupyter_mltrain.errors import (
    ConflictError,
    DatasetNotFound,
    InvalidName,
    PathNotFound,
    Unreachable,
    UserErrorException,
)
from tests.faults.world import World, eventually
from tests.unit.data.local_mirror import LocalMirror

READ = """
import glob, json, os, sys
from jupyter_mltrain import Run
path = sys.argv[sys.argv.index("--data") + 1]
found = glob.glob(os.path.join(path, "**/*"), recursive=True) if os.path.isdir(path) else [path]
seen = {os.path.relpath(p, path): open(p, "rb").read(20).decode("latin-1") for p in found if os.path.isfile(p)}
told = {name: value for name, value in os.environ.items() if value == path}
json.dump({"path": path, "seen": seen, "told": sorted(told), "inputs": Run.get_context().input_datasets,
           "cwd": os.getcwd()}, open("outputs/seen.json", "w"))
"""


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


def seen(run: Run, tmp_path: Path) -> dict[str, object]:
    run.wait_for_completion(wait_post_processing=True)
    run.download_file("outputs/seen.json", tmp_path / "seen.json")
    return json.loads((tmp_path / "seen.json").read_text())


# --- what a run reads -----------------------------------------------------------------------------------------------


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


WRITE = READ + "\nopen(os.path.join(path, 'a.csv'), 'w').write('written'); print('wrote')\n"


def no_namespaces(workspace: Workspace) -> None:
    """From now on as on a machine that has none."""
    config = workspace.root / ".mltrain" / "config.toml"
    text = config.read_text("utf-8").replace("[targets.local]\n", "[targets.local]\nread_only_data = false\n")
    config.write_text(text, "utf-8")
    workspace.connection.post("/v1/handover")
    starter.wait_until_gone(Layout(workspace.root))


def running(run: Run) -> dict[str, Any]:
    """What was seen when it ran."""
    return next(change["evidence"] for change in run.refresh()["history"] if change["status"] == "Running")


def test_what_is_mounted_cannot_be_changed(submit: Callable[..., Run], folder: Path, tmp_path: Path) -> None:
    tries = READ + (
        "\nimport errno"
        "\nfor what in (lambda: open(os.path.join(path, 'a.csv'), 'w'), lambda: os.remove(os.path.join(path, 'a.csv')),"
        "\n             lambda: open(os.path.join(path, 'new'), 'w'), lambda: os.chmod(os.path.join(path, 'a.csv'), 0)):"
        "\n    try:"
        "\n        what(); print('wrote')"
        "\n    except OSError as error:"
        "\n        print(errno.errorcode[error.errno])"
        "\nopen('outputs/kept', 'w').write('x')\n"
    )
    whole = Dataset.File.from_files(folder)
    for data in (whole, whole.take(1)):
        run = submit(data.as_named_input("own").as_mount(), tries)
        seen(run, tmp_path)
        assert run.get_log().split() == ["EROFS"] * 4, "also where it is made of links"
        assert running(run)["data"] == "read-only"
        assert "outputs/kept" in run.get_file_names()
    assert sorted(path.name for path in folder.iterdir()) == ["a.csv", "deep"]


def test_a_copy_may_be_written_to_and_what_is_mounted_is_told(
    submit: Callable[..., Run], folder: Path, tmp_path: Path
) -> None:
    run = submit(Dataset.File.from_files(folder).as_download(), WRITE)
    seen(run, tmp_path)
    assert (folder / "a.csv").read_text() == "a.csv"
    assert not [notice for notice in run.state["notices"] if "changed" in notice]
    record = run.workspace.root / ".mltrain" / "runs" / run.id
    assert not (record / "data").exists(), "the run's copy was left behind"
    no_namespaces(run.workspace)
    run = submit(Dataset.File.from_files(folder).as_named_input("own").as_mount(), WRITE)
    seen(run, tmp_path)
    assert "data" not in running(run)
    [notice] = [notice for notice in run.refresh()["notices"] if "changed" in notice]
    assert notice == "the data of own changed while the run was there: a.csv"


def test_what_a_run_wrote_into_the_cache_is_thrown_away(
    workspace: Workspace, submit: Callable[..., Run], server: LocalMirror, tmp_path: Path
) -> None:
    dataset = Dataset.File.from_files([server.url("part-0.csv"), server.url("part-1.csv")]).register(workspace, "parts")
    spoil = READ + (
        "\n[file] = [p for p in found if p.endswith('part-0.csv')]"
        "\nos.chmod(file, 0o644); open(file, 'w').write('spoiled')\n"
    )
    no_namespaces(workspace)
    run = submit(dataset.as_named_input("parts").as_mount(), spoil)
    seen(run, tmp_path)
    [notice] = [notice for notice in run.refresh()["notices"] if "changed" in notice]
    assert "part-0.csv" in notice
    assert "thrown away" in notice
    good = seen(submit(dataset.as_mount()), tmp_path)
    assert "spoiled" not in str(good["seen"])
    assert [name for name, _ in server.bodies()].count("part-0.csv") == 2
    assert [name for name, _ in server.bodies()].count("part-1.csv") == 1


def test_a_version_whose_folder_changed_is_used_and_told(
    workspace: Workspace, submit: Callable[..., Run], folder: Path, tmp_path: Path
) -> None:
    dataset = Dataset.File.from_files(folder).register(workspace, "words")
    first = submit(dataset.as_mount())
    first.wait_for_completion(wait_post_processing=True)
    (folder / "a.csv").write_text("other")
    run = submit(dataset.as_mount())
    assert seen(run, tmp_path)["seen"]["a.csv"] == "other"
    assert any("words:1 is not what it was" in notice and "a.csv" in notice for notice in run.state["notices"])
    assert run.state["data"][0]["changed"] == ["a.csv"]
    assert run.state["data"][0]["key"] != first.state["data"][0]["key"]


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


# --- killed in the midst --------------------------------------------------------------------------------------------


def test_a_service_killed_while_it_fetches_goes_on_where_it_was(
    world: World, workspace: Workspace, submit: Callable[..., Run], server: LocalMirror, tmp_path: Path
) -> None:
    size = 3_000_000
    server.files["big.bin"], server.etags["big.bin"] = os.urandom(size), '"big"'
    dataset = Dataset.File.from_files(server.url("big.bin")).register(workspace, "big")
    server.cut, server.cuts, server.stall = size // 2, 1, True
    run = submit(dataset.as_mount())
    parts = Path(os.environ["JUPYTER_MLTRAIN_CACHE"]) / "datasets" / ".addresses"
    eventually(lambda: any(part.stat().st_size == size // 2 for part in parts.glob("*.part")), "half of it never came")
    world.kill_service()
    server.release()
    read = seen(run, tmp_path)
    assert read["path"].endswith("/big.bin")
    assert Path(read["path"]).read_bytes() == server.files["big.bin"]
    assert server.bodies() == [("big.bin", None), ("big.bin", f"bytes={size // 2}-")]


def test_a_cancel_ends_a_fetch(workspace: Workspace, submit: Callable[..., Run], server: LocalMirror) -> None:
    dataset = Dataset.File.from_files(server.url("part-0.csv")).register(workspace, "p")
    server.hold.clear()
    run = submit(dataset.as_mount())
    assert server.in_body.wait(10)
    run.cancel()
    server.hold.set()
    assert eventually(lambda: run.refresh()["status"] == "Canceled", "it goes on")


def test_a_copy_goes_with_a_run_that_never_ran(
    world: World, experiment: Experiment, folder: Path, server: LocalMirror
) -> None:
    """One input is copied already when the other cannot be had."""
    whole = Dataset.File.from_files(folder).as_named_input("whole").as_download()
    server.hold.clear()
    never = Dataset.File.from_files(server.url("part-0.csv"), validate=False).as_named_input("never")
    config = ScriptRunConfig(script="x.py", files={"x.py": READ}, environment="current", arguments=[whole, never])
    run = experiment.submit(config)
    copy = world.root / ".mltrain" / "runs" / run.id / "data"
    assert server.in_body.wait(10)
    eventually((copy / "whole" / "a.csv").is_file, "nothing was copied")
    run.cancel()
    server.hold.set()
    eventually(lambda: run.refresh()["status"] == "Canceled", "it goes on")
    eventually(lambda: not copy.exists(), "the copy was left behind")


def test_what_a_run_reads_is_not_removed_under_it(
    workspace: Workspace, submit: Callable[..., Run], server: LocalMirror, tmp_path: Path
) -> None:
    dataset = Dataset.File.from_files([server.url("part-0.csv"), server.url("part-1.csv")]).register(workspace, "parts")
    go = tmp_path / "go"
    run = submit(
        dataset.as_mount(), f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.02)\n{READ}"
    )
    eventually(lambda: run.refresh()["status"] == "Running", "it does not run")
    with pytest.raises(ConflictError, match="reads parts:1 now"):
        workspace.connection.post("/v1/datasets/parts/remove", {"what": "cache"})
    go.touch()
    assert len(seen(run, tmp_path)["seen"]) == 2
    freed = workspace.connection.post("/v1/datasets/parts/remove", {"what": "cache"})["bytes"]
    assert freed == sum(len(server.files[f"part-{i}.csv"]) for i in range(2))
    assert not workspace.connection.get("/v1/datasets/parts")["cached"]


def test_many_runs_that_wait_for_data_do_not_stop_the_service(
    workspace: Workspace, submit: Callable[..., Run], server: LocalMirror
) -> None:
    dataset = Dataset.File.from_files(server.url("part-0.csv")).register(workspace, "p")
    server.hold.clear()
    runs = [submit(dataset.as_mount()) for _ in range(12)]
    assert server.in_body.wait(10)
    started = time.monotonic()
    assert len(workspace.connection.get("/v1/datasets", timeout=10)["datasets"]) == 3
    assert time.monotonic() - started < 5
    server.hold.set()
    for run in runs:
        run.wait_for_completion(wait_post_processing=True)
    assert len(server.bodies()) == 1


# --- what cannot be -------------------------------------------------------------------------------------------------


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


# --- datastores, downloads ------------------------------------------------------------------------------------------


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


def test_a_fetch_says_how_far_it_is(
    workspace: Workspace, server: LocalMirror, capsys: pytest.CaptureFixture[str]
) -> None:
    size = 3_000_000
    server.files["big.bin"], server.etags["big.bin"] = os.urandom(size), '"big"'
    server.cut, server.cuts, server.stall = size // 2, 1, True
    Dataset.File.from_files(server.url("big.bin")).register(workspace, "big")
    threading.Timer(1.5, server.release).start()
    started = time.monotonic()
    entry = fetch_dataset(workspace, "big:1")
    assert time.monotonic() - started > 1
    assert entry["bytes"] == size
    assert "1.5 of 3.0 MB from 127.0.0.1" in capsys.readouterr().out
