"""What a dataset is: files with known content (`DatasetDefinition`, ready-made), or files that lie somewhere else, and
which of them (`FileDatasetDefinition`)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class DatasetFile:
    """A file of a dataset. `sha256` and `size` (bytes) are of its content after `gzip -d` if `name` ends in `.gz`:
    mirrors compress differently, the content is the same."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class DatasetDefinition:
    """A version of a dataset. `download`: bytes that a fetch brings, roughly."""

    name: str
    version: int
    files: tuple[DatasetFile, ...]
    download: int
    description: str = ""

    @property
    def key(self) -> str:
        """SHA-256 of names and contents: what a fetched dataset is cached under, and `Mount.key`."""
        content = "\n".join(f"{file.sha256} {file.size} {file.name}" for file in self.files)
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Selected:
    """Which files of a dataset are taken: one step, applied to what the steps before it left.

    `kind` is `take` or `skip` (the first `count` files, or all but them, in the order of their paths), or `split` (part
    `part`, 0 or 1, of a random split in which part 0 has the share `share`), or `sample` (each file with the probability
    `share`). Splits and samples depend on `seed` and the files' paths alone.
    """

    kind: Literal["take", "skip", "split", "sample"]
    count: int = 0
    share: float = 0.0
    seed: int = 0
    part: int = 0

    def to_json(self) -> dict[str, Any]:
        if self.kind in {"take", "skip"}:
            return {"kind": self.kind, "count": self.count}
        chosen: dict[str, Any] = {"kind": self.kind, "share": self.share, "seed": self.seed}
        return chosen | {"part": self.part} if self.kind == "split" else chosen

    def __str__(self) -> str:
        if self.kind in {"take", "skip"}:
            return f"{self.kind} {self.count}"
        part = f", part {self.part + 1}" if self.kind == "split" else ""
        return f"{self.kind} {self.share:g}, seed {self.seed}{part}"


def select(paths: Iterable[str], steps: Iterable[Selected]) -> list[str]:
    """The paths that `steps` leave, in order."""
    left = sorted(paths)
    for step in steps:
        if step.kind == "take":
            left = left[: step.count]
        elif step.kind == "skip":
            left = left[step.count :]
        else:
            drawn = sorted(left, key=lambda path: _draw(step.seed, path))
            if step.kind == "split":
                size = round(step.share * len(left))
                left = sorted(drawn[:size] if step.part == 0 else drawn[size:])
            else:
                left = sorted(path for path in left if _draw(step.seed, path) < step.share * 2**64)
    return left


def _draw(seed: int, path: str) -> int:
    # By path and not by position, so that a file keeps its draw when others come or go.
    return int.from_bytes(hashlib.sha256(f"{seed}:{path}".encode(errors="surrogateescape")).digest()[:8])


@dataclass(frozen=True)
class FileDatasetDefinition:
    """A version of a dataset of files that lie somewhere else, as `.mltrain/datasets/<name>/<version>.json` says it.

    `sources` are absolute local paths, URLs, or `datastore://NAME/PATH`; each may be a file, a folder or a pattern.
    `id` names this version for ever; one that is not registered has an id alone.
    """

    id: str
    sources: tuple[str, ...]
    selection: tuple[Selected, ...] = ()
    name: str = ""
    version: int = 0
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    partition_format: str = ""
    created: float = 0.0

    @property
    def reference(self) -> str:
        """`NAME:VERSION`, or `id:ID`: how requests name it."""
        return f"{self.name}:{self.version}" if self.name else f"id:{self.id}"

    @property
    def meaning(self) -> dict[str, Any]:
        """What makes two definitions the same dataset."""
        return {
            "sources": list(self.sources),
            "selection": [step.to_json() for step in self.selection],
            "partition_format": self.partition_format,
        }

    def to_json(self) -> dict[str, Any]:
        head = {"format": 1, "id": self.id}
        named = {
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "tags": dict(self.tags),
            "created": self.created,
        }
        return {**head, **(named if self.name else {"created": self.created}), **self.meaning}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> FileDatasetDefinition:
        """What `to_json` wrote; unknown keys (of a newer version) are left out."""
        values = {f.name: raw[f.name] for f in dataclasses.fields(cls) if f.name in raw}
        values["sources"] = tuple(raw["sources"])
        values["selection"] = tuple(Selected(**step) for step in raw.get("selection", ()))
        return cls(**values)


def definition_id(sources: Sequence[str], selection: Sequence[Selected], partition_format: str = "") -> str:
    """The id of a dataset that is not registered: the same for the same meaning, so that it is kept once."""
    meaning = FileDatasetDefinition("", tuple(sources), tuple(selection), partition_format=partition_format).meaning
    return str(uuid.uuid5(_UNNAMED, json.dumps(meaning, sort_keys=True)))


_UNNAMED = uuid.UUID("5f0c6a1e-37a4-4a55-9d0c-1f7a1f0f8f11")
