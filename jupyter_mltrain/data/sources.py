"""What a place that has datasets can do, and how it says that it cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jupyter_mltrain.core.dataset import DatasetFile

Log = Callable[[str], None]
"""Takes one line without its end."""


@dataclass(frozen=True)
class FetchProgress:
    """Bytes that came so far of about `total`, all files together; `source` is where from."""

    source: str
    done: int
    total: int


Report = Callable[[FetchProgress], None]


class NotReached(Exception):  # noqa: N818 - an answer for the next source, not an error for users
    """This source cannot give the files; the message says why, in one line, without credentials."""


@dataclass(frozen=True)
class Transfer:
    """What a source gets beside the files: where to put them, and whom to tell. Blocks in the caller's thread."""

    folder: Path
    log: Log
    report: Callable[[int], None]
    """Takes the bytes that came for the file under way."""
    cancelled: threading.Event


class Source(Protocol):
    """A place that has the files of a dataset."""

    @property
    def name(self) -> str:
        """As shown to users: a host, a registry."""
        ...

    def fetch(self, files: Sequence[DatasetFile], transfer: Transfer) -> None:
        """Put each of `files`, checked, into `transfer.folder` under its name; those that are there stay.

        Raises `NotReached`, `DownloadCorrupt` or `Stopped`; files that were finished before are kept.
        """
        ...
