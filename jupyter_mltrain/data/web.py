"""Files by HTTP: what an address has now, and its bytes, continued where an earlier download was cut off."""

from __future__ import annotations

import http.client
import os
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

from jupyter_mltrain._version import __version__
from jupyter_mltrain.cache import Stopped, disk_errors
from jupyter_mltrain.core.addresses import redact
from jupyter_mltrain.data.sources import NotReached, Transfer

IDLE_SECONDS = 20.0
"""How long a download may stand still before it is cut and continued."""
ATTEMPTS = 4
_BLOCK = 1 << 16
NETWORK_ERRORS = (OSError, http.client.HTTPException)  # URLError and time-outs are OSErrors

Open = Callable[[float, dict[str, str], str], http.client.HTTPResponse]
"""Opens one address: time-out in seconds, headers, method."""


def open_address(address: str) -> Open:
    """The way to `address`; raises what `urllib` raises."""

    def open_it(timeout: float, headers: dict[str, str], method: str) -> http.client.HTTPResponse:
        request = urllib.request.Request(  # noqa: S310 - only http and https come here
            address,
            headers={"User-Agent": f"jupyter-mltrain/{__version__}", "Accept-Encoding": "identity", **headers},
            method=method,
        )
        return urllib.request.urlopen(request, timeout=timeout)  # noqa: S310

    return open_it


def ask(open_it: Open, what: str, patience: float, cancelled: threading.Event) -> http.client.HTTPMessage:
    """The headers that an address answers to HEAD, within `patience` seconds whatever its name server or network does.

    Raises `NotReached` with the reason, or `Missing` where the server knows no such file.
    """
    answers: queue.SimpleQueue[Exception | http.client.HTTPMessage] = queue.SimpleQueue()

    def request() -> None:
        try:
            with _head(open_it, patience) as answer:
                answers.put(answer.headers)
        except Exception as error:  # noqa: BLE001 - handed over to the asking thread
            answers.put(error)

    threading.Thread(target=request, name=f"ask for {what}", daemon=True).start()
    found = _first(answers, patience, cancelled)
    if isinstance(found, urllib.error.HTTPError):
        found.close()
        kind = Missing if found.code in {404, 410} else NotReached
        raise kind(f"HTTP {found.code} for {what}") from found
    if isinstance(found, NETWORK_ERRORS):
        raise NotReached(reason_of(found)) from found
    if isinstance(found, Exception):
        raise found
    return found


class Missing(NotReached):
    """The server answers, and has no such file."""


def _head(open_it: Open, timeout: float) -> http.client.HTTPResponse:
    try:
        return open_it(timeout, {}, "HEAD")
    except urllib.error.HTTPError as error:
        if error.code not in {405, 501}:
            raise
        error.close()
        return open_it(timeout, {}, "GET")  # it knows no HEAD; the body is left where it is


def download(
    open_it: Open, part: Path, what: str, source: str, transfer: Transfer, *, pause: float = 0.5, same: str = ""
) -> None:
    """Get what the file `part` lacks of `what`, tried `ATTEMPTS` times; what came is kept.

    `pause`: seconds before a cut download is continued, doubled each time. `same`: the validator (ETag or date) of the
    content that `part` was begun with: a server whose content is another sends it from the start. Raises `NotReached`,
    `Stopped`, `DiskFull`.
    """
    reason = ""
    for attempt in range(1, ATTEMPTS + 1):
        before = _size(part)
        try:
            _continue(open_it, part, what, transfer, same)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500:  # asking again would not change it
                raise NotReached(f"HTTP {error.code} for {what}") from error
            reason = f"HTTP {error.code}"
        except NETWORK_ERRORS as error:
            reason = reason_of(error)
        else:
            return
        grown = _size(part) > before
        if attempt == ATTEMPTS:
            break
        transfer.log(f"{what} from {source}: {reason}; {'continuing' if grown else 'trying again'}")
        if transfer.cancelled.wait(pause):
            raise Stopped
        pause *= 2
    raise NotReached(f"{reason} ({ATTEMPTS} tries)")


def _continue(open_it: Open, part: Path, what: str, transfer: Transfer, same: str) -> None:
    """One request. A cut connection raises, with what came kept."""
    have = _size(part)
    headers = {"Range": f"bytes={have}-", **({"If-Range": same} if same else {})} if have else {}
    try:
        answer = open_it(IDLE_SECONDS, headers, "GET")
    except urllib.error.HTTPError as error:
        if have and error.code == 416:  # nothing after what we have: it is whole, or no good, as its check will tell
            error.close()
            return
        raise
    # A full disk must not look like a network error, which would be tried again.
    with answer, disk_errors(part.parent, f"fetching {what}"), part.open("ab") as out:
        if have and answer.status != 206:
            out.truncate(0)
            have = 0
        _copy(answer, out, have, transfer)
        out.flush()
        os.fsync(out.fileno())


def _copy(answer: http.client.HTTPResponse, out: IO[bytes], have: int, transfer: Transfer) -> None:
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


def _first(
    answers: queue.SimpleQueue[Exception | http.client.HTTPMessage], patience: float, cancelled: threading.Event
) -> Exception | http.client.HTTPMessage:
    deadline = time.monotonic() + patience
    while not cancelled.is_set():
        try:
            return answers.get(timeout=0.05)
        except queue.Empty:
            if time.monotonic() > deadline:
                raise NotReached(f"no answer in {patience:.0f} s") from None
    raise Stopped


def reason_of(error: Exception) -> str:
    """Why a request failed, in one line, without credentials."""
    inner = getattr(error, "reason", None)
    if isinstance(inner, Exception):
        error = inner
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, http.client.IncompleteRead):
        return "connection cut"
    return redact(" ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split()))


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
