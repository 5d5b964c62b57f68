"""TensorBoard's event files, as TensorFlow writes them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from jupyter_mltrain.core import records
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import events
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim.events import EventFiles


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def event(*values: bytes, step: int = 0, time: float = 1.5) -> bytes:
    """One record of a file; checksums are not looked at."""
    summary = b"".join(field(1, value) for value in values)
    message = varint(1 << 3 | 1) + struct.pack("<d", time) + varint(2 << 3) + varint(step) + field(5, summary)
    return struct.pack("<QI", len(message), 0) + message + struct.pack("<I", 0)


def old(tag: str, value: float) -> bytes:
    return field(1, tag.encode()) + varint(2 << 3 | 5) + struct.pack("<f", value)


def tensor(tag: str, kind: int, content: bytes) -> bytes:
    return field(1, tag.encode()) + field(8, varint(1 << 3) + varint(kind) + content)


@pytest.fixture
def files(tmp_path: Path) -> EventFiles:
    (tmp_path / "logs" / "train").mkdir(parents=True)
    return EventFiles(str(tmp_path / "logs"), str(tmp_path / "r0-9.metrics"))


def said(tmp_path: Path) -> list[object]:
    path = tmp_path / "r0-9.metrics"
    return list(records.parse(path.read_bytes())[0]) if path.exists() else []


def test_scalars_of_all_kinds(files: EventFiles, tmp_path: Path) -> None:
    path = tmp_path / "logs" / "train" / "events.out.tfevents.1.host.v2"
    path.write_bytes(
        event(old("old", 0.5), step=3, time=7.25)
        + event(tensor("float", 1, field(4, struct.pack("<f", 0.25))), step=4)
        + event(tensor("packed", 1, field(5, struct.pack("<f", 2.0))))
        + event(tensor("double", 2, field(4, struct.pack("<d", 0.1))))
        + event(tensor("whole", 9, field(10, varint(-7))), step=-1)
        + event(tensor("int content", 3, field(4, struct.pack("<i", -3))))
        + event(tensor("a text", 7, field(8, b"words")))
        + event(tensor("histogram", 1, field(4, struct.pack("<3f", 1, 2, 3))))
    )
    assert files.read() is False
    assert said(tmp_path) == [
        ["train/old", 3, 7.25, 0.5],
        ["train/float", 4, 1.5, 0.25],
        ["train/packed", 0, 1.5, 2.0],
        ["train/double", 0, 1.5, 0.1],
        ["train/whole", -1, 1.5, -7],
        ["train/int content", 0, 1.5, -3],
    ]


def test_a_file_that_grows_is_read_on_and_a_torn_record_waited_for(files: EventFiles, tmp_path: Path) -> None:
    path = tmp_path / "logs" / "events.out.tfevents.1"
    whole = event(old("loss", 1.0), step=1) + event(old("loss", 2.0), step=2)
    for size in range(1, len(whole) + 1):
        path.write_bytes(whole[:size])
        files.read()
    assert said(tmp_path) == [["loss", 1, 1.5, 1.0], ["loss", 2, 1.5, 2.0]]


def test_a_look_reads_no_more_than_it_may(files: EventFiles, tmp_path: Path) -> None:
    one = event(old("loss", 1.0))
    (tmp_path / "logs" / "events.out.tfevents.1").write_bytes(one * 100)
    assert files.read(10 * len(one)) is True
    assert len(said(tmp_path)) == 10
    while files.read(10 * len(one)):
        pass
    assert len(said(tmp_path)) == 100


def test_a_record_longer_than_a_look_is_read(files: EventFiles, tmp_path: Path) -> None:
    large = event(tensor("image", 7, field(8, bytes(5000))), step=1)
    (tmp_path / "logs" / "events.out.tfevents.1").write_bytes(large + event(old("loss", 1.0)))
    for _ in range(3):
        files.read(100)
    assert said(tmp_path) == [["loss", 0, 1.5, 1.0]]


@pytest.mark.parametrize(
    "damage",
    [
        struct.pack("<QI", 1 << 60, 0) + b"x" * 100,
        struct.pack("<QI", 4, 0) + b"\x0d\xff\xff\xff" + bytes(4),
        struct.pack("<QI", 12, 0) + b"\xff" * 12 + bytes(4),
        struct.pack("<QI", 2, 0) + b"\x2a\x7f" + bytes(4),
    ],
)
def test_a_damaged_file_is_told_once_and_left(files: EventFiles, tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "logs" / "events.out.tfevents.1").write_bytes(event(old("loss", 1.0)) + damage)
    (tmp_path / "logs" / "events.out.tfevents.2").write_bytes(event(old("other", 2.0)))
    for _ in range(3):
        files.read()
    found = said(tmp_path)
    assert [one for one in found if isinstance(one, list)] == [["loss", 0, 1.5, 1.0], ["other", 0, 1.5, 2.0]]
    (told,) = [one for one in found if isinstance(one, dict)]
    assert told["k"] == records.UNREADABLE
    assert "tfevents.1" in told["start"]


def test_links_deep_folders_and_other_files_are_left(files: EventFiles, tmp_path: Path) -> None:
    outside = tmp_path / "events.out.tfevents.outside"
    outside.write_bytes(event(old("outside", 1.0)))
    (tmp_path / "logs" / "events.out.tfevents.link").symlink_to(outside)
    deep = tmp_path.joinpath("logs", *"abcdefg")
    deep.mkdir(parents=True)
    (deep / "events.out.tfevents.deep").write_bytes(event(old("deep", 1.0)))
    (tmp_path / "logs" / "train.log").write_text("text")
    files.read()
    assert said(tmp_path) == []


def test_not_a_number(files: EventFiles, tmp_path: Path) -> None:
    (tmp_path / "logs" / "events.out.tfevents.1").write_bytes(event(old("loss", float("nan"))))
    files.read()
    line = (tmp_path / "r0-9.metrics").read_text()
    assert line == json.dumps(["loss", 0, 1.5, float("nan")]) + "\n"
    assert events.MOST > 1 << 20
