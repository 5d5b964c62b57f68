"""TensorBoard's event files below the run's `logs/`, read as they grow: their scalars become the run's metrics.

A script that writes `tf.summary.scalar` or has Keras' TensorBoard callback needs no change. The formats are TensorFlow's:
records (`length, its crc, data, its crc`) of the message `Event`; of that, these fields (message: number name)

    Event: 1 wall_time (double), 2 step (int64), 5 summary      Summary: 1 value (repeated)
    Value: 1 tag, 2 simple_value (float), 8 tensor              TensorProto: 1 dtype, 4 content, 5 float, 6 double, 7 int, 10 int64

Protobuf is no part of the standard library, and nothing else may be needed here.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any, Iterator

MOST = 4 << 20
"""Bytes of event files that one look reads, so that the shim's other duties never wait."""
LARGEST = 64 << 20
"""Bytes of one record; a longer one is damage."""
_DEPTH = 5
_FILES = 200
_NUMBERS = {1: "f", 2: "d", 3: "i", 9: "q"}
"""TensorFlow's DT_FLOAT, DT_DOUBLE, DT_INT32, DT_INT64 as `struct` knows them."""


class EventFiles:
    """The event files below `logs`, whose scalars are appended to the stream file `metrics`."""

    def __init__(self, logs: str, metrics: str) -> None:
        self._logs = logs
        self._metrics = metrics
        self._offsets: dict[str, int] = {}
        self._broken: set[str] = set()

    def read(self, most: int = MOST) -> bool:
        """Bring over what is new, at most so many bytes. Whether there may be more. Raises OSError for a full disk."""
        left = most
        for path in sorted(self._files()):
            if left <= 0:
                return True
            lines, read = self._new(path, left)
            left -= read
            if lines:
                self._append(lines)
            self._offsets[path] = self._offsets.get(path, 0) + read
        return left <= 0

    def _files(self) -> Iterator[str]:
        found = 0
        for folder, folders, names in os.walk(self._logs):
            if folder[len(self._logs) :].count(os.sep) >= _DEPTH:
                folders.clear()
            for name in names:
                if ".tfevents." in name and found < _FILES:
                    found += 1
                    path = os.path.join(folder, name)
                    if path not in self._broken and os.path.isfile(path) and not os.path.islink(path):
                        yield path

    def _new(self, path: str, most: int) -> Any:
        offset = self._offsets.get(path, 0)
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size <= offset:
                return "", 0
            file.seek(offset)
            data = file.read(most)
            if len(data) >= 12:
                (length,) = struct.unpack_from("<Q", data)
                if length > LARGEST:
                    self._broken.add(path)
                    return _said(path, "a record of an impossible length"), 0
                if length + 16 > len(data) and len(data) == most:
                    data += file.read(length + 16 - len(data))
        prefix = os.path.dirname(os.path.relpath(path, self._logs)).replace(os.sep, "/")
        lines, at = [], 0
        try:
            for payload, end in _records(data):
                lines += [_line(prefix, *scalar) for scalar in _scalars(payload)]
                at = end
        except (ValueError, IndexError, struct.error, UnicodeDecodeError) as error:
            self._broken.add(path)
            lines.append(_said(path, f"{type(error).__name__}: {error}"))
        return "".join(lines), at

    def _append(self, lines: str) -> None:
        data = lines.encode("ascii")
        fd = os.open(self._metrics, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            while data:
                data = data[os.write(fd, data) :]
        finally:
            os.close(fd)


def _records(data: bytes) -> Iterator[Any]:
    """Each whole record's content, and where it ends."""
    at = 0
    while at + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        end = at + 16 + length
        if length > LARGEST:
            raise ValueError("a record of an impossible length")
        if end > len(data):
            return
        yield data[at + 12 : end - 4], end
        at = end


def _scalars(event: bytes) -> Iterator[Any]:
    """Tag, step, time and value of each scalar in an `Event`."""
    when, step, summaries = 0.0, 0, []
    for number, value in _fields(event):
        if number == 1:
            (when,) = struct.unpack("<d", value)
        elif number == 2:
            step = value - (1 << 64) if value >= 1 << 63 else value
        elif number == 5:
            summaries.append(value)
    for summary in summaries:
        for number, value in _fields(summary):
            if number == 1:
                tag, scalar = _value(value)
                if tag and scalar is not None:
                    yield tag, step, when, scalar


def _value(message: bytes) -> Any:
    tag, scalar = "", None
    for number, value in _fields(message):
        if number == 1:
            tag = value.decode("utf-8")
        elif number == 2:
            (scalar,) = struct.unpack("<f", value)
        elif number == 8:
            scalar = _tensor(value)
    return tag, scalar


def _tensor(message: bytes) -> Any:
    """The number of a tensor that holds one; None for texts, images, histograms."""
    kind, content = 0, b""
    for number, value in _fields(message):
        if number == 1:
            kind = value
        elif number in (4, 5, 6) and isinstance(value, bytes):
            content = value
        elif number in (7, 10):
            # One number, as it is or packed.
            whole = value if isinstance(value, int) else _varint(value, 0)[0]
            return whole - (1 << 64) if whole >= 1 << 63 else whole
    code = _NUMBERS.get(kind)
    if code is None or len(content) != struct.calcsize(code):
        return None
    return struct.unpack("<" + code, content)[0]


def _fields(message: bytes) -> Iterator[Any]:
    """Number and value of each field: an int, or the bytes of what is longer."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        if at + size > len(message):
            raise ValueError("a field beyond the end of its message")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> Any:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & ((1 << 64) - 1), at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _line(prefix: str, tag: str, step: int, when: float, value: Any) -> str:
    return json.dumps([f"{prefix}/{tag}" if prefix else tag, step, when, value]) + "\n"


def _said(path: str, problem: str) -> str:
    return json.dumps({"k": "unreadable", "bytes": 0, "start": f"{os.path.basename(path)}: {problem}"[:200]}) + "\n"
