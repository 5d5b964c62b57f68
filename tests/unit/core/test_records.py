"""The parser of a run's records: exact on what the run client writes, unharmed by anything else."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mltrain.core import records
from jupyter_mltrain.core.records import file_rank, parse

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = st.tuples(
    texts,
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.floats(-1e10, 1e10),
    st.floats() | st.integers(-(2**80), 2**80) | texts | st.booleans() | st.none(),
).map(list)
items = st.dictionaries(texts, texts | st.lists(st.floats())).map(lambda d: {**d, "k": "row"})
good_lines = (scalars | items).map(lambda record: json.dumps(record).encode())
any_lines = good_lines | st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"")) | good_lines.map(lambda b: b[:-1])


def key(value):
    """A form in which equal means the same value and type (NaN included, 1 and 1.0 and True told apart)."""
    return json.dumps(value, sort_keys=True)


@given(st.lists(scalars | items))
def test_what_json_dumps_wrote_comes_back_exactly(written):
    data = b"".join(json.dumps(record).encode() + b"\n" for record in written)
    read, consumed = parse(data)
    assert consumed == len(data)
    assert [key(r) for r in read] == [key(w) for w in written]


@given(st.lists(any_lines), st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"")), st.data())
def test_pieces_give_what_the_whole_gives(lines, torn, data):
    whole = b"".join(line + b"\n" for line in lines)
    expected, consumed = parse(whole + torn)
    assert consumed == len(whole)
    found = []
    offset, end = 0, 0
    while offset < len(whole):
        end = data.draw(st.integers(end, len(whole))) if end < len(whole) else end
        read, taken = parse(whole[offset:end])
        found += read
        offset += taken
        end = min(end + 1, len(whole))
    assert key(found) == key(expected)


@given(st.lists(any_lines))
def test_every_line_is_a_record_or_told_as_unreadable(lines):
    read, _ = parse(b"".join(line + b"\n" for line in lines))
    assert len(read) == sum(1 for line in lines if line.decode(errors="replace").strip())
    for record in read:
        if type(record) is list:
            name, step, time, value = record
            assert type(name) is str
            assert step is None or -(2**63) <= step < 2**63
            assert math.isfinite(time)
            assert type(value) in (float, int, str, bool, type(None))
        else:
            assert type(record["k"]) is str
        json.dumps(record, ensure_ascii=False).encode()  # nothing that cannot be stored


@pytest.mark.parametrize(
    "line",
    [
        b'["loss", 1, 2.0]',
        b'["loss", 1, 2.0, 3, 4]',
        b'["loss", 1.5, 2.0, 3]',
        b'["loss", true, 2.0, 3]',
        b'["loss", 1, true, 3]',
        b'["loss", 9223372036854775808, 2.0, 3]',
        b'["loss", 1, NaN, 3]',
        b'["loss", 1, Infinity, 3]',
        b'["loss", 1, "now", 3]',
        b'["loss", 1, 2.0, [3]]',
        b"[1, 1, 2.0, 3]",
        b'["loss", 1, 2.0, 3]["loss", 2, 2.0, 3]',
        b'{"kind": "row"}',
        b'{"k": 1}',
        b'"loss"',
        b"12",
        b"[" * 100_000,
        b'["loss", 1, 2.0, 1' + b"0" * 5000 + b"]",
        b'["lo\xff", 1, 2.0, 3]',
        b"\x00\x00\x00",
    ],
)
def test_a_hostile_line_costs_only_itself(line):
    data = b'["a", 1, 2.0, 3]\n' + line + b'\n["b", null, 2, "x"]\n'
    read, consumed = parse(data)
    assert consumed == len(data)
    assert read[0] == ["a", 1, 2.0, 3]
    assert read[2] == ["b", None, 2, "x"]
    assert read[1]["k"] == records.UNREADABLE
    assert read[1]["bytes"] == len(line)
    assert len(read[1]["start"]) <= 80
    assert len(read) == 3


def test_two_half_records_on_two_lines_are_not_one_record():
    read, _ = parse(b'["a"\n,1,2.0,3]\n')
    assert [r["k"] for r in read] == [records.UNREADABLE] * 2


def test_half_a_character_is_replaced():
    read, _ = parse(b'["a\\ud800b", 1, 2.0, 3]\n{"k": "tag", "key": "\\uDFFF", "value": ["\\ud83d\\ude00"]}\n')
    assert read == [["a\ufffdb", 1, 2.0, 3], {"k": "tag", "key": "\ufffd", "value": ["\U0001f600"]}]


def test_an_endless_line_is_given_up(monkeypatch):
    monkeypatch.setattr(records, "MAX_RECORD", 1000)
    read, consumed = parse(b"[" + b"x" * 998)
    assert (read, consumed) == ([], 0)
    read, consumed = parse(b"[" + b"x" * 1000)
    assert consumed == 1001
    assert read == [{"k": "unreadable", "bytes": 1001, "start": "[" + "x" * 79}]


@pytest.mark.parametrize(
    ("name", "rank"),
    [
        ("r0-4711.metrics", 0),
        ("r12-1.metrics", 12),
        ("r0.log", None),
        ("r0-1.metrics.tmp", None),
        ("r-1-1.metrics", None),
    ],
)
def test_the_rank_is_in_the_name(name, rank):
    assert file_rank(name) == rank
