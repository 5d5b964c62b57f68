"""Datasets of local files and of datastores: used where they are, told when they changed; names, versions, definitions."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_mltrain.core.dataset import FileDatasetDefinition, Selected
from jupyter_mltrain.core.datastore import DatastoreDefinition
from jupyter_mltrain.data import Catalog, Datasets, gathering, listing, places
from jupyter_mltrain.data.observed import changes, observe
from jupyter_mltrain.data.uploads import upload
from jupyter_mltrain.errors import (
    ConflictError,
    DatasetNotFound,
    DatastoreNotFound,
    InvalidName,
    PathNotFound,
    Unreachable,
    UserErrorException,
)


@pytest.fixture
def store(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "w" / ".mltrain", Datasets())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    for path in ("a.csv", "b.csv", "deep/c.csv", "deep/er/d.txt", ".hidden"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    return root


def registered(store: Catalog, *sources: object, name: str = "own", new: bool = True, selection=()):
    given = FileDatasetDefinition("", tuple(map(str, sources)), tuple(selection), name=name)
    return store.register(given, new_version=new)


# --- where files stand ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "paths"),
    [
        (["{}"], [".hidden", "a.csv", "b.csv", "deep/c.csv", "deep/er/d.txt"]),
        (["{}/"], [".hidden", "a.csv", "b.csv", "deep/c.csv", "deep/er/d.txt"]),
        (["file://{}/deep"], ["c.csv", "er/d.txt"]),
        (["{}/*.csv"], ["a.csv", "b.csv"]),
        (["{}/**/*.csv"], ["a.csv", "b.csv", "deep/c.csv"]),
        (["{}/d*/*.csv"], ["deep/c.csv"]),
        (["{}/[ab].csv"], ["a.csv", "b.csv"]),
        (["{}/?.csv"], ["a.csv", "b.csv"]),
        (["{}/a.csv"], ["a.csv"]),
        (["{}/a.csv", "{}/deep/c.csv"], ["a.csv", "deep/c.csv"]),
        (["{}/deep/c.csv", "{}/deep/er"], ["c.csv", "er/d.txt"]),
        (["{}/deep/*", "{}/*.csv"], ["a.csv", "b.csv", "deep/c.csv"]),
        (["{}/a.csv", "{}/a.csv"], ["a.csv"]),
    ],
)
def test_where_files_stand_in_a_dataset(store, folder, sources, paths):
    dataset = registered(store, *(source.format(folder) for source in sources))
    assert store.paths(dataset) == paths
    path = store.fetch(dataset).path
    if path.is_file():
        assert path.read_text() == "a.csv"
    else:
        for inner in paths:
            assert (path / inner).read_text().endswith(inner.rpartition("/")[2])


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0*?["), min_size=1, max_size=8).filter(
    lambda name: name not in {".", ".."} and len(name.encode()) < 60
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.dictionaries(
        NAMES, st.dictionaries(NAMES, st.binary(max_size=3), min_size=1, max_size=3), min_size=1, max_size=3
    )
)
def test_a_folder_as_pattern_as_list_and_as_itself_is_the_same_dataset(tmp_path_factory, tree):
    root = tmp_path_factory.mktemp("tree").resolve()
    for name, files in tree.items():
        (root / "top" / name).mkdir(parents=True)
        for file, data in files.items():
            (root / "top" / name / file).write_bytes(data)
    store = Catalog(root / "w", Datasets())
    ways = [[f"{root}/top"], [f"{root}/top/**/*"], [f"{root}/top/{name}" for name in tree]]
    found = [store.fetch(store.keep(FileDatasetDefinition("", tuple(way)))) for way in ways]
    expected = sorted(f"{name}/{file}" for name, files in tree.items() for file in files)
    for one, way in zip(found, ways, strict=True):
        if len(way) == 1 and len(tree) == 1 and way is ways[2]:
            continue  # the only folder is the dataset, and its name not in the paths
        assert sorted(file.path for file in one.files) == expected
        assert one.key == found[0].key
        assert all((one.path / path).is_file() for path in expected)


def test_a_folder_is_mounted_as_it_is_and_copies_nothing(store, folder, cache):
    fetched = store.fetch(registered(store, folder))
    assert fetched.path == folder
    assert fetched.key.startswith("sha256:")
    assert not (cache / "datasets").exists()
    linked = store.fetch(registered(store, f"{folder}/*.csv")).path
    assert all(path.is_symlink() for path in linked.iterdir())
    assert os.path.realpath(linked / "a.csv") == str(folder / "a.csv")


def test_a_name_with_brackets_that_exists_is_no_pattern(store, tmp_path):
    (tmp_path / "x[1].csv").write_text("1")
    assert store.paths(registered(store, tmp_path / "x[1].csv")) == ["x[1].csv"]


def test_links_are_followed_but_not_in_a_circle_and_pipes_are_left_out(store, folder):
    (folder / "deep" / "up").symlink_to(folder)
    (folder / "other").symlink_to(folder / "deep" / "er")
    (folder / "nowhere").symlink_to(folder / "gone")
    os.mkfifo(folder / "pipe")
    assert store.paths(registered(store, folder)) == [
        ".hidden", "a.csv", "b.csv", "deep/c.csv", "deep/er/d.txt", "other/d.txt",
    ]  # fmt: skip


def test_file_names_that_are_no_utf8(store, tmp_path):
    name = os.fsdecode(b"\xff.csv")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / name).write_text("1")
    dataset = registered(store, tmp_path / "odd")
    assert store.fetch(dataset).key == store.fetch(dataset).key
    assert store.paths(dataset) == [name]


# --- what cannot be -------------------------------------------------------------------------------------------------


def test_what_matches_nothing_is_named(store, folder):
    with pytest.raises(PathNotFound, match=r"nothing at .*/nope"):
        registered(store, folder / "nope")
    with pytest.raises(PathNotFound, match=r"No file matches .*\*\.png") as caught:
        registered(store, f"{folder}/*.png")
    assert "**/" in caught.value.mend
    (folder / "empty").mkdir()
    assert registered(store, folder / "empty"), "a folder may be filled later"
    with pytest.raises(PathNotFound, match="has no files"):
        registered(store, folder / "empty", folder / "a.csv")
    with pytest.raises(UserErrorException, match="cannot be read"):
        registered(store, f"{folder}/a**b")


def test_too_many_files_are_bounded_but_a_folder_is_mounted(store, folder, monkeypatch):
    monkeypatch.setattr(listing, "MOST_SEEN", 3)
    with pytest.raises(UserErrorException, match="more than 3 files to look at") as caught:
        registered(store, f"{folder}/**/*.txt")
    assert "narrower" in caught.value.mend
    fetched = store.fetch(registered(store, folder))
    assert (fetched.path, fetched.key) == (folder, "")
    assert "not recorded" in fetched.notices[0]


def test_two_files_for_one_path(store, tmp_path):
    stores = store.datastores
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.csv").write_text(name)
        stores.register(DatastoreDefinition(name, str(tmp_path / name)))
    found = registered(store, "datastore://a/x.csv", "datastore://b/x.csv")
    assert store.paths(found) == ["a/x.csv", "b/x.csv"]
    # A local `a/x.csv` beside the datastore `a` with an `x.csv`.
    (tmp_path / "c" / "a").mkdir(parents=True)
    (tmp_path / "c" / "a" / "x.csv").write_text("c")
    (tmp_path / "c" / "z.csv").write_text("c")
    with pytest.raises(UserErrorException, match=r"would both stand at 'a/x\.csv'"):
        registered(store, tmp_path / "c" / "a" / "x.csv", tmp_path / "c" / "z.csv", "datastore://a/x.csv")


def test_schemes_without_a_driver_name_what_to_install(store):
    with pytest.raises(UserErrorException, match=r"s3:// need a driver") as caught:
        registered(store, "s3://bucket/x.csv")
    assert "jupyter-mltrain[data]" in caught.value.mend
    with pytest.raises(UserErrorException, match="knows addresses that begin with foo://"):
        registered(store, "foo://bucket/x.csv")
    with pytest.raises(UserErrorException, match="never stored"):
        registered(store, "https://me:secret@h/x.csv")


# --- names and versions ---------------------------------------------------------------------------------------------


def test_the_same_is_the_same_version_unless_a_new_one_is_asked_for(store, folder):
    first = registered(store, folder, new=False)
    assert registered(store, folder, new=False) == first
    assert registered(store, folder).version == 2
    with pytest.raises(UserErrorException, match=r"already .version 2., with other files"):
        registered(store, folder / "a.csv", new=False)
    third = registered(store, folder / "a.csv", selection=[Selected("take", count=1)])
    assert (store.resolve("own"), store.resolve("own:1"), store.resolve("own", 2).version) == (third, first, 2)
    assert store.resolve(f"id:{first.id}") == first
    assert [d.name for d in store.list()] == ["own", "fashion-mnist", "mnist"]
    again = Catalog(store.definitions._folder.parent, Datasets())
    assert again.resolve("own") == third


def test_a_removed_versions_number_is_not_given_again(store, folder):
    registered(store, folder)
    store.remove(registered(store, folder))
    assert registered(store, folder).version == 3
    for version in (1, 3):
        store.remove(store.resolve(f"own:{version}"))
    with pytest.raises(DatasetNotFound):
        store.resolve("own")
    assert registered(store, folder).version == 4


def test_names(store, folder):
    with pytest.raises(InvalidName):
        registered(store, folder, name="a/b")
    with pytest.raises(UserErrorException, match="ready-made"):
        registered(store, folder, name="mnist")
    registered(store, folder, name="mnist-dataset")
    with pytest.raises(DatasetNotFound) as caught:
        store.resolve("mnist-datset")
    assert "mnist-dataset" in caught.value.mend
    with pytest.raises(DatasetNotFound) as caught:
        store.resolve("mnist-dataset:7")
    assert "mnist-dataset:1" in caught.value.mend
    with pytest.raises(DatasetNotFound):
        store.resolve("id:../../x")
    with pytest.raises(UserErrorException, match="ready-made and stays"):
        store.remove(store.resolve("mnist"))


def test_a_definition_can_be_read_by_a_person(store, folder):
    dataset = registered(store, f"{folder}/**/*.csv", selection=[Selected("split", share=0.8, seed=7, part=1)])
    raw = json.loads((store.definitions._folder / "own" / "1.json").read_text())
    assert raw["sources"] == [f"{folder}/**/*.csv"]
    assert raw["selection"] == [{"kind": "split", "share": 0.8, "seed": 7, "part": 1}]
    assert (raw["name"], raw["version"], raw["id"]) == ("own", 1, dataset.id)


def test_files_that_do_not_fit_the_partition_format_are_named(store, folder):
    given = FileDatasetDefinition("", (f"{folder}/*/*.csv",), name="own", partition_format="{place}/{name}.csv")
    assert store.register(given, new_version=True).partition_format == "{place}/{name}.csv"
    with pytest.raises(UserErrorException, match=r"a\.csv does not fit"):
        store.register(dataclasses.replace(given, sources=(f"{folder}/**/*.csv",)), new_version=True)


# --- what changed ---------------------------------------------------------------------------------------------------


def test_a_folder_that_changed_under_a_version_is_told(store, folder):
    dataset = registered(store, folder)
    before = store.fetch(dataset)
    assert store.fetch(dataset).changed == ()
    (folder / "a.csv").write_text("other")
    (folder / "new.csv").write_text("new")
    (folder / "b.csv").unlink()
    now = store.fetch(dataset)
    assert now.changed == ("a.csv", "b.csv", "new.csv")
    assert now.key != before.key
    assert store.definitions.content(dataset).hash == before.key
    (folder / "a.csv").write_text("a.csv")
    (folder / "b.csv").write_text("b.csv")
    (folder / "new.csv").unlink()
    assert store.fetch(dataset).changed == (), "the same content again, at another time"


def test_a_files_hash_is_remembered_while_its_size_and_time_stay(store, folder, monkeypatch):
    dataset = registered(store, folder)
    store.fetch(dataset)
    read: list[str] = []
    original = gathering.content.hash_file
    monkeypatch.setattr(gathering.content, "hash_file", lambda path: read.append(path.name) or original(path))
    store.fetch(dataset)
    assert read == []
    (folder / "a.csv").write_text("other")
    store.fetch(dataset)
    assert read == ["a.csv"]


def test_large_local_data_is_told_by_sizes_and_times(store, folder, monkeypatch):
    monkeypatch.setattr(gathering, "READ_BYTES", 10)
    dataset = registered(store, folder)
    before = store.fetch(dataset)
    assert before.key.startswith("stat:")
    assert store.fetch(dataset).changed == ()
    (folder / "a.csv").write_text("x.csv")
    os.utime(folder / "a.csv", (5, 5))
    assert store.fetch(dataset).changed == ("a.csv",)


def test_what_is_observed_before_and_after(folder):
    before = observe(folder)
    assert changes(before, observe(folder)) == []
    (folder / "a.csv").write_text("written to")
    (folder / "made").write_text("x")
    assert changes(before, observe(folder)) == ["a.csv", "made"]
    assert observe(folder / "gone") == {}
    assert list(observe(folder / "b.csv")) == ["b.csv"]


# --- datastores -----------------------------------------------------------------------------------------------------


def test_files_are_put_into_the_default_datastore_and_found_there(store, folder, tmp_path):
    files = [(str(folder / name), f"diabetes/{name}") for name in ("a.csv", "deep/c.csv")]
    done = upload(store.datastores, "default", files, overwrite=False)
    assert (done.files, done.skipped) == (["diabetes/a.csv", "diabetes/deep/c.csv"], 0)
    dataset = registered(store, "datastore://default/diabetes/")
    assert store.paths(dataset) == ["a.csv", "deep/c.csv"], "the folder's name is not part of the paths"
    assert store.fetch(dataset).path == tmp_path / "w" / ".mltrain" / "datastore" / "diabetes"
    assert store.paths(registered(store, "datastore://default/diabetes/*.csv")) == ["a.csv"]
    assert store.paths(registered(store, "datastore://default/diabetes/a.csv")) == ["a.csv"]
    (folder / "a.csv").write_text("new")
    assert upload(store.datastores, "default", files, overwrite=False).skipped == 2
    assert upload(store.datastores, "default", files, overwrite=True).bytes == 3 + len("deep/c.csv")
    assert (store.fetch(dataset).path / "a.csv").read_text() == "new"


def test_an_upload_stays_inside(store, folder):
    with pytest.raises(UserErrorException, match="leads out"):
        upload(store.datastores, "default", [(str(folder / "a.csv"), "../../x")], overwrite=True)
    with pytest.raises(PathNotFound):
        upload(store.datastores, "default", [(str(folder / "nope"), "x")], overwrite=True)
    with pytest.raises(UserErrorException, match="leads out"):
        registered(store, "datastore://default/../config.toml")


def test_a_driver_of_fsspec_is_listed_matched_fetched_and_written(store, folder):
    stores = store.datastores
    stores.register(DatastoreDefinition("mem", "memory://bucket/raw"))
    upload(stores, "mem", [(str(folder / n), f"d/{n}") for n in ("a.csv", "b.csv", "deep/c.csv")], overwrite=False)
    assert upload(stores, "mem", [(str(folder / "a.csv"), "d/a.csv")], overwrite=False).skipped == 1
    for source in ("datastore://mem/d", "memory://bucket/raw/d"):
        dataset = registered(store, source)
        assert store.paths(dataset) == ["a.csv", "b.csv", "deep/c.csv"]
        fetched = store.fetch(dataset)
        assert (fetched.path / "deep/c.csv").read_text() == "deep/c.csv"
    assert store.paths(registered(store, "datastore://mem/d/*.csv")) == ["a.csv", "b.csv"]
    assert store.paths(registered(store, "datastore://mem/d/a.csv", "datastore://mem/d/deep/c.csv")) == [
        "a.csv",
        "deep/c.csv",
    ]
    assert store.paths(registered(store, "memory://bucket/raw/d/a.csv", "memory://bucket/raw/d/b.csv")) == [
        "memory/bucket/raw/d/a.csv",
        "memory/bucket/raw/d/b.csv",
    ]
    with pytest.raises(PathNotFound):
        registered(store, "datastore://mem/d/*.png")


def test_a_driver_forgets_what_a_folder_held_when_it_was_last_listed(store, monkeypatch):
    """fsspec keeps drivers, and some of them their listings: what others put there since would never be seen."""
    asked: list[object] = []
    monkeypatch.setattr(
        "fsspec.implementations.memory.MemoryFileSystem.invalidate_cache", lambda self, path=None: asked.append(path)
    )
    store.datastores.locate("memory://b/x")
    store.datastores.locate("memory://b/x")
    assert asked == [None, None]


def test_a_driver_that_fails_says_so_in_one_line_without_secrets(store, monkeypatch):
    def broken(self, path):
        raise RuntimeError("Access Denied for hunter2\nat line 3")

    monkeypatch.setenv("MEM_KEY", "hunter2")
    store.datastores.register(DatastoreDefinition("mem", "memory://b", {"key": "${MEM_KEY}"}))
    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.info", broken)
    with pytest.raises(Unreachable, match=r"memory: Access Denied for \*\*\*\* at line 3"):
        registered(store, "datastore://mem/x")


def test_datastores_by_name(store, tmp_path):
    stores = store.datastores
    made = stores.register(DatastoreDefinition("raw", f"file://{tmp_path}"))
    assert made.url == str(tmp_path)
    assert [d.name for d in stores.list()] == ["default", "raw"]
    with pytest.raises(DatastoreNotFound) as caught:
        stores.get("row")
    assert "raw" in caught.value.mend
    with pytest.raises(ConflictError):
        stores.register(DatastoreDefinition("default", "/x"))
    with pytest.raises(UserErrorException, match="must be absolute"):
        stores.register(DatastoreDefinition("rel", "some/where"))
    with pytest.raises(UserErrorException, match="s3:// need a driver"):
        stores.register(DatastoreDefinition("cloud", "s3://bucket"))
    stores.remove("raw")
    with pytest.raises(DatastoreNotFound):
        stores.get("raw")


def test_a_value_that_nobody_lent_is_asked_for_by_name(store, monkeypatch):
    monkeypatch.delenv("MEM_KEY", raising=False)
    store.datastores.register(DatastoreDefinition("mem", "memory://b", {"key": "${MEM_KEY}"}))
    with pytest.raises(UserErrorException, match="without the environment variable MEM_KEY"):
        registered(store, "datastore://mem/x")
    kept = store.keep(FileDatasetDefinition("", ("datastore://mem/x",)), validate=False)
    assert store.missing_values(kept) == {"MEM_KEY": "mem"}
    assert store.missing_values(store.keep(FileDatasetDefinition("", ("http://h/x?${SIG}",)), validate=False)) == {
        "SIG": ""
    }
    store.datastores.lend({"MEM_KEY": "k"})
    with pytest.raises(PathNotFound):
        registered(store, "datastore://mem/x")
    text = "".join(path.read_text() for path in store.datastores._folder.rglob("*.json"))
    assert '"key": "${MEM_KEY}"' in text


def test_a_folder_that_may_not_be_read(store, folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(places.os, "scandir", refuse)
    with pytest.raises(Unreachable, match="Permission denied"):
        registered(store, f"{folder}/*.csv")
