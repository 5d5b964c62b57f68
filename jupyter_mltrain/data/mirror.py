"""A public mirror: files by HTTP, continued where an earlier download was cut off."""

from __future__ import annotations

import hashlib
import http.client
import os
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from jupyter_mltrain._version import __version__
from jupyter_mltrain.cache import Stopped, disk_errors
from jupyter_mltrain.core.addresses import redact
from jupyter_mltrain.core.dataset import DatasetFile
from jupyter_mltrain.data.files import check_content
from jupyter_mltrain.data.sources import NotReached, Transfer
from jupyter_mltrain.errors import DownloadCorrupt

ANSWER_SECONDS = 4.0
"""How long a mirror may take to answer at all before the next one is tried."""
IDLE_SECONDS = 20.0
"""How long a download may stand still before it is cut and continued."""
ATTEMPTS = 4
_BLOCK = 1 << 16
_NETWORK_ERRORS = (OSError, http.client.HTTPException)  # URLError and time-outs are OSErrors


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
            self._ask(missing[0], transfer.cancelled)
        for file in missing:
            self._fetch_checked(file, transfer)

    def _fetch_checked(self, file: DatasetFile, transfer: Transfer) -> None:
        # The mirror is part of the file's name: the next one compresses differently and must not continue it.
        mirror = hashlib.sha256(self.address.encode()).hexdigest()[:8]
        part = transfer.folder / f"{file.name}.{mirror}.part"
        continued = part.exists() and part.stat().st_size > 0
        self._download(file, part, transfer)
        try:
            check_content(part, file, self.name)
        except DownloadCorrupt:
            part.unlink()
            if not continued:
                raise
            transfer.log(f"{file.name}: what an earlier download left was no good; once more from the start")
            self._download(file, part, transfer)
            try:
                check_content(part, file, self.name)
            except DownloadCorrupt:
                part.unlink()
                raise
        part.replace(transfer.folder / file.name)

    def _download(self, file: DatasetFile, part: Path, transfer: Transfer) -> None:
        pause, reason = self.pause, ""
        for attempt in range(1, ATTEMPTS + 1):
            before = part.stat().st_size if part.exists() else 0
            try:
                self._continue(file, part, transfer)
            except urllib.error.HTTPError as error:
                error.close()
                if error.code < 500:  # asking again would not change it
                    raise NotReached(f"HTTP {error.code} for {file.name}") from error
                reason = f"HTTP {error.code}"
            except _NETWORK_ERRORS as error:
                reason = _reason(error)
            else:
                return
            grown = (part.stat().st_size if part.exists() else 0) > before
            if attempt == ATTEMPTS:
                break
            transfer.log(f"{file.name} from {self.name}: {reason}; {'continuing' if grown else 'trying again'}")
            if transfer.cancelled.wait(pause):
                raise Stopped
            pause *= 2
        raise NotReached(f"{reason} ({ATTEMPTS} tries)")

    def _continue(self, file: DatasetFile, part: Path, transfer: Transfer) -> None:
        """Get what `part` lacks of the file. A cut connection raises, with what came kept."""
        have = part.stat().st_size if part.exists() else 0
        try:
            answer = self._open(file, IDLE_SECONDS, {"Range": f"bytes={have}-"} if have else {})
        except urllib.error.HTTPError as error:
            if (
                have and error.code == 416
            ):  # nothing after what we have: it is whole, or no good, as its check will tell
                error.close()
                return
            raise
        # A full disk must not look like a network error, which would be tried again.
        with answer, disk_errors(part.parent, f"fetching {file.name}"), part.open("ab") as out:
            if have and answer.status != 206:
                out.truncate(0)
                have = 0
            self._copy(answer, out, have, transfer)
            out.flush()
            os.fsync(out.fileno())

    def _copy(self, answer: http.client.HTTPResponse, out: IO[bytes], have: int, transfer: Transfer) -> None:
        length = answer.headers.get("Content-Length")
        end = have + int(length) if length else None
        while block := answer.read1(_BLOCK):
            if transfer.cancelled.is_set():
                raise Stopped
            out.write(block)
            have += len(block)
            transfer.report(have)
        if end is not None and have < end:
            raise http.client.IncompleteRead(b"", end - have)

    def _ask(self, file: DatasetFile, cancelled: threading.Event) -> None:
        """Whether the mirror answers, within `ANSWER_SECONDS` whatever its name server or network does."""
        answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

        def ask() -> None:
            try:
                self._open(file, ANSWER_SECONDS, {}, "HEAD").close()
            except Exception as error:  # noqa: BLE001 - handed over to the asking thread
                answers.put(error)
            else:
                answers.put(None)

        threading.Thread(target=ask, name=f"ask {self.name}", daemon=True).start()
        error = _first(answers, ANSWER_SECONDS, cancelled)
        if isinstance(error, urllib.error.HTTPError):
            error.close()
            raise NotReached(f"HTTP {error.code} for {file.name}") from error
        if isinstance(error, _NETWORK_ERRORS):
            raise NotReached(_reason(error)) from error
        if error is not None:
            raise error

    def _open(
        self, file: DatasetFile, timeout: float, headers: dict[str, str], method: str = "GET"
    ) -> http.client.HTTPResponse:
        request = urllib.request.Request(  # noqa: S310 - the addresses are constants of this package
            f"{self.address.rstrip('/')}/{file.name}",
            headers={"User-Agent": f"jupyter-mltrain/{__version__}", "Accept-Encoding": "identity", **headers},
            method=method,
        )
        return urllib.request.urlopen(request, timeout=timeout)  # noqa: S310


def _first(
    answers: queue.SimpleQueue[Exception | None], patience: float, cancelled: threading.Event
) -> Exception | None:
    deadline = time.monotonic() + patience
    while not cancelled.is_set():
        try:
            return answers.get(timeout=0.05)
        except queue.Empty:
            if time.monotonic() > deadline:
                raise NotReached(f"no answer in {patience:.0f} s") from None
    raise Stopped


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", None)
    if isinstance(inner, Exception):
        error = inner
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, http.client.IncompleteRead):
        return "connection cut"
    return redact(" ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split()))
