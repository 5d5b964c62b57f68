"""Datasets of files on a web server that misbehaves: fetched once, continued, by content; told when they changed."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jupyter_mltrain.cache import Stopped
from jupyter_mltrain.core.dataset import DatasetDefinition, DatasetFile, FileDatasetDefinition, Selected
from jupyter_mltrain.data import Catalog, Datasets, catalog, content, places
from jupyter_mltrain.data.content import content_path
from jupyter_mltrain.errors import DiskFull, DownloadCorrupt, PathNotFound, Unreachable, UserErrorException

FILES = {f"part-{i}.csv": bytes([65 + i]) * 1000 * (i + 1) for i in range(6)}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "PAUSE_SECONDS", 0.01)


@pytest.fixture
def server(mirrors):
    made = mirrors()
    made.files |= FILES
    made.etags = {name: f'"{name}-1"' for name in made.files}
    return made


@pytest.fixture
def store(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "w" / ".mltrain", Datasets())


def registered(store: Catalog, *sources: str, selection=(), name: str = "own") -> FileDatasetDefinition:
    return store.register(FileDatasetDefinition("", sources, tuple(selection), name=name), new_version=True)


def test_a_list_of_urls_stands_below_its_host_and_is_fetched_once(store, server):
    dataset = registered(store, *(server.url(name) for name in FILES))
    fetched = store.fetch(dataset)
    host = server.url("x").removeprefix("http://").rpartition("/")[0]
    assert sorted(p.relative_to(fetched.path).as_posix() for p in fetched.path.rglob("*.csv")) == [
        f"http/{host}/{name}" for name in FILES
    ]
    for name, data in FILES.items():
        path = fetched.path / "http" / host / name
        assert path.read_bytes() == data
        assert not path.stat().st_mode & 0o222
    assert (fetched.source, fetched.bytes) == ("127.0.0.1", sum(map(len, FILES.values())))
    asked = len(server.asked)
    again = store.fetch(dataset)
    assert (again.source, again.path, again.key) == ("cache", fetched.path, fetched.key)
    assert len(server.asked) == asked, "what a version held is in the cache, and yet somebody was asked"


def test_a_single_url_is_the_file(store, server):
    fetched = store.fetch(registered(store, server.url("part-0.csv") + "?raw=1"))
    assert fetched.path.name == "part-0.csv"
    assert fetched.path.read_bytes() == FILES["part-0.csv"]


def test_two_datasets_share_what_they_have_in_common(store, server):
    store.fetch(registered(store, server.url("part-1.csv"), server.url("part-2.csv")))
    bodies = len(server.bodies())
    other = store.fetch(registered(store, server.url("part-2.csv"), server.url("part-3.csv"), name="other"))
    assert [name for name, _ in server.bodies()[bodies:]] == ["part-3.csv"]
    inodes = {p.stat().st_ino for p in other.path.rglob("part-2.csv")}
    assert inodes == {content_path(hashlib.sha256(FILES["part-2.csv"]).hexdigest()).stat().st_ino}


def test_only_the_selected_files_are_fetched(store, server):
    first, second = (
        registered(store, *map(server.url, FILES), selection=[Selected("split", share=0.5, seed=3, part=part)])
        for part in (0, 1)
    )
    store.fetch(first)
    one = {name for name, _ in server.bodies()}
    store.fetch(second)
    assert len(one) == 3
    assert {name for name, _ in server.bodies()} == set(FILES)
    assert len(server.bodies()) == 6
    with pytest.raises(UserErrorException, match="none is left"):
        registered(store, server.url("part-1.csv"), selection=[Selected("skip", count=1)])


# --- cut, continued, stopped ----------------------------------------------------------------------------------------


def test_a_cut_download_continues_where_it_was(store, server):
    server.cut, server.cuts = 700, 2
    assert store.fetch(registered(store, server.url("part-5.csv"))).path.read_bytes() == FILES["part-5.csv"]
    assert server.bodies() == [("part-5.csv", None), ("part-5.csv", "bytes=700-"), ("part-5.csv", "bytes=1400-")]


def test_a_download_continues_in_the_next_call_if_it_is_still_the_same(store, server):
    dataset = registered(store, server.url("part-5.csv"))
    server.cut, server.cuts = 700, 4
    with pytest.raises(Unreachable, match="connection cut"):
        store.fetch(dataset)
    server.asked.clear()
    assert store.fetch(dataset).path.read_bytes() == FILES["part-5.csv"]
    assert server.bodies() == [("part-5.csv", "bytes=2800-")]


def test_what_was_begun_of_another_content_is_thrown_away(store, server):
    dataset = registered(store, server.url("part-5.csv"))
    server.cut, server.cuts = 700, 4
    with pytest.raises(Unreachable):
        store.fetch(dataset)
    server.files["part-5.csv"], server.etags["part-5.csv"] = b"n" * 6000, '"new"'
    assert store.fetch(dataset).path.read_bytes() == b"n" * 6000


def test_without_a_validator_nothing_is_continued_in_the_next_call(store, server):
    server.etags.clear()
    dataset = registered(store, server.url("part-5.csv"))
    server.cut, server.cuts = 700, 4
    with pytest.raises(Unreachable):
        store.fetch(dataset)
    server.asked.clear()
    store.fetch(dataset)
    assert server.bodies() == [("part-5.csv", None)]


def test_a_file_that_changes_between_two_pieces_comes_whole(store, server):
    """If-Range: the server sends the new content from its start."""
    dataset = registered(store, server.url("part-5.csv"))
    server.cut, server.cuts = 700, 1
    changed = threading.Event()

    def change(line: str) -> None:
        server.files["part-5.csv"], server.etags["part-5.csv"] = b"n" * 6000, '"new"'
        changed.set()

    assert store.fetch(dataset, log=change).path.read_bytes() == b"n" * 6000
    assert changed.is_set()


def test_a_server_that_cannot_continue_starts_over(store, server):
    server.cut, server.cuts, server.ignores_range = 700, 1, True
    assert store.fetch(registered(store, server.url("part-5.csv"))).path.read_bytes() == FILES["part-5.csv"]


def test_a_server_that_lies_about_the_length_is_named(store, server):
    server.claims["part-5.csv"] = 7000
    dataset = registered(store, server.url("part-5.csv"))
    with pytest.raises(DownloadCorrupt, match=r"127.0.0.1 said that .*part-5.csv has 7,000 bytes, and gave 6,000"):
        store.fetch(dataset)
    server.claims.clear()
    assert store.fetch(dataset).path.read_bytes() == FILES["part-5.csv"]


def test_a_stop_ends_all_downloads_and_the_next_call_goes_on(store, server):
    cancelled = threading.Event()
    dataset = registered(store, *map(server.url, FILES))
    with pytest.raises(Stopped):
        store.fetch(dataset, progress=lambda _: cancelled.set(), cancelled=cancelled)
    assert sum(1 for _ in store.fetch(dataset).path.rglob("*.csv")) == 6


def test_threads_that_ask_at_once_fetch_once(store, server):
    dataset = registered(store, *map(server.url, FILES))
    server.hold.clear()
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(store.fetch, dataset) for _ in range(3)]
        assert server.in_body.wait(5)
        time.sleep(0.03)
        server.hold.set()
        paths = {future.result(10).path for future in asked}
    assert len(paths) == 1
    assert len(server.bodies()) == 6


def test_progress_counts_all_files(store, server):
    seen = []
    fetched = store.fetch(registered(store, *map(server.url, FILES)), progress=seen.append)
    done = [one.done for one in seen]
    assert done == sorted(done)
    assert seen[-1].done == seen[-1].total == fetched.bytes


def test_a_disk_without_room_is_told_before_anything_is_fetched(store, server, monkeypatch):
    dataset = registered(store, server.url("part-5.csv"))
    usage = content.shutil.disk_usage("/")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage.__class__(usage.total, usage.used, 100))
    with pytest.raises(DiskFull, match="No space left") as caught:
        store.fetch(dataset)
    assert caught.value.details["needed"] == 6000
    assert not server.bodies()


# --- what cannot be had ---------------------------------------------------------------------------------------------


def test_an_address_without_a_file_is_named_at_once(store, server):
    with pytest.raises(PathNotFound, match=r"nothing at http.*nowhere\.csv"):
        registered(store, server.url("nowhere.csv"))


def test_a_server_that_refuses_is_named_with_its_reason(store, server):
    server.status["part-1.csv"] = 403
    with pytest.raises(Unreachable, match=r"part-1.csv cannot be reached: HTTP 403"):
        registered(store, server.url("part-0.csv"), server.url("part-1.csv"))


def test_nobody_there(store):
    with pytest.raises(Unreachable, match="Connection refused") as caught:
        registered(store, "http://127.0.0.1:9/x.csv")
    assert "proxy" in caught.value.mend


def test_a_web_server_has_no_folders(store, server):
    with pytest.raises(PathNotFound):
        registered(store, server.url(""))
    with pytest.raises(PathNotFound):
        registered(store, server.url("*.csv"))


def test_a_server_that_knows_no_head(store, server):
    server.status_of_head = 405
    original = server._server.RequestHandlerClass.do_HEAD
    server._server.RequestHandlerClass.do_HEAD = lambda self: self.send_error(405)
    try:
        assert store.fetch(registered(store, server.url("part-0.csv"))).path.read_bytes() == FILES["part-0.csv"]
    finally:
        server._server.RequestHandlerClass.do_HEAD = original


# --- what changed ---------------------------------------------------------------------------------------------------


def test_a_version_stays_what_it_was_while_it_is_in_the_cache(store, server):
    dataset = registered(store, server.url("part-0.csv"))
    before = store.fetch(dataset)
    server.files["part-0.csv"], server.etags["part-0.csv"] = b"new", '"new"'
    again = store.fetch(dataset)
    assert (again.key, again.changed) == (before.key, ())
    assert again.path.read_bytes() == FILES["part-0.csv"]
    newer = store.fetch(registered(store, server.url("part-0.csv")))
    assert newer.definition.version == 2
    assert newer.path.read_bytes() == b"new"


def test_a_version_that_must_be_had_again_and_is_another_is_told(store, server):
    dataset = registered(store, server.url("part-0.csv"), server.url("part-1.csv"))
    before = store.fetch(dataset)
    assert store.drop(dataset) == 3000
    assert store.cached(dataset) is None
    server.files["part-0.csv"], server.etags["part-0.csv"] = b"new", '"new"'
    again = store.fetch(dataset)
    assert [path.rpartition("/")[2] for path in again.changed] == ["part-0.csv"]
    assert again.key != before.key
    assert store.definitions.content(dataset).hash == before.key, "what it first held is forgotten"


def test_a_cached_file_that_was_written_to_is_fetched_again(store, server):
    dataset = registered(store, server.url("part-0.csv"))
    path = store.fetch(dataset).path
    path.chmod(0o644)
    path.write_bytes(FILES["part-0.csv"][::-1].lower())
    assert path.stat().st_size == len(FILES["part-0.csv"])
    assert store.cached(dataset) is None
    assert store.discard_spoiled(dataset)
    fetched = store.fetch(dataset)
    assert fetched.path.read_bytes() == FILES["part-0.csv"]
    assert not fetched.changed


def test_an_unregistered_dataset_follows_its_source(store, server):
    given = FileDatasetDefinition("", (server.url("part-0.csv"),))
    dataset = store.keep(given)
    assert store.keep(given).id == dataset.id
    store.fetch(dataset)
    store.drop(dataset)
    server.files["part-0.csv"], server.etags["part-0.csv"] = b"new", '"new"'
    fetched = store.fetch(dataset)
    assert fetched.path.read_bytes() == b"new"
    assert not fetched.changed


# --- addresses that no longer answer --------------------------------------------------------------------------------


@pytest.fixture
def with_ready(tmp_path, mirrors, monkeypatch):
    """A catalog whose one ready-made dataset comes from a mirror, and a table that knows addresses of its files."""
    data = {"digits.gz": bytes(range(256)) * 400}
    ready = DatasetDefinition(
        "tiny", 1, tuple(DatasetFile(n, hashlib.sha256(d).hexdigest(), len(d)) for n, d in data.items()), 4000
    )
    mirror = mirrors()
    monkeypatch.setattr("jupyter_mltrain.data.datasets.READY_MADE", {"tiny": ready})
    monkeypatch.setattr("jupyter_mltrain.data.known.READY_MADE", {"tiny": ready})
    root = tmp_path / "w" / ".mltrain"
    root.mkdir(parents=True)

    def make(folder: str, *, gone: bool) -> Catalog:
        (root / "known_files.toml").write_text(
            f'[[addresses]]\nfolders = ["{folder}"]\ndataset = "tiny"\ngone = {str(gone).lower()}\nreason = "it is old"\n'
        )
        return Catalog(root, Datasets(None, lambda *_: [mirror.source]))

    return make


def test_a_dead_address_is_had_by_its_content(with_ready):
    store = with_ready("http://dead.example/old", gone=True)
    sources = ("https://www.dead.example/old/digits.gz",)
    dataset = registered(store, *sources)
    fetched = store.fetch(dataset)
    assert gzip.decompress(fetched.path.read_bytes()) == bytes(range(256)) * 400
    assert fetched.source == "127.0.0.1"
    (told,) = store.substitutions(dataset)
    assert (told.kind, told.given, told.reason) == ("data", "tiny (ready-made)", "it is old")
    assert told.asked == "http://dead.example/old (1 file)"
    assert store.paths(dataset) == ["digits.gz"]
    assert store.fetch(dataset).source == "cache"


def test_a_known_address_that_answers_is_asked_and_checked(with_ready, server):
    store = with_ready(server.source.address, gone=False)
    dataset = registered(store, server.url("digits.gz"))
    assert not store.substitutions(dataset)
    fetched = store.fetch(dataset)
    assert [name for name, _ in server.bodies()] == ["digits.gz"]
    server.files["digits.gz"] = gzip.compress(b"something else")
    server.etags["digits.gz"] = '"else"'
    store.drop(dataset)
    other = store.fetch(registered(store, server.url("digits.gz")))
    assert gzip.decompress(other.path.read_bytes()) == bytes(range(256)) * 400
    assert other.key == fetched.key, "the same content, by whom it was compressed"


def test_a_known_address_that_does_not_answer_is_had_elsewhere(with_ready, server):
    store = with_ready(server.source.address, gone=False)
    server.status["digits.gz"] = 500
    fetched = store.fetch(registered(store, server.url("digits.gz")))
    assert gzip.decompress(fetched.path.read_bytes()) == bytes(range(256)) * 400


def test_a_table_that_cannot_be_read_is_named(with_ready, tmp_path):
    store = with_ready("http://x", gone=True)
    (tmp_path / "w/.mltrain/known_files.toml").write_text("[[addresses]\n")
    with pytest.raises(UserErrorException, match=r"known_files\.toml cannot be read"):
        registered(store, "http://x/digits.gz")


def test_the_packages_own_table_knows_the_articles_addresses(store):
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        known = store.known.find(f"http://yann.lecun.com/exdb/mnist/{name}-ubyte.gz")
        assert known.gone
        assert known.dataset == "mnist"
    dataset = dataclasses.replace(
        FileDatasetDefinition("", ("http://yann.lecun.com/exdb/mnist/train-labels-idx1-ubyte.gz",) * 1), name="m"
    )
    assert catalog.Catalog.substitutions(store, dataset)[0].asked.startswith("http://yann.lecun.com/exdb/mnist")
