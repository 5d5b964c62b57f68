"""The working folder of a run: made from the snapshot, and at the end its outputs moved into the record.

Blocking; engines call it in a thread.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from jupyter_mltrain.errors import EngineError
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim.files import delete

KEPT = ("outputs", "logs")
"""Folders made for the script, and kept when the run is over; the rest of the working folder is not."""


def snapshot_files(record: Path) -> Iterator[tuple[PurePosixPath, str, int]]:
    """Path, SHA-256 and mode of each file of the run's snapshot. Raises `EngineError` for a manifest whose paths lead out
    of the folder."""
    manifest: dict[str, Any] = json.loads((record / "snapshot.json").read_text("utf-8"))
    for entry in manifest["files"]:
        path = PurePosixPath(entry["path"])
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise EngineError(f"The snapshot names a path outside of its folder: {entry['path']!r}.")
        yield path, entry["sha256"], int(entry["mode"])


def blob(blobs: Path, sha256: str) -> Path:
    return blobs / sha256[:2] / sha256


def materialise(record: Path, blobs: Path, work: Path) -> None:
    """Make `work` with the snapshot's files. Does nothing where it is; a making that was cut short is begun anew."""
    if work.exists():
        return
    partial = work.with_name(work.name + ".partial")
    delete(os.fspath(partial))
    partial.mkdir(parents=True, mode=0o700)
    for path, sha256, mode in snapshot_files(record):
        target = partial / path
        target.parent.mkdir(parents=True, exist_ok=True)
        # A copy, never a link: a script may change its files, and the blob is every run's.
        shutil.copyfile(blob(blobs, sha256), target)
        target.chmod(stat.S_IMODE(mode) | stat.S_IRUSR | stat.S_IWUSR)
    for name in KEPT:
        (partial / name).mkdir(exist_ok=True)
    partial.rename(work)


def collect(work: Path, into: Path) -> None:
    """Move what the run made in `work` into its record, by rename where that is possible. Idempotent: what was moved
    before is left, what a cut-short move left behind is added."""
    for name in KEPT:
        source, target = work / name, into / name
        if not os.path.lexists(source):
            continue
        _keep_what_links_reach(source, work)
        if source.is_symlink() or not source.is_dir():
            _copy(source, target)
            source.unlink()
        else:
            _move(source, target)


def _move(source: Path, target: Path) -> None:
    if not os.path.lexists(target):
        try:
            source.rename(target)
        except OSError:  # another file system
            _copy(source, target)
            delete(os.fspath(source))
        return
    if source.is_dir() and not source.is_symlink() and target.is_dir():
        for entry in sorted(source.iterdir()):
            _move(entry, target / entry.name)
        source.rmdir()
    else:
        delete(os.fspath(target))
        _move(source, target)


def _copy(source: Path, target: Path) -> None:
    """Copy a file or tree in bounded memory; a top that is a link is followed, pipes and sockets are left out."""
    if source.is_dir():
        target.mkdir(exist_ok=True)
        for entry in sorted(source.iterdir()):
            if entry.is_symlink():
                if not os.path.lexists(target / entry.name):
                    (target / entry.name).symlink_to(os.readlink(entry))
            else:
                _copy(entry, target / entry.name)
        shutil.copystat(source, target)
    elif source.is_file():
        # Whole or not at all under its name, so that a copy that was cut short is not taken for the file.
        partial = target.with_name(f".{target.name[:200]}.partial")
        shutil.copyfile(source, partial)
        shutil.copystat(source, partial)
        partial.rename(target)


def _keep_what_links_reach(source: Path, work: Path) -> None:
    """Links out of `source` to files elsewhere in `work` become those files: `work` goes away, the outputs stay."""
    top = work.resolve()
    for parent, folders, files in os.walk(source):
        for name in (*folders, *files):
            link = Path(parent, name)
            if not link.is_symlink():
                continue
            reached = link.resolve()
            inside = reached.is_relative_to(source.resolve())
            if not inside and reached.is_relative_to(top) and reached.exists() and not _loops(link, reached):
                link.unlink()
                _copy(reached, link)


def _loops(link: Path, reached: Path) -> bool:
    """Whether the link points to a folder that holds it: a copy would not end."""
    return link.parent.resolve().is_relative_to(reached)
