"""The files a run left, as artifacts of its MLflow run. Imported by the child only.

Copies, not links: whoever writes to an artifact through MLflow must not write to the run's record. Bounded, since the
record is here anyway: the smallest files first, up to `MAX_BYTES` and `MAX_FILES`; the artifact `mltrain/outputs.json`
lists what was left out, and why.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path, PurePosixPath

from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

MAX_BYTES = 2 << 30
MAX_FILES = 10_000
LEFT_OUT = "mltrain/outputs.json"

_LISTED = 10_000
_FOLDERS = ("outputs", "logs")


class Outputs:
    """What to copy of the record in `folder`: `outputs/`, `logs/` and the raw log of each rank (`user_logs/`)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: list[tuple[str, Path]] = []
        self._left: list[dict[str, object]] = []
        total = 0
        found = sorted(_walk(folder), key=lambda file: (file[2], file[0]))
        for name, path, size, _ in found:
            problem = _problem(name)
            if not problem and (len(self._taken) >= MAX_FILES or total + size > MAX_BYTES):
                problem = "over the limit of what is copied"
            if problem:
                self._left.append({"path": name.encode(errors="replace").decode(), "size": size, "why": problem})
            else:
                total += size
                self._taken.append((name, path))
        listing = [(name, size, modified) for name, _, size, modified in found]
        self.digest = hashlib.sha256(json.dumps(listing).encode()).hexdigest()
        """Differs when any file differs in name, size or time."""

    @property
    def total(self) -> int:
        """How many artifacts `put` knows: the files, and the list of those left out."""
        return len(self._taken) + bool(self._left)

    def put(self, repository: ArtifactRepository, index: int) -> None:
        """Copy artifact number `index`. Doing it again replaces it."""
        if index < len(self._taken):
            name, path = self._taken[index]
            put(repository, path, name)
            return
        left = {"left_out": self._left[:_LISTED], "count": len(self._left), "record": self._folder.name}
        with tempfile.TemporaryDirectory() as scratch:
            listing = Path(scratch, PurePosixPath(LEFT_OUT).name)
            listing.write_text(json.dumps(left, indent=1, ensure_ascii=False), encoding="utf-8")
            put(repository, listing, LEFT_OUT)


def put(repository: ArtifactRepository, source: Path, name: str) -> None:
    """Copy the file `source` to the artifact called `name` (a path with `/`)."""
    folder, _, last = name.rpartition("/")
    if isinstance(repository, LocalArtifactRepository):
        # MLflow copies the mode too: one that is read-only, as registered files are, could not be written over.
        Path(repository.artifact_dir, name).unlink(missing_ok=True)
    if source.name == last:
        repository.log_artifact(str(source), folder or None)
        return
    # MLflow names an artifact after the file that it is read from.
    with tempfile.TemporaryDirectory() as scratch:
        link = Path(scratch, last)
        link.symlink_to(source)
        repository.log_artifact(str(link), folder or None)


def _walk(folder: Path) -> list[tuple[str, Path, int, int]]:
    """Regular files: artifact name, path, size, time. Links are not followed: they may lead out of the record."""
    found: list[tuple[str, Path, int, int]] = []
    for top in _FOLDERS:
        for parent, _, names in os.walk(folder / top):
            for name in names:
                path = Path(parent, name)
                if path.is_file() and not path.is_symlink():
                    about = path.stat()
                    found.append((path.relative_to(folder).as_posix(), path, about.st_size, about.st_mtime_ns))
    for path in (folder / "streams").glob("r*.log"):
        rank = path.stem[1:]
        about = path.stat()
        name = f"user_logs/std_log{'' if rank == '0' else '_' + rank}.txt"
        found.append((name, path, about.st_size, about.st_mtime_ns))
    return found


def _problem(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    # What MLflow refuses in the path of an artifact.
    if "\\" in name or PurePosixPath(name).name.startswith(".artifact.uploading."):
        return "MLflow does not take its name"
    return ""
