"""The working folder of a run: made from the snapshot, and at the end its outputs moved into the record.

Blocking; engines call it in a thread.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from jupyter_mltrain.core.compute import Mount
from jupyter_mltrain.errors import EngineError
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim.files import copy, delete, keep_what_links_reach

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


def materialise(record: Path, blobs: Path, work: Path, mounts: Sequence[Mount] = ()) -> None:
    """Make `work` with the snapshot's files and links to the data that is to stand in it. Does nothing where it is; a
    making that was cut short is begun anew. Raises `EngineError` for data that would stand on a file's place."""
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
    for mount in mounts:
        if mount.place:
            _link(mount.path, partial / mount.place)
    partial.rename(work)


def bring_back(record: Path, work: Path) -> None:
    """Move what an earlier execution of the run kept into the working folder of the next one. Idempotent."""
    for name in KEPT:
        if (record / name).is_dir():
            _move(record / name, work / name)


def _link(data: Path, place: Path) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(data)
    except (FileExistsError, NotADirectoryError) as error:
        raise EngineError(
            f"The data cannot stand at {place.name!r} in the working folder: a file of the script's folder is there.",
            mend="Choose another path_on_compute.",
        ) from error


def collect(work: Path, into: Path) -> None:
    """Move what the run made in `work` into its record, by rename where that is possible. Idempotent: what was moved
    before is left, what a cut-short move left behind is added."""
    for name in KEPT:
        source, target = work / name, into / name
        if not os.path.lexists(source):
            continue
        keep_what_links_reach(os.fspath(source), os.fspath(work))
        if source.is_symlink() or not source.is_dir():
            copy(os.fspath(source), os.fspath(target))
            source.unlink()
        else:
            _move(source, target)


def _move(source: Path, target: Path) -> None:
    if not os.path.lexists(target):
        try:
            source.rename(target)
        except OSError:  # another file system
            copy(os.fspath(source), os.fspath(target))
            delete(os.fspath(source))
        return
    if source.is_dir() and not source.is_symlink() and target.is_dir():
        for entry in sorted(source.iterdir()):
            _move(entry, target / entry.name)
        source.rmdir()
    else:
        delete(os.fspath(target))
        _move(source, target)
