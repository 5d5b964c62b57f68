"""What a dataset is: named files with known content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


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
