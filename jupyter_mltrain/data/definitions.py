"""Registered datasets as files that a person can read.

<folder>/<name>/<version>.json            what was registered; never changed
<folder>/<name>/<version>.content.json    what its files held when they were first fetched
<folder>/<name>/<version>.seen.json       what they held when they were last looked at, where that may change
<folder>/.unnamed/<id>.json               datasets that a run was given without registering them
"""

from __future__ import annotations

import dataclasses
import json
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_mltrain.cache import disk_errors, write_whole
from jupyter_mltrain.core.dataset import FileDatasetDefinition
from jupyter_mltrain.core.ids import check_name
from jupyter_mltrain.errors import DatasetNotFound, UserErrorException

_UNNAMED = ".unnamed"
_REMEMBERED = 32
"""Contents that are kept in memory: a list of datasets asks for all of them."""
_LAST = "removed.json"
"""In the folder of a name: the highest version that was removed."""


@dataclass(frozen=True)
class ContentFile:
    """A file as it was found: `sha256` of its bytes (empty for local data too large to be read for it), `stamp` as its
    place tells it, `source` its address; `local` if it is used where it is. `unpacked`: SHA-256 of what it unpacks to,
    where it is known by that; `ready`: the ready-made dataset whose file it then is."""

    path: str
    size: int
    sha256: str
    stamp: str
    source: str
    local: bool
    unpacked: str = ""
    ready: str = ""


_COLUMNS = [field.name for field in dataclasses.fields(ContentFile)]


@dataclass(frozen=True)
class Content:
    """What a dataset held. `hash` begins with `sha256:`, or with `stat:` where it is of sizes and times alone; `single`:
    the dataset is one file, and its path the file's."""

    hash: str
    files: tuple[ContentFile, ...]
    single: bool
    time: float

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files)

    def dumps(self) -> str:
        """As it is stored: a line for each file."""
        head = {"format": 1, "hash": self.hash, "single": self.single, "time": self.time, "columns": _COLUMNS}
        lines = ",\n".join(json.dumps([getattr(file, name) for name in _COLUMNS]) for file in self.files)
        return f'{json.dumps(head)[:-1]}, "files": [\n{lines}\n]}}\n'

    @classmethod
    def loads(cls, text: str) -> Content:
        raw: dict[str, Any] = json.loads(text)
        files = tuple(ContentFile(**dict(zip(raw["columns"], row, strict=True))) for row in raw["files"])
        return cls(raw["hash"], files, raw["single"], raw["time"])


class Definitions:
    """The files below `folder`. `reserved`: names that are taken by ready-made datasets."""

    def __init__(self, folder: Path, reserved: Sequence[str] = ()) -> None:
        self._folder = folder
        self._reserved = frozenset(reserved)
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[int, Content]] = {}

    def versions(self, name: str) -> list[FileDatasetDefinition]:
        """All versions of a name, the oldest first; none if there is no such name."""
        if "/" in name or name.startswith("."):
            return []
        paths = [path for path in (self._folder / name).glob("*.json") if path.stem.isdigit()]
        return [_read(path) for path in sorted(paths, key=lambda path: int(path.stem))]

    def newest(self) -> list[FileDatasetDefinition]:
        """The newest version of each name."""
        folders = sorted(path for path in self._folder.glob("[!.]*") if path.is_dir())
        found = (self.versions(folder.name) for folder in folders)
        return [versions[-1] for versions in found if versions]

    def of_id(self, dataset_id: str) -> FileDatasetDefinition:
        """The version, or the unregistered dataset, of an id. Raises `DatasetNotFound`."""
        path = self._folder / _UNNAMED / f"{dataset_id}.json"
        if "/" not in dataset_id and path.is_file():
            return _read(path)
        for newest in self.newest():
            for definition in self.versions(newest.name):
                if definition.id == dataset_id:
                    return definition
        raise DatasetNotFound(f"There is no dataset with the id {dataset_id!r} here.", mend="`%mltrain data list`.")

    def register(self, given: FileDatasetDefinition, *, new_version: bool) -> FileDatasetDefinition:
        """Store a definition as a version of its name. One that means the same as the newest is that version, unless
        `new_version`. Raises `InvalidName`, and `UserErrorException` for another meaning without `new_version`."""
        check_name(given.name, "Dataset")
        if given.name in self._reserved:
            raise UserErrorException(
                f"{given.name!r} is the name of a ready-made dataset.", mend="Choose another name."
            )
        with self._lock:
            versions = self.versions(given.name)
            if versions and not new_version:
                if versions[-1].meaning == given.meaning:
                    return versions[-1]
                raise UserErrorException(
                    f"There is a dataset {given.name!r} already (version {versions[-1].version}), with other files.",
                    mend="Say create_new_version=True (`data add --new-version`), or choose another name.",
                )
            version = max(self._last(given.name), versions[-1].version if versions else 0) + 1
            made = dataclasses.replace(given, id=str(uuid.uuid4()), version=version, created=time.time())
            self._write(self._path(made), made.to_json())
        return made

    def keep(self, definition: FileDatasetDefinition) -> FileDatasetDefinition:
        """Store a dataset that is not registered; a second time changes nothing."""
        path = self._path(definition)
        if not path.is_file():
            definition = dataclasses.replace(definition, created=time.time())
            self._write(path, definition.to_json())
        return definition

    def remove(self, definition: FileDatasetDefinition) -> None:
        """Forget a version. Its number is not given again: runs say which version they read."""
        path = self._path(definition)
        if definition.name:
            last = max(self._last(definition.name), definition.version)
            self._write(path.with_name(_LAST), {"format": 1, "last": last})
        for one in (path, path.with_suffix(".content.json"), path.with_suffix(".seen.json")):
            one.unlink(missing_ok=True)

    def content(self, definition: FileDatasetDefinition, *, seen: bool = False) -> Content | None:
        """What its files held when they were first fetched, None before; with `seen`, when they were last looked at."""
        path = self._path(definition).with_suffix(".seen.json" if seen else ".content.json")
        try:
            changed = path.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        known = self._read.get(path)
        if known is None or known[0] != changed:
            if len(self._read) >= _REMEMBERED:
                self._read.clear()
            known = self._read[path] = (changed, Content.loads(path.read_text("utf-8")))
        return known[1]

    def note_content(self, definition: FileDatasetDefinition, content: Content, *, seen: bool = False) -> None:
        path = self._path(definition).with_suffix(".seen.json" if seen else ".content.json")
        self._write_text(path, content.dumps())

    def _last(self, name: str) -> int:
        path = self._folder / name / _LAST
        return int(json.loads(path.read_text("utf-8"))["last"]) if path.is_file() else 0

    def _path(self, definition: FileDatasetDefinition) -> Path:
        if definition.name:
            return self._folder / definition.name / f"{definition.version}.json"
        return self._folder / _UNNAMED / f"{definition.id}.json"

    def _write(self, path: Path, document: dict[str, Any]) -> None:
        self._write_text(path, json.dumps(document, indent=1))

    def _write_text(self, path: Path, text: str) -> None:
        # JSON in ASCII, so that names of files that are no UTF-8 come back as they were.
        with disk_errors(self._folder, "storing a dataset's definition"):
            write_whole(path, text.encode("ascii"))


def _read(path: Path) -> FileDatasetDefinition:
    return FileDatasetDefinition.from_json(json.loads(path.read_text("utf-8")))
