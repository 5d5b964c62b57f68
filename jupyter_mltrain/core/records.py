"""What a run logged: the JSON lines of a `streams/r<rank>-<pid>.metrics` file, read back.

A file is appended to by one `write` per record and may be read at any moment, so a reader gets some whole lines and
perhaps the start of one more. `parse` takes whole lines and says how many bytes they were; the caller keeps that
number as its offset and comes back with the rest. What is no record (torn by a crash, or written by something else)
costs that line only, and is told, not hidden.
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeAlias

Scalar: TypeAlias = list[Any]
"""`[name: str, step: int | None, time: float, value: float | int | str | bool | None]`; time in seconds since the epoch."""

Item: TypeAlias = dict[str, Any]
"""Anything else: `{"k": kind, …, "t": seconds since the epoch}`. A reader ignores the kinds it does not know."""

MAX_RECORD = 64 << 20
"""Bytes. A line that is still unfinished at this length is given up, so that a reader's memory stays bounded."""

UNREADABLE = "unreadable"
"""Kind of the item that stands for a line which is no record: `{"k": "unreadable", "bytes": length, "start": text}`."""

_FILE = re.compile(r"r(\d{1,9})-(\d{1,19})\.metrics", re.ASCII)
_SYSTEM = re.compile(r"r(\d{1,9})\.system", re.ASCII)
_STEP_LIMIT = 1 << 63
_TIME_LIMIT = 1e11  # the year 5138; NaN and the infinities fail the comparison too

_VALUES = frozenset({float, int, str, bool, type(None)})
_HALF = re.compile("[\ud800-\udfff]")

_decode = json.JSONDecoder().raw_decode


def file_rank(name: str) -> int | None:
    """The rank that wrote the file called `name` (`r0-4711.metrics` → 0), or None if it holds no records."""
    match = _FILE.fullmatch(name)
    return int(match[1]) if match else None


def system_rank(name: str) -> int | None:
    """The rank of which the file called `name` tells what its node was used for (`r0.system` → 0), or None."""
    match = _SYSTEM.fullmatch(name)
    return int(match[1]) if match else None


def parse(data: bytes) -> tuple[list[Scalar | Item], int]:
    """The records in the whole lines of `data`, in order, and the number of bytes those lines were.

    A scalar is a list (`Scalar`), everything else a dict (`Item`): `type(record) is list` tells them apart. Names and
    numbers of a scalar have the types said there; integers in `step` fit 64 bits; text holds no lone surrogates, so
    all of it can be written as UTF-8. Never raises.

    A tail without a newline is left (not counted), unless it is longer than `MAX_RECORD`: then it is consumed and
    given as unreadable, and so is the rest of that line when it comes. About 600,000 scalars a second in pieces of
    64 KiB; larger pieces are slower (garbage collection).
    """
    consumed = data.rfind(b"\n") + 1
    if not consumed:
        return ([_unreadable(data)], len(data)) if len(data) > MAX_RECORD else ([], 0)
    body = data[: consumed - 1]
    try:
        lines = body.decode()
    except UnicodeDecodeError:
        return [record for line in body.split(b"\n") for record in _parse_bytes(line)], consumed
    records: list[Scalar | Item] = []
    add = records.append
    # `\ud800` is how JSON may spell half a character, which nothing can store; only then is every text looked at.
    halves = "\\ud" in lines or "\\uD" in lines
    for line in lines.split("\n"):
        try:
            record, end = _decode(line)
            if end == len(line):
                if type(record) is list:
                    # Written out here, not in a function: this loop is what ingestion waits for.
                    name, step, time, value = record
                    if (
                        type(name) is str
                        and (type(step) is int or step is None)
                        and (step is None or -_STEP_LIMIT <= step < _STEP_LIMIT)
                        and type(time) is not bool
                        and -_TIME_LIMIT < time < _TIME_LIMIT
                        and type(value) in _VALUES
                    ):
                        add(_whole(record) if halves else record)
                        continue
                elif type(record) is dict and type(record.get("k")) is str:
                    add(_whole(record) if halves else record)
                    continue
        except (ValueError, TypeError, RecursionError):
            pass  # told below, with every other line that is no record
        if line.strip():
            add(_unreadable(line.encode()))
    return records, consumed


def _parse_bytes(line: bytes) -> list[Scalar | Item]:
    try:
        line.decode()
    except UnicodeDecodeError:
        return [_unreadable(line)]
    return parse(line + b"\n")[0]


def _unreadable(line: bytes) -> Item:
    return {"k": UNREADABLE, "bytes": len(line), "start": line[:80].decode(errors="replace")}


def _whole(value: Any) -> Any:
    """`value` with U+FFFD for every lone surrogate in its texts."""
    if isinstance(value, str):
        return _HALF.sub("\ufffd", value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, dict):
        return {_whole(key): _whole(each) for key, each in value.items()}
    return value
