"""Fetched files by content: each once on this machine, whichever datasets, versions and workspaces name it.

<cache>/datasets/.content/<2 hex>/<sha-256>     the bytes; read-only, with one fixed time, so that a change shows
<cache>/datasets/.addresses/<hash>.json         what an address held when it was last fetched, and its stamp then
<cache>/datasets/.addresses/<hash>.part         what an unfinished fetch has brought so far; `.begun` has its stamp
<cache>/datasets/.addresses/<hash>.lock         held by the one who fetches
<cache>/datasets/.trees/<20 hex>/               datasets: links to the above, under their paths
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import shutil
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_mltrain.cache import cache_root, disk_errors, exclusive, remove_tree, write_whole
from jupyter_mltrain.data.places import Entry, Place
from jupyter_mltrain.data.sources import Transfer
from jupyter_mltrain.errors import DownloadCorrupt

TIME = 946_684_800
"""When all kept files were changed last, as their times say: 2000-01-01. One that says otherwise was written to."""
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Kept:
    """A fetched file: SHA-256, bytes, and whether this call brought it."""

    sha256: str
    size: int
    fetched: bool


def content_path(sha256: str) -> Path:
    """Where the bytes of that hash are, or will be."""
    return _root() / ".content" / sha256[:2] / sha256


def is_kept(sha256: str, size: int) -> bool:
    """Whether the bytes are here, untouched since they were fetched. One system call."""
    try:
        found = content_path(sha256).stat()
    except OSError:
        return False
    return found.st_size == size and found.st_mtime_ns == TIME * 10**9


def fetch_file(place: Place, entry: Entry, transfer: Transfer) -> Kept:
    """The bytes of a file, kept; from its place unless they are here and its stamp says that they are still its.

    Raises `NotReached`, `Stopped`, `DiskFull`, and `DownloadCorrupt` for a place that gives another number of bytes than
    it says. What came before an error is kept, and the next call continues from there.
    """
    address = place.address(entry.path)
    note = _root() / ".addresses" / hashlib.sha256(address.encode(errors="surrogateescape")).hexdigest()[:40]
    with exclusive(note.with_suffix(".lock"), transfer.cancelled):
        known = _read(note.with_suffix(".json"))
        if known and _is_still(known, entry) and is_kept(known["sha256"], known["size"]):
            return Kept(known["sha256"], known["size"], fetched=False)
        part = note.with_suffix(".part")
        _begin(part, entry)
        with disk_errors(part.parent, f"fetching {address}"):
            place.fetch(entry, part, transfer)
        size = part.stat().st_size if part.exists() else 0
        if entry.size is not None and size != entry.size:
            part.unlink(missing_ok=True)
            raise DownloadCorrupt(
                f"{place.name(entry.path)} said that {entry.path} has {entry.size:,} bytes, and gave {size:,}.",
                mend="Try again; if it stays so, the server or something on the way to it is broken.",
            )
        with disk_errors(part.parent, f"keeping {address}"):
            part.touch()  # an empty file is a file
            sha256 = hash_file(part)
            keep(part, sha256)
            document = {"address": address, "stamp": entry.stamp, "sha256": sha256, "size": size, "time": time.time()}
            write_whole(note.with_suffix(".json"), json.dumps(document, indent=1).encode())
        part.with_suffix(".begun").unlink(missing_ok=True)
        return Kept(sha256, size, fetched=True)


def last_fetched(place: Place, path: str) -> Kept | None:
    """What an address held when it was last fetched, if that is still here."""
    name = hashlib.sha256(place.address(path).encode(errors="surrogateescape")).hexdigest()[:40]
    known = _read(_root() / ".addresses" / f"{name}.json")
    if known and is_kept(known["sha256"], known["size"]):
        return Kept(known["sha256"], known["size"], fetched=False)
    return None


def keep(part: Path, sha256: str) -> None:
    """Move a finished file to its place by content."""
    target = content_path(sha256)
    target.parent.mkdir(parents=True, exist_ok=True)
    part.chmod(0o444)
    os.utime(part, (TIME, TIME))
    part.replace(target)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def hash_unpacked(path: Path, most: int) -> str:
    """SHA-256 of what a gzip file unpacks to, empty for one that is broken or unpacks to more than `most` bytes."""
    digest, size = hashlib.sha256(), 0
    try:
        with gzip.open(path) as content:
            while block := content.read(_BLOCK):
                digest.update(block)
                size += len(block)
                if size > most:
                    return ""
    except (OSError, EOFError, zlib.error):
        return ""
    return digest.hexdigest()


def tree(key: str, files: Iterable[tuple[str, Path]], *, link: Iterable[tuple[str, Path]] = ()) -> Path:
    """The folder `key` with `files` (path in it, kept file) and with symbolic links to local files; made as a whole."""
    folder = tree_path(key)
    if folder.is_dir():
        return folder
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.{time.monotonic_ns()}.partial")
    with disk_errors(folder, "putting a dataset together"):
        partial.mkdir(parents=True)
        for path, kept in files:
            target = partial / path
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(kept, target)
            except OSError:  # a file system without links, or with too many to this file
                shutil.copy2(kept, target)
        for path, local in link:
            target = partial / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(local)
        for inner, _, _ in os.walk(partial):
            Path(inner).chmod(0o555)
        partial.chmod(0o755)  # a folder that may not be written cannot be renamed everywhere
        with contextlib.suppress(OSError):  # somebody else was quicker
            partial.rename(folder)
        if partial.exists():
            remove_tree(partial)
        folder.chmod(0o555)
    return folder


def tree_path(key: str) -> Path:
    return _root() / ".trees" / key[:20]


def remove(sha256s: Iterable[str]) -> int:
    """Delete kept bytes; how many bytes that freed."""
    freed = 0
    for sha256 in set(sha256s):
        path = content_path(sha256)
        with contextlib.suppress(FileNotFoundError):
            freed += path.stat().st_size
            path.unlink()
    return freed


def _is_still(known: dict[str, Any], entry: Entry) -> bool:
    same_size = entry.size is None or entry.size == known["size"]
    return bool(entry.stamp) and known["stamp"] == entry.stamp and same_size


def _begin(part: Path, entry: Entry) -> None:
    """Keep what an earlier fetch left only if it surely began the same content."""
    part.parent.mkdir(parents=True, exist_ok=True)
    now = {"stamp": entry.stamp, "size": entry.size}
    begun = part.with_suffix(".begun")
    if not entry.stamp or _read(begun) != now:
        part.unlink(missing_ok=True)
        write_whole(begun, json.dumps(now).encode())


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found


def _root() -> Path:
    return cache_root() / "datasets"
