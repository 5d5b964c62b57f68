"""The snapshot of a run: which files, and their contents by hash, so that a second submit copies only what changed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_mltrain.core.ignore import IGNORE_FILES, IgnoreRules, Verdict
from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.core.wire_catalog import SnapshotFile
from jupyter_mltrain.errors import DiskFull, NotWritable, PathNotFound, SourceError

WARN_BYTES = 300 * 2**20
WARN_FILES = 2000

_RACY_SECONDS = 2.0
"""A file changed this short before it was hashed may change again within the clock's tick: its hash is not reused."""


@dataclass
class Snapshot:
    """What was taken. `files` are manifest entries (`path`, `size`, `mode`, `sha256`), sorted by path."""

    files: list[SnapshotFile] = field(default_factory=list)
    ignored: int = 0
    secrets: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        return sum(f["size"] for f in self.files)

    @property
    def digest(self) -> str:
        """SHA-256 over paths, modes and contents."""
        hasher = hashlib.sha256()
        for f in self.files:
            hasher.update(f"{f['path']}\0{f['mode']:o}\0{f['sha256']}\n".encode("utf-8", "surrogateescape"))
        return hasher.hexdigest()

    def manifest(self) -> dict[str, Any]:
        return {"format": 1, "digest": self.digest, "files": self.files}


def take(layout: Layout, source: Path | None, extra: Mapping[str, str], *, store: bool = True) -> Snapshot:
    """Take `source` (a folder, or None) and `extra` (path → text; wins over a file of the same path).

    With `store` the contents are in `layout.blobs` afterwards. Blocking. Raises `PathNotFound`, `SourceError` (a file
    that cannot be read), `DiskFull`, `NotWritable`.
    """
    try:
        return _take(layout, source, extra, store)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            free = shutil.disk_usage(layout.root).free / 1e6
            raise DiskFull(
                f"No space for the snapshot: {free:.0f} MB free at {layout.root}.",
                mend="Free some (`%mltrain runs` shows what runs take), or leave files out with .mltrainignore.",
            ) from error
        if error.errno in {errno.EROFS, errno.EACCES} and str(error.filename or "").startswith(str(layout.folder)):
            raise NotWritable(f"{layout.folder} cannot be written: {error.strerror}.") from error
        raise SourceError(
            f"{error.filename} cannot be read: {error.strerror}.", mend="Mend it, or leave it out with .mltrainignore."
        ) from error


def pack(record: Path, blobs: Path) -> Path:
    """A zip archive of the files that the run in the folder `record` got: a temporary file, the caller's to remove.
    Blocking; in bounded memory."""
    manifest = json.loads((record / "snapshot.json").read_text(encoding="utf-8"))
    with tempfile.NamedTemporaryFile(dir=record, prefix="snapshot-", suffix=".zip", delete=False) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for entry in manifest["files"]:
                about = zipfile.ZipInfo(entry["path"])
                about.external_attr = (stat.S_IFREG | entry["mode"]) << 16
                about.compress_type = zipfile.ZIP_DEFLATED
                with (
                    (blobs / entry["sha256"][:2] / entry["sha256"]).open("rb") as source,
                    archive.open(about, "w") as target,
                ):
                    shutil.copyfileobj(source, target, 1 << 20)
        return Path(file.name)


def _take(layout: Layout, source: Path | None, extra: Mapping[str, str], store: bool) -> Snapshot:
    snapshot = Snapshot()
    blobs = _Blobs(layout.blobs, store)
    entries: dict[str, SnapshotFile] = {}
    if source is not None:
        if not source.is_dir():
            raise PathNotFound(f"The source folder {source} is not there.", mend="Name one with `-s FOLDER`.")
        known = _Known(layout, source)
        for path, entry in _walk(source, _rules(source), snapshot):
            sha = known.get(path, entry)
            if sha is None or not blobs.has(sha):
                sha = blobs.add_file(entry.path)
            info = entry.stat()
            known.put(path, info, sha)
            mode = 0o755 if info.st_mode & 0o100 else 0o644
            entries[path] = {"path": path, "size": info.st_size, "mode": mode, "sha256": sha}
        if store:
            known.save()
    for path, text in extra.items():
        data = text.encode()
        entries[path] = {"path": path, "size": len(data), "mode": 0o644, "sha256": blobs.add_bytes(data)}
    snapshot.files = [entries[p] for p in sorted(entries)]
    _warn(snapshot)
    return snapshot


def _rules(source: Path) -> IgnoreRules:
    for name in IGNORE_FILES:
        path = source / name
        if path.is_file():
            return IgnoreRules(path.read_text(encoding="utf-8", errors="replace").splitlines())
    return IgnoreRules()


def _walk(source: Path, rules: IgnoreRules, snapshot: Snapshot) -> Iterator[tuple[str, os.DirEntry[str]]]:
    folders = [("", str(source))]
    links: list[str] = []
    while folders:
        prefix, folder = folders.pop()
        with os.scandir(folder) as found:
            for entry in found:
                path = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    if rules.folder(path) is Verdict.TAKE:
                        folders.append((path + "/", entry.path))
                    else:
                        snapshot.ignored += 1
                elif entry.is_symlink() and not entry.is_file():
                    # To a folder (perhaps one above: a loop), or to nothing.
                    links.append(path)
                elif not stat.S_ISREG(entry.stat().st_mode):
                    snapshot.notices.append(f"{path} is no regular file (a pipe, a socket): left out")
                elif (verdict := rules.file(path)) is Verdict.TAKE:
                    yield path, entry
                elif verdict is Verdict.SECRET:
                    snapshot.secrets.append(path)
                else:
                    snapshot.ignored += 1
    if links:
        snapshot.notices.append(f"{len(links)} links to folders or to nothing left out: {', '.join(sorted(links)[:3])}")


def _warn(snapshot: Snapshot) -> None:
    if snapshot.secrets:
        names = ", ".join(snapshot.secrets[:5])
        snapshot.notices.append(
            f"Left out because they look like credentials: {names} (a line `!NAME` in .mltrainignore takes one in)"
        )
    if snapshot.bytes > WARN_BYTES or len(snapshot.files) > WARN_FILES:
        snapshot.notices.append(
            f"The snapshot has {len(snapshot.files)} files and {snapshot.bytes / 1e6:.0f} MB; {_largest(snapshot)}."
            " .mltrainignore leaves files out; data belongs in a dataset"
        )


def check_limits(snapshot: Snapshot) -> None:
    """Raise `SourceError`, in the SDK's words, for what its objects refuse."""
    too_much = ""
    if snapshot.bytes > WARN_BYTES:
        too_much = "Your total snapshot size exceeds the limit of 300.0 MB."
    elif len(snapshot.files) > WARN_FILES:
        too_much = f"Your project exceeds the file limit of {WARN_FILES}."
    if too_much:
        raise SourceError(
            f"{too_much} It has {len(snapshot.files)} files and {snapshot.bytes / 1e6:.0f} MB; {_largest(snapshot)}.",
            mend=".mltrainignore leaves files out; data belongs in a dataset.",
        )


def _largest(snapshot: Snapshot) -> str:
    largest = sorted(snapshot.files, key=lambda f: -f["size"])[:3]
    return "largest: " + ", ".join(f"{f['path']} ({f['size'] / 1e6:.0f} MB)" for f in largest)


class _Blobs:
    """Contents by SHA-256, written once, read-only."""

    def __init__(self, folder: Path, store: bool) -> None:
        self._folder = folder
        self._store = store

    def has(self, sha: str) -> bool:
        return not self._store or self._path(sha).exists()

    def add_file(self, source: str) -> str:
        """Copy while hashing, in bounded memory: what is stored is what was hashed, even if the file changes."""
        try:
            with open(source, "rb") as file:  # noqa: PTH123 - scandir gives strings
                return self._add(iter(lambda: file.read(1 << 20), b""))
        except OSError as error:
            error.filename = error.filename or source  # a disk that cannot be read does not say of which file
            raise

    def add_bytes(self, data: bytes) -> str:
        return self._add(iter((data,)))

    def _add(self, chunks: Iterator[bytes]) -> str:
        hasher = hashlib.sha256()
        if not self._store:
            for chunk in chunks:
                hasher.update(chunk)
            return hasher.hexdigest()
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix="new-", delete=False) as file:
            try:
                for chunk in chunks:
                    hasher.update(chunk)
                    file.write(chunk)
            except BaseException:
                Path(file.name).unlink()
                raise
        path = self._path(hasher.hexdigest())
        if path.exists():
            Path(file.name).unlink()
        else:
            path.parent.mkdir(exist_ok=True)
            Path(file.name).chmod(0o444)
            Path(file.name).replace(path)
        return hasher.hexdigest()

    def _path(self, sha: str) -> Path:
        return self._folder / sha[:2] / sha


class _Known:
    """Hashes of a source folder's files as of the last snapshot, valid while size, times and inode are the same."""

    def __init__(self, layout: Layout, source: Path) -> None:
        name = hashlib.sha256(str(source).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self._path = layout.blobs / "known" / f"{name}.json"
        self._now = time.time()
        self._new: dict[str, list[Any]] = {}
        try:
            self._old: dict[str, list[Any]] = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._old = {}

    def get(self, path: str, entry: os.DirEntry[str]) -> str | None:
        known = self._old.get(path)
        return known[-1] if known and known[:-1] == _identity(entry.stat()) else None

    def put(self, path: str, info: os.stat_result, sha: str) -> None:
        if self._now - max(info.st_mtime, info.st_ctime) > _RACY_SECONDS:
            self._new[path] = [*_identity(info), sha]

    def save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self._path.parent, delete=False, encoding="utf-8") as file:
            json.dump(self._new, file)
        Path(file.name).replace(self._path)


def _identity(info: os.stat_result) -> list[Any]:
    return [info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino]
