"""The files of one dataset brought together: local ones used where they are, others fetched side by side, by content.

What a registered version held when it was first fetched is what it holds. While that is in the cache, nobody is asked.
Where it has to be had again, or lies in a local folder, and is another now, the caller is told which files.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from jupyter_mltrain.cache import Stopped, cache_root, disk_full, remove_tree
from jupyter_mltrain.core import data_paths
from jupyter_mltrain.core.dataset import FileDatasetDefinition
from jupyter_mltrain.data import content
from jupyter_mltrain.data.datasets import Datasets, FetchedDataset, folder_of
from jupyter_mltrain.data.datastores import Datastores
from jupyter_mltrain.data.definitions import Content, ContentFile, Definitions
from jupyter_mltrain.data.known import KnownFile
from jupyter_mltrain.data.listing import Found, plain_folder
from jupyter_mltrain.data.sources import FetchProgress, Log, NotReached, Report, Transfer
from jupyter_mltrain.errors import Unreachable, UserErrorException

AT_ONCE = 6
"""Files fetched at the same time."""
READ_BYTES = 4_000_000_000
"""Local data up to this size is read for its SHA-256; larger is told by sizes and times of its files."""


@dataclass
class Gathering:
    """One dataset on its way to this machine. `find` lists its files as they are now."""

    definition: FileDatasetDefinition
    definitions: Definitions
    ready: Datasets
    find: Callable[[threading.Event], list[Found]]
    datastores: Datastores
    _seen: tuple[ContentFile, ...] = ()
    """Its files when they were last looked at."""

    def cached(self) -> Path | None:
        """Where the dataset is, if nothing needs to be fetched for it."""
        if not self.definition.selection and (folder := plain_folder(self.definition.sources, self.datastores)):
            return Path(folder)
        known = self.definitions.content(self.definition)
        return self._assembled(known) if known is not None and self._all_kept(known) else None

    def is_here(self) -> bool:
        known = self.definitions.content(self.definition)
        if known is not None and self._all_kept(known):
            return True
        schemes = {data_paths.scheme_of(source) for source in self.definition.sources}
        if schemes <= {"", "file", "local"}:
            return True
        return bool(known) and all(file.local and Path(file.source).exists() for file in known.files)

    def discard_spoiled(self) -> bool:
        known = self.definitions.content(self.definition)
        if known is None or all(file.local for file in known.files):
            return False
        files = [file for file in known.files if not file.local]
        for name in {file.ready for file in files if file.ready}:
            self.ready.drop(self.ready.resolve(name))
        kept = [file for file in files if not file.ready]
        content.remove(file.sha256 for file in kept if not content.is_kept(file.sha256, file.size))
        remove_tree(content.tree_path(_key(known)))
        return True

    def fetch(self, log: Log, progress: Report | None, cancelled: threading.Event) -> FetchedDataset:
        started = time.monotonic()
        known = self.definitions.content(self.definition)
        if known is not None and self._all_kept(known):
            return self._done(known, (), "cache", started)
        if not self.definition.selection and (folder := plain_folder(self.definition.sources, self.datastores)):
            return self._local_folder(Path(folder), known, log, cancelled, started)
        meter = _Meter(progress)
        now = self._gather(self.find(cancelled), log, meter, cancelled)
        changed = self._note(known, now)
        here = "this machine" if all(file.local for file in now.files) else "cache"
        return self._done(now, changed, meter.source or here, started)

    def drop(self) -> int:
        known = self.definitions.content(self.definition)
        if known is None:
            return 0
        remove_tree(content.tree_path(_key(known)))
        return content.remove(file.sha256 for file in known.files if not file.local and file.sha256)

    def _local_folder(
        self, folder: Path, known: Content | None, log: Log, cancelled: threading.Event, started: float
    ) -> FetchedDataset:
        """A folder as it is: only looked at, for its hash."""
        try:
            found = self.find(cancelled)
        except UserErrorException as error:
            # More files than are listed. The folder can be read all the same; what it holds is not told.
            log(f"{folder}: {error.message}")
            notice = f"{folder} has too many files to say what it held: its content is not recorded"
            return FetchedDataset(self.definition, folder, "", "this machine", _since(started), 0, notices=(notice,))
        now = self._gather(found, log, _Meter(None), cancelled)
        return self._done(now, self._note(known, now), "this machine", started, folder)

    def _gather(self, found: Sequence[Found], log: Log, meter: _Meter, cancelled: threading.Event) -> Content:
        local = [one for one in found if one.place.local]
        elsewhere = [one for one in found if not one.place.local]
        self._check_space(elsewhere)
        meter.expect(elsewhere)
        seen = self.definitions.content(self.definition, seen=True)
        self._seen = seen.files if seen else ()
        memory = {(f.source, f.size, f.stamp): f.sha256 for f in self._seen}
        read = sum(one.entry.size or 0 for one in local) <= READ_BYTES

        def one_file(one: Found) -> ContentFile:
            if cancelled.is_set():
                raise Stopped
            return _read_file(one) if one.place.local else self._fetch_one(one, log, meter, cancelled)

        # What needs no reading does not go through the pool: a large folder seen before is told in a moment.
        told = {one.path: _told_file(one, memory, read=read) for one in local}
        with ThreadPoolExecutor(AT_ONCE, "fetch data") as pool:
            futures = {one.path: pool.submit(one_file, one) for one in found if told.get(one.path) is None}
            try:
                files = tuple(told.get(one.path) or futures[one.path].result() for one in found)
            except BaseException:
                cancelled.set()  # the others stop too; what they have is kept
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        single = len(found) == 1 and len(self.definition.sources) == 1 and not self._is_below(found[0])
        return Content(_hash(files), files, single, time.time())

    def _is_below(self, one: Found) -> bool:
        """Whether the only file is one of a folder or pattern, and not what the source names."""
        located = self.datastores.locate(self.definition.sources[0]) if one.known is None else None
        return located is not None and located.path != one.entry.path

    def _fetch_one(self, one: Found, log: Log, meter: _Meter, cancelled: threading.Event) -> ContentFile:
        address = one.place.address(one.entry.path)
        if one.known is not None and (one.known.gone or one.entry.stamp == f"sha256:{one.known.sha256}"):
            return self._from_ready_made(one, one.known, log, meter, cancelled)
        name = one.place.name(one.entry.path)
        transfer = Transfer(cache_root(), log, lambda done: meter.moved(address, done, name), cancelled)
        try:
            kept = content.fetch_file(one.place, one.entry, transfer)
        except NotReached as error:
            if one.known is not None:
                return self._from_ready_made(one, one.known, log, meter, cancelled)
            raise Unreachable(
                f"{address} cannot be fetched: {error}.",
                mend="Check the network and proxy (`HTTPS_PROXY`), then run again: it continues.",
            ) from error
        if one.known is not None:
            unpacked = content.hash_unpacked(content.content_path(kept.sha256), one.known.size)
            if one.known.sha256 != unpacked:
                log(f"{address} does not have the content it is known for")
                return self._from_ready_made(one, one.known, log, meter, cancelled)
        meter.moved(address, kept.size, name if kept.fetched else "")
        unpacked = one.known.sha256 if one.known is not None else ""
        return ContentFile(one.path, kept.size, kept.sha256, one.entry.stamp, address, local=False, unpacked=unpacked)

    def _from_ready_made(
        self, one: Found, known: KnownFile, log: Log, meter: _Meter, cancelled: threading.Event
    ) -> ContentFile:
        def report(progress: FetchProgress) -> None:
            meter.moved(known.dataset, progress.done, progress.source)

        dataset = self.ready.resolve(known.dataset)
        fetched = self.ready.fetch(dataset, log=log, progress=report, cancelled=cancelled)
        meter.came_from(fetched.source)
        size = (fetched.path / known.file).stat().st_size
        return ContentFile(
            one.path, size, "", "", known.address, local=False, unpacked=known.sha256, ready=known.dataset
        )

    def _check_space(self, found: Sequence[Found]) -> None:
        needed = sum(one.entry.size or 0 for one in found)
        root = cache_root()
        root.mkdir(parents=True, exist_ok=True)
        if needed > shutil.disk_usage(root).free and not all(
            one.entry.size is not None and content.last_fetched(one.place, one.entry.path) for one in found
        ):
            raise disk_full(root, f"fetching {self.definition.name or 'a dataset'}", needed)

    def _note(self, known: Content | None, now: Content) -> tuple[str, ...]:
        """What is another than when the version was first fetched; the first time it is noted."""
        if any(file.local for file in now.files) and now.files != self._seen:
            self.definitions.note_content(self.definition, now, seen=True)
        if known is None:
            self.definitions.note_content(self.definition, now)
            return ()
        if known.hash == now.hash:
            return ()
        if not self.definition.name:
            self.definitions.note_content(self.definition, now)  # only a version promises to stay what it was
            return ()
        return tuple(differences(known.files, now.files))

    def _done(
        self, now: Content, changed: tuple[str, ...], source: str, started: float, path: Path | None = None
    ) -> FetchedDataset:
        path = path or self._assembled(now)
        return FetchedDataset(
            self.definition, path, now.hash, source, _since(started), now.bytes, files=now.files, changed=changed
        )

    def _assembled(self, now: Content) -> Path:
        """The folder of the dataset (or its one file), made of links."""
        if now.single and now.files[0].local:
            return Path(now.files[0].source)
        kept = [(f.path, self._kept_path(f)) for f in now.files if not f.local]
        link = [(f.path, Path(f.source)) for f in now.files if f.local]
        folder = content.tree(_key(now), kept, link=link)
        return folder / now.files[0].path if now.single else folder

    def _all_kept(self, known: Content) -> bool:
        """Whether all of it is in the cache, untouched. Local files never are."""
        ready = {file.ready for file in known.files if file.ready}
        return all(f.ready or (not f.local and content.is_kept(f.sha256, f.size)) for f in known.files) and all(
            self.ready.cached(self.ready.resolve(name)) for name in ready
        )

    def _kept_path(self, file: ContentFile) -> Path:
        if not file.ready:
            return content.content_path(file.sha256)
        ready = self.ready.resolve(file.ready)
        name = next(known.name for known in ready.files if known.sha256 == file.unpacked)
        return folder_of(ready) / name


def differences(before: Iterable[ContentFile], now: Iterable[ContentFile]) -> list[str]:
    """Paths that are new, gone or of another content, by path."""
    old = {file.path: _line(file) for file in before}
    new = {file.path: _line(file) for file in now}
    return sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))


def _told_file(one: Found, memory: dict[tuple[str, int, str], str], *, read: bool) -> ContentFile | None:
    """A local file whose content is known from before, or is not to be read; else None."""
    entry = one.entry
    assert entry.size is not None, "a local file has a size"
    sha256 = memory.get((entry.path, entry.size, entry.stamp), "") if read else ""
    if read and not sha256:
        return None
    return ContentFile(one.path, entry.size, sha256, entry.stamp, entry.path, local=True)


def _read_file(one: Found) -> ContentFile:
    entry = one.entry
    assert entry.size is not None, "a local file has a size"
    sha256 = content.hash_file(Path(entry.path))
    return ContentFile(one.path, entry.size, sha256, entry.stamp, entry.path, local=True)


def _hash(files: Iterable[ContentFile]) -> str:
    found = sorted(files, key=lambda file: file.path)
    text = "\n".join(map(_line, found))
    kind = "sha256" if all(file.sha256 or file.unpacked for file in found) else "stat"
    return f"{kind}:{hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()}"


def _line(file: ContentFile) -> str:
    if file.unpacked:  # its bytes and their number are those of whoever compressed it
        return f"{file.unpacked} - {file.path}"
    return f"{file.sha256 or file.stamp} {file.size} {file.path}"


def _key(now: Content) -> str:
    """What its folder of links is called: by content, and by place where it leads to local files."""
    text = "\n".join(f"{_line(f)} {f.source if f.local else ''}" for f in now.files)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _since(started: float) -> float:
    return round(time.monotonic() - started, 2)


class _Meter:
    """Adds up what came of all files, from several threads."""

    def __init__(self, progress: Report | None) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._done: dict[str, int] = {}
        self._total = 0
        self.source = ""

    def expect(self, found: Iterable[Found]) -> None:
        self._total = sum(one.entry.size or 0 for one in found)

    def moved(self, what: str, done: int, source: str) -> None:
        """So many bytes of a file have come; `source` is empty where they were here already."""
        with self._lock:
            self.source = self.source or source
            self._done[what] = done
            came = sum(self._done.values())
            if self._progress is not None and self.source:
                self._progress(FetchProgress(self.source, came, max(self._total, came)))

    def came_from(self, source: str) -> None:
        with self._lock:
            self.source = self.source or source
