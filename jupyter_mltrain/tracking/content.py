"""The files of a model: found in a run's record, copied as they are at one moment, and hashed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from jupyter_mltrain.errors import DiskFull, PathNotFound, UsageError

MAX_FILES = 20_000
_BLOCK = 8 << 20
_READ = 256 << 10
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_TOPS = ("outputs", "logs")


@dataclass(frozen=True)
class Content:
    """A copy of a file or folder. `hash`: `sha256:` and the digest over each file's path, size and SHA-256, by path."""

    hash: str
    bytes: int
    files: int


def find(record: Path, path: str) -> tuple[str, Path]:
    """The file or folder that `path` names in a run's record: its name there (`outputs/model`) and where it is.

    `path` is relative to the record or to its `outputs/` (`model`, `./outputs/model`). While the run goes on, its
    outputs are those in the working directory. Raises `PathNotFound`, naming what is there; never leaves the record.
    """
    asked = PurePosixPath(path.strip().strip("/"))
    parts = [part for part in asked.parts if part != "."]
    if parts and ".." not in parts:
        names = [parts] if parts[0] in _TOPS else [["outputs", *parts], parts]
        for base in (record, record / "work"):
            for name in names:
                place = base.joinpath(*name)
                if name[0] in _TOPS and place.exists() and place.resolve().is_relative_to((base / name[0]).resolve()):
                    return "/".join(name), place
    there = _listing(record)
    raise PathNotFound(
        f"There is no file or folder {path!r} in the run's outputs.",
        mend=f"There is: {', '.join(there)}." if there else "The run wrote nothing to ./outputs.",
        path=path,
        there=there,
    )


def copy(source: Path, target: Path, *, link: bool = False) -> Content:
    """Copy the file or folder `source` into the new folder `target` (a folder's content, or the file) and hash the copy,
    whose files are read-only.

    With `link` a file that nobody writes to any more (a finished run's output) becomes read-only and stands in `target`
    as it is, under a second name, where the disk allows that: it then costs neither time nor room.

    Raises `UsageError` for what is no plain file or leads out of `source`, `DiskFull` if there is no room.
    """
    files = list(_files(source))
    target.mkdir(parents=True)
    link = link and source.stat().st_dev == target.stat().st_dev
    total = 0 if link else sum(path.stat().st_size for _, path in files)
    if total > shutil.disk_usage(target).free:
        raise DiskFull(
            f"No room for a copy of {source.name!r} ({total:,} bytes).", mend="Free some space and try again."
        )
    digest, size = hashlib.sha256(), 0
    with ThreadPoolExecutor(1) as copying:
        for name, path in files:
            place = target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            linked = link and _link_file(path, place)
            length, file_digest = _hash_file(place) if linked else _copy_file(path, place, copying)
            digest.update(f"{name}\0{length}\0{file_digest}\n".encode(errors="surrogateescape"))
            size += length
    return Content(f"sha256:{digest.hexdigest()}", size, len(files))


def tree_hash(folder: Path) -> str:
    """The `Content.hash` of the files in `folder`."""
    digest = hashlib.sha256()
    for name, path in _files(folder):
        size, file_digest = _hash_file(path)
        digest.update(f"{name}\0{size}\0{file_digest}\n".encode(errors="surrogateescape"))
    return f"sha256:{digest.hexdigest()}"


def _link_file(source: Path, target: Path) -> bool:
    """Whether `target` now is another name of `source`, which nobody can write to by an oversight any more."""
    about = source.lstat()
    writable = bool(about.st_mode & _WRITABLE)
    # A name that is elsewhere already may be somebody's who goes on writing.
    if not stat.S_ISREG(about.st_mode) or (writable and about.st_nlink > 1):
        return False
    try:
        if writable:
            source.chmod(stat.S_IMODE(about.st_mode) & ~_WRITABLE)
        target.hardlink_to(source)
    except OSError:  # another's file, or a disk without links: copied, then
        return False
    return True


def _hash_file(path: Path) -> tuple[int, str]:
    with path.open("rb", buffering=0) as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _copy_file(source: Path, target: Path, copying: Executor) -> tuple[int, str]:
    """Copy, and hash what lies in the copy: side by side, since each takes about as long as the other."""
    digest, buffer = hashlib.sha256(), memoryview(bytearray(_READ))
    with source.open("rb", buffering=0) as reader, target.open("x+b", buffering=0) as writer:
        size = there = _copy_block(reader.fileno(), writer.fileno(), 0)
        while there:
            behind = copying.submit(_copy_block, reader.fileno(), writer.fileno(), size)
            try:
                _hash_block(writer.fileno(), size - there, size, digest, buffer)
            finally:
                there = behind.result()
            size += there
        os.fchmod(writer.fileno(), stat.S_IRUSR)
    return size, digest.hexdigest()


def _copy_block(reader: int, writer: int, at: int) -> int:
    """Copy up to a block from `at` on; returns its bytes, 0 at the end.

    The kernel copies: shared extents where the file system has them, else without a way through this process.
    """
    with contextlib.suppress(OSError):  # between two file systems, or one that cannot: the next call can, or says why
        if copied := os.copy_file_range(reader, writer, _BLOCK, at, at):
            return copied
    os.lseek(writer, at, os.SEEK_SET)
    return os.sendfile(writer, reader, at, _BLOCK)


def _hash_block(file: int, start: int, end: int, digest: Any, buffer: memoryview) -> None:
    while start < end:
        read = os.preadv(file, [buffer[: end - start]], start)
        if not read:
            raise OSError(errno.EIO, "the copy is shorter than what was written")
        digest.update(buffer[:read])
        start += read


def _files(source: Path) -> Iterator[tuple[str, Path]]:
    """Path (with `/`) and place of each file, by path. Links are followed as long as they stay inside `source`."""
    if source.is_file():
        yield source.name, source
        return
    found: list[tuple[str, Path]] = []
    root = source.resolve()
    for parent, folders, names in os.walk(source):
        for name in [*names, *(each for each in folders if Path(parent, each).is_symlink())]:
            path = Path(parent, name)
            inside = path.relative_to(source).as_posix()
            if not path.resolve().is_file() or not path.resolve().is_relative_to(root):
                raise UsageError(
                    f"{inside!r} in {source.name!r} is no plain file of it (a link, a pipe or a device).",
                    mend="Save the model to a folder of its own.",
                )
            found.append((inside, path))
            if len(found) > MAX_FILES:
                raise UsageError(
                    f"{source.name!r} holds more than {MAX_FILES:,} files.",
                    mend="Register a folder with the model only.",
                )
    if not found:
        raise UsageError(f"The folder {source.name!r} is empty.", mend="Save the model before it is registered.")
    yield from sorted(found)


def _listing(record: Path) -> list[str]:
    """Up to 20 names in the run's outputs, two levels deep."""
    names: list[str] = []
    for base in (record, record / "work"):
        for top in _TOPS:
            for pattern in ("*", "*/*"):
                names += [p.relative_to(base).as_posix() + "/" * p.is_dir() for p in (base / top).glob(pattern)]
    return sorted(set(names))[:20]
