"""The data of a run, on its way to where the run is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OWN = "own-"
"""Begins the key of a copy that one run may change."""


@dataclass(frozen=True)
class WebFile:
    """A file of the web whose content is known: its path in the dataset, where it is, bytes, SHA-256."""

    path: str
    address: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Mount:
    """A dataset on the service's machine, to be readable at the run: a folder, which may hold links out of itself, or a
    single file."""

    name: str
    path: Path
    variable: str
    key: str
    """Hash of the content, so that a remote engine sends it once."""
    place: str = ""
    """Where else the run finds it: a path in its working folder, made as a link."""
    web: tuple[WebFile, ...] = field(default=(), compare=False)
    """All its files, where each can be had from the web by anybody; not kept."""

    @property
    def private(self) -> bool:
        """Whether it is a copy for this run alone, which may change it."""
        return self.key.startswith(OWN)

    def to_json(self) -> dict[str, Any]:
        known = {**dataclasses.asdict(self), "path": str(self.path)}
        del known["web"]
        return known

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Mount:
        return cls(raw["name"], Path(raw["path"]), raw["variable"], raw["key"], raw.get("place", ""))
