"""A run's logs and files, under the names that users know: `user_logs/std_log.txt`, `outputs/…`, `logs/…`."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jupyter_mltrain.core.wire import LogFile, RunFile
from jupyter_mltrain.errors import PathNotFound
from jupyter_mltrain.service.record import Record

FIRST = "user_logs/std_log.txt"
BUILD = "build.log"

_RANK = re.compile(r"r(\d+)\.log")
_STD_LOG = re.compile(r"user_logs/std_log(?:_(\d+))?\.txt")
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Chunk:
    """Bytes `offset` to `next` of a log; `complete`: nothing will come after them."""

    data: bytes
    offset: int
    next: int
    complete: bool


def listing(folder: Path) -> list[LogFile]:
    """The logs that are there: name, size in bytes, rank (None for the build log)."""
    found: list[LogFile] = []
    if (folder / BUILD).is_file():
        found.append({"name": BUILD, "size": (folder / BUILD).stat().st_size, "rank": None})
    return found + [
        {"name": name, "size": path.stat().st_size, "rank": rank} for rank, name, path in _rank_logs(folder)
    ]


async def read(record: Record, name: str, offset: int, limit: int, wait: float) -> Chunk:
    """Part of a log. With `wait`, returns as soon as there is something beyond `offset`, or the run has ended."""
    deadline = time.monotonic() + wait
    while True:
        over = record.status.terminal
        path = _log_path(record.folder, name)
        if path is None and over:
            raise PathNotFound.of(name, [entry["name"] for entry in listing(record.folder)])
        chunk = (
            await asyncio.to_thread(_read, path, offset, limit)
            if path
            else Chunk(b"", max(0, offset), max(0, offset), complete=False)
        )
        if chunk.data or over:
            size = path.stat().st_size if path else 0
            return Chunk(chunk.data, chunk.offset, chunk.next, complete=over and chunk.next >= size)
        left = deadline - time.monotonic()
        if left <= 0:
            return chunk
        # The streams' doorbell wakes a live run's record; the build log has none, so a look now and then.
        await record.wait_changed(min(left, _LOOK_SECONDS if name == BUILD else 0.5))


def files(folder: Path) -> list[RunFile]:
    """All files that a run offers: path, size in bytes, time of change."""
    found = [_entry(name, path) for _, name, path in _rank_logs(folder)]
    if (folder / BUILD).is_file():
        found.append(_entry(BUILD, folder / BUILD))
    for name, base in _areas(folder):
        found += [_entry(f"{name}/{_shown(path, base)}", path) for path in _below(base)]
    return found


def files_below(root: Path) -> list[RunFile]:
    """The files of a folder that do not lead out of it, by their paths in it; or `root` alone where it is a file."""
    if root.is_file():
        return [_entry(root.name, root)]
    return [_entry(_shown(path, root), path) for path in _below(root)]


def resolve(folder: Path, path: str) -> Path | None:
    """The file that `path` (as `files` gives it) means, checked to lie inside its area; None if there is none."""
    log = _log_path(folder, path)
    if log is not None:
        return log
    area, _, rest = path.partition("/")
    for name, base in _areas(folder):
        if name == area and rest:
            return _inside(base, rest) or next((file for file in _below(base) if _shown(file, base) == rest), None)
    return None


def _inside(base: Path, rest: str) -> Path | None:
    try:
        candidate = (base / rest).resolve()
        return candidate if candidate.is_relative_to(base.resolve()) and candidate.is_file() else None
    except (OSError, ValueError):  # a name too long, a NUL in it
        return None


def _below(base: Path) -> Iterator[Path]:
    """The files below `base` that do not lead out of it."""
    for path in sorted(base.rglob("*")) if base.is_dir() else []:
        if _inside(base, str(path.relative_to(base))):
            yield path


def _shown(path: Path, base: Path) -> str:
    """A path as text that JSON can carry: bytes of no encoding become U+FFFD."""
    return os.fsencode(path.relative_to(base)).decode("utf-8", "replace")


def _areas(folder: Path) -> Iterator[tuple[str, Path]]:
    """Where outputs and logs are: with the run while it is live, in the record afterwards."""
    for name in ("outputs", "logs"):
        live = folder / "work" / name
        yield name, live if live.is_dir() and not (folder / name).is_dir() else folder / name


def _rank_logs(folder: Path) -> list[tuple[int, str, Path]]:
    ranks = [(int(m[1]), p) for p in (folder / "streams").glob("r*.log") if (m := _RANK.fullmatch(p.name))]
    return [(rank, f"user_logs/std_log_{rank}.txt" if rank else FIRST, path) for rank, path in sorted(ranks)]


def _log_path(folder: Path, name: str) -> Path | None:
    if name == BUILD:
        return folder / BUILD if (folder / BUILD).is_file() else None
    match = _STD_LOG.fullmatch(name)
    if match is None:
        return None
    path = folder / "streams" / f"r{match[1] or 0}.log"
    return path if path.is_file() else None


def _read(path: Path, offset: int, limit: int) -> Chunk:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        start = max(0, size + offset) if offset < 0 else offset
        file.seek(start)
        data = file.read(limit)
        return Chunk(data, start, start + len(data), complete=False)


def _entry(name: str, path: Path) -> RunFile:
    info = path.stat()
    return {"path": name, "size": info.st_size, "modified": info.st_mtime}
