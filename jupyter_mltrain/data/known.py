"""Addresses whose content is known: they no longer answer, and what they held is had elsewhere, by its checksum.

The table is `known_files.toml` beside this module; a workspace adds to it, or overrules it, by a file of the same form,
`.mltrain/known_files.toml`.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyter_mltrain.data.ready_made import READY_MADE
from jupyter_mltrain.errors import UserErrorException

NAME = "known_files.toml"


@dataclass(frozen=True)
class KnownFile:
    """What an address held: the file `file` of the ready-made dataset `dataset`. `sha256` and `size` (bytes) are of its
    content, after `gzip -d` where its name ends in `.gz`. `gone`: its own host is not asked."""

    address: str
    dataset: str
    file: str
    sha256: str
    size: int
    gone: bool
    reason: str


class KnownFiles:
    """The table of the package, and of the file `own` where it exists."""

    def __init__(self, own: Path | None = None) -> None:
        self._own = own

    def find(self, source: str) -> KnownFile | None:
        """What is known of an address; `http` and `https`, and `www.` in front, are no difference."""
        key = _key(source)
        return None if key is None else ({**_package(), **self._of_workspace()}).get(key)

    def _of_workspace(self) -> Mapping[str, KnownFile]:
        if self._own is None or not self._own.is_file():
            return {}
        try:
            return _read(self._own.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
            raise UserErrorException(
                f"The table {self._own} cannot be read: {error}.", mend="Correct it, or take it away."
            ) from error


@functools.cache
def _package() -> Mapping[str, KnownFile]:
    return _read(Path(__file__).with_name(NAME).read_text("utf-8"))


def _read(text: str) -> dict[str, KnownFile]:
    table: dict[str, Any] = tomllib.loads(text)
    found: dict[str, KnownFile] = {}
    for entry in table.get("addresses", ()):
        dataset = READY_MADE[entry["dataset"]]
        for file in dataset.files:
            for folder in entry["folders"]:
                address = f"{folder.rstrip('/')}/{file.name}"
                known = KnownFile(
                    address, dataset.name, file.name, file.sha256, file.size, entry["gone"], entry["reason"]
                )
                key = _key(address)
                assert key is not None, "a web address"
                found[key] = known
    return found


def _key(source: str) -> str | None:
    parts = urlsplit(source)
    if parts.scheme.lower() not in {"http", "https"} or not parts.hostname:
        return None
    return f"{parts.hostname.lower().removeprefix('www.')}{parts.path}"
