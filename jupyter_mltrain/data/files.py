"""Files of a dataset on their way into the cache: checked by content, compressed the same way each time."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import zlib
from pathlib import Path
from typing import IO, Protocol

from jupyter_mltrain.core.dataset import DatasetFile
from jupyter_mltrain.errors import DownloadCorrupt

_BLOCK = 1 << 20


class _Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


def check_content(path: Path, file: DatasetFile, source: str) -> None:
    """Raise `DownloadCorrupt` unless the content of `path` is that of `file`. Reads at most its size."""
    try:
        with gzip.open(path) if file.name.endswith(".gz") else path.open("rb") as content:
            problem = _difference(content, file)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        problem = f"not a whole gzip file ({error})"
    if problem:
        raise DownloadCorrupt(
            f"{file.name} from {source} is not what it should be: {problem}.",
            mend="Try again; if it stays so, the source or something on the way to it changes files.",
            source=source,
            file=file.name,
        )


def store_content(content: _Readable, file: DatasetFile, target: Path, source: str) -> None:
    """Write `content` (not compressed) to `target` as `file` is named, `.gz` compressed with no time stamp, so that
    equal content gives equal bytes. Raises `DownloadCorrupt`, with nothing left at `target`, if it is another."""
    part = target.with_name(f"{target.name}.new")
    try:
        with part.open("wb") as raw:
            problem = _difference(content, file, raw)
            raw.flush()
            os.fsync(raw.fileno())
        if problem:
            raise DownloadCorrupt(
                f"{file.name} from {source} is not what it should be: {problem}.",
                mend="Try again; if it stays so, the source changed.",
                source=source,
                file=file.name,
            )
        part.replace(target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def _difference(content: _Readable, file: DatasetFile, copy_to: IO[bytes] | None = None) -> str:
    """What is wrong with `content`, "" if nothing; writes what was read to `copy_to` meanwhile."""
    digest = hashlib.sha256()
    size = 0
    with contextlib.ExitStack() as stack:
        out: IO[bytes] | gzip.GzipFile | None = copy_to
        if copy_to is not None and file.name.endswith(".gz"):
            # mtime and name are part of a gzip file. Level 6 is what the originals were made with.
            out = stack.enter_context(gzip.GzipFile("", "wb", compresslevel=6, fileobj=copy_to, mtime=0))
        while block := content.read(_BLOCK):
            size += len(block)
            if size > file.size:  # also ends a file that would unpack for ever
                return f"more than the {file.size:,} bytes it has"
            digest.update(block)
            if out is not None:
                out.write(block)
    if size != file.size:
        return f"{size:,} bytes instead of {file.size:,}"
    if digest.hexdigest() != file.sha256:
        return f"its SHA-256 is {digest.hexdigest()[:12]}… instead of {file.sha256[:12]}…"
    return ""
