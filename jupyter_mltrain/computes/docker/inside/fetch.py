"""Fetches files from the web into a folder, checks them, and gives the folder its name once it is whole.

Started in a helper's container by the Python of a run, 3.8 or newer: `fetch.py LIST FOLDER FILES`. LIST holds
`[path, address, bytes, SHA-256]` of each file. What came stays in FOLDER when this ends early, and the next call goes on
from there; FILES appears as a whole. Says how far it is, line by line; the last line of a failure is why.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

TIMEOUT = 15.0
ATTEMPTS = 3
BLOCK = 1 << 18
TOLD_SECONDS = 1.0
ALIVE = "@alive"
"""A line that says only that this goes on, so that whoever listens can leave."""
SPENT = (OSError, http.client.HTTPException)


class ChangedError(Exception):
    """An address holds something else than it did."""


class Told:
    """Says how far it is, now and then."""

    def __init__(self, total: int) -> None:
        self._done, self._total, self._said = 0, total, 0.0

    def moved(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._said > TOLD_SECONDS:
            self._said = time.monotonic()
            sys.stdout.write(f"{min(self._done, self._total)} {self._total}\n")
            sys.stdout.flush()


def main(listed: Path, folder: Path, files: Path) -> None:
    wanted = json.loads(listed.read_text(encoding="utf-8"))
    told = Told(sum(size for _, _, size, _ in wanted))
    inside = folder / "files"
    for path, address, size, sha256 in wanted:
        target = inside / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():  # it is moved there when it is checked
            told.moved(size)
            continue
        part = folder / sha256
        fetch(address, part, size, sha256, told)
        part.chmod(0o644)
        part.replace(target)
    for place in (inside, *(one for one in inside.rglob("*") if one.is_dir())):
        place.chmod(0o755)
    if not files.exists():  # else somebody was quicker
        inside.rename(files)
    with contextlib.suppress(OSError):
        folder.rmdir()


def fetch(address: str, part: Path, size: int, sha256: str, told: Told) -> None:
    """Bring `part` to the content that is known. Raises `ChangedError`, or what `urllib` raises after the last attempt."""
    for attempt in range(1, ATTEMPTS + 1):
        have = part.stat().st_size if part.exists() else 0
        try:
            more(address, part, have, size, told)
        except urllib.error.HTTPError as error:
            if error.code < 500 or attempt == ATTEMPTS:
                raise
        except SPENT:
            if attempt == ATTEMPTS:
                raise
        else:
            if digest(part, told) == sha256:
                return
            part.unlink()
            if not have:
                break
        time.sleep(attempt * 0.5)
    raise ChangedError(f"{address} holds something else now")


def more(address: str, part: Path, have: int, size: int, told: Told) -> None:
    """One request for what `part` lacks."""
    if have >= size > 0:
        return
    headers = {"User-Agent": "jupyter-mltrain", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - only http and https come here
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer, part.open("ab") as out:  # noqa: S310
        if have and answer.status != 206:
            out.truncate(0)
            have = 0
        told.moved(have)
        while True:
            block = answer.read(BLOCK)
            if not block:
                break
            have += len(block)
            if have > size:
                break
            out.write(block)
            told.moved(len(block))
        out.flush()
        os.fsync(out.fileno())
    if have > size:
        part.unlink()
        raise ChangedError(f"{address} holds more now")
    if have < size:
        raise http.client.IncompleteRead(b"", size - have)


def digest(part: Path, told: Told) -> str:
    found = hashlib.sha256()
    with part.open("rb") as file:
        for block in iter(lambda: file.read(BLOCK), b""):
            found.update(block)
            told.moved(0)
    return found.hexdigest()


def live() -> None:
    while True:
        time.sleep(TOLD_SECONDS)
        sys.stdout.write(f"{ALIVE}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    threading.Thread(target=live, daemon=True).start()
    try:
        main(*map(Path, sys.argv[1:]))
    except (ChangedError, *SPENT) as error:
        sys.exit(str(getattr(error, "reason", "") or error) or type(error).__name__)
