"""A public mirror: files by HTTP, continued where an earlier download was cut off."""

from __future__ import annotations

import functools
import hashlib
import http.client
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from jupyter_mltrain.core.dataset import DatasetFile
from jupyter_mltrain.data.files import check_content
from jupyter_mltrain.data.sources import Transfer
from jupyter_mltrain.data.web import ask, download, open_address
from jupyter_mltrain.errors import DownloadCorrupt

ANSWER_SECONDS = 4.0
"""How long a mirror may take to answer at all before the next one is tried."""


@dataclass(frozen=True)
class Mirror:
    """Files under `address`. `pause`: seconds before a cut download is continued, doubled each time."""

    address: str
    pause: float = 0.5

    @property
    def name(self) -> str:
        return urlsplit(self.address).hostname or self.address

    def fetch(self, files: Sequence[DatasetFile], transfer: Transfer) -> None:
        missing = [file for file in files if not (transfer.folder / file.name).exists()]
        if missing:
            first = missing[0]
            ask(functools.partial(self._open, first), first.name, ANSWER_SECONDS, transfer.cancelled)
        for file in missing:
            self._fetch_checked(file, transfer)

    def _fetch_checked(self, file: DatasetFile, transfer: Transfer) -> None:
        # The mirror is part of the file's name: the next one compresses differently and must not continue it.
        mirror = hashlib.sha256(self.address.encode()).hexdigest()[:8]
        part = transfer.folder / f"{file.name}.{mirror}.part"
        get = functools.partial(
            download, functools.partial(self._open, file), part, file.name, self.name, transfer, pause=self.pause
        )
        continued = part.exists() and part.stat().st_size > 0
        get()
        try:
            check_content(part, file, self.name)
        except DownloadCorrupt:
            part.unlink()
            if not continued:
                raise
            transfer.log(f"{file.name}: what an earlier download left was no good; once more from the start")
            get()
            try:
                check_content(part, file, self.name)
            except DownloadCorrupt:
                part.unlink()
                raise
        part.replace(transfer.folder / file.name)

    def _open(
        self, file: DatasetFile, timeout: float, headers: dict[str, str], method: str
    ) -> http.client.HTTPResponse:
        return open_address(f"{self.address.rstrip('/')}/{file.name}")(timeout, headers, method)
