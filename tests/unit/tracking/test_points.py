"""Records become MLflow's points, tags and parameters; what it cannot hold exactly is kept as logged."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mltrain.core.mlflow_names import metric_name
from jupyter_mltrain.tracking.points import Converter


def convert(*records, rank=0, counts=None, told=None):
    return Converter(rank, {} if counts is None else counts, [] if told is None else told).convert(list(records))


def kept(converted):
    return [json.loads(line) for line in converted.values]


def test_a_number_is_a_point_with_its_own_time_and_step():
    out = convert(["loss", 7, 1700000000.1239, 0.1], ["loss", 8, 1700000000.123, 3])
    assert out.points == [("loss", 0.1, 1700000000124, 7), ("loss", 3.0, 1700000000123, 8)]
    assert out.values == []


def test_points_without_step_are_numbered_by_the_series_and_go_on_where_they_were():
    counts = {}
    first = convert(["a", None, 1.0, 1], ["b", None, 1.0, 1], ["a", 9, 1.0, 1], counts=counts)
    second = convert(["a", None, 1.0, 1], counts=counts)
    assert [p.step for p in first.points] == [0, 0, 9]
    assert [p.step for p in second.points] == [2]


@pytest.mark.parametrize("value", [math.inf, -math.inf, 2**60, -(2**53) - 1])
def test_what_mlflow_rounds_goes_along_exactly(value):
    out = convert(["x", 1, 2.0, value])
    assert out.points[0].value == float(value)
    assert kept(out) == [{"rank": 0, "record": ["x", 1, 2.0, value]}]


@pytest.mark.parametrize("value", [10**400, "text", None])
def test_what_is_no_double_goes_along_only(value):
    out = convert(["x", 1, 2.0, value])
    assert out.points == []
    assert kept(out) == [{"rank": 0, "record": ["x", 1, 2.0, value]}]


@pytest.mark.parametrize("value", [math.nan, 0.0, -0.0, 5e-324, 2**53, True, 1.7e308])
def test_what_mlflow_holds_exactly_needs_no_copy(value):
    out = convert(["x", 1, 2.0, value])
    assert json.dumps(out.points[0].value) == json.dumps(float(value))
    assert out.values == []


def test_a_list_is_points_and_a_row_a_series_per_column():
    out = convert(
        {"k": "list", "name": "l", "values": [1, 2.5], "t": 3.0},
        {"k": "row", "name": "r", "row": {"a": 1, "b": "x"}, "t": 4},
    )
    assert out.points == [("l", 1.0, 3000, 0), ("l", 2.5, 3000, 1), ("r/a", 1.0, 4000, 0)]
    assert [line["record"]["k"] for line in kept(out)] == ["row"]


def test_labels_become_tags_and_parameters():
    out = convert(
        {"k": "tag", "key": "who", "value": "me"},
        {"k": "tag", "key": "mltrain.run_id", "value": "stolen"},
        {"k": "param", "key": "lr", "value": 0.1},
        {"k": "property", "key": "p", "value": True},
        {"k": "progress", "label": "epoch", "value": 1, "total": 2},
    )
    assert out.tags == {"who": "me", "mltrain:2Erun_id": "stolen", "mltrain.property.p": "true"}
    assert out.params == {"lr": "0.1"}
    assert out.values == []


def test_a_long_label_is_cut_there_and_whole_beside():
    item = {"k": "param", "key": "text", "value": "x" * 10_000}
    out = convert(item)
    assert out.params == {"text": "x" * 6000}
    assert kept(out) == [{"rank": 0, "record": item}]


def test_the_full_name_behind_a_shortened_key_is_told_once():
    told = []
    name = "<" * 300
    first = convert([name, 1, 2.0, 3], [name, 2, 2.0, 3], told=told, rank=2)
    again = convert([name, 3, 2.0, 3], told=told, rank=2)
    key = first.points[0].key
    assert len(key) <= 250
    assert kept(first) == [{"key": key, "name": name}]
    assert again.values == []


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda v: st.lists(v) | st.dictionaries(st.text(), v),
)


@given(st.lists(st.dictionaries(st.sampled_from(["k", "name", "key", "value", "values", "row", "t"]), odd), max_size=5))
def test_no_item_is_too_odd(items):
    out = convert(*[{**item, "k": str(item.get("k"))} for item in items])
    for point in out.points:
        assert point.time >= 0
    for line in out.values:
        json.loads(line)


@given(st.lists(st.tuples(st.text(max_size=8), st.floats()), max_size=20), st.integers(0, 3), st.data())
def test_pieces_convert_like_the_whole(logged, rank, data):
    records = [[name, None, 1.0, value] for name, value in logged]
    whole = convert(*records, rank=rank)
    counts, told, parts = {}, [], []
    cut = data.draw(st.integers(0, len(records)))
    for piece in (records[:cut], records[cut:]):
        parts += convert(*piece, rank=rank, counts=counts, told=told).points
    assert json.dumps(parts) == json.dumps(whole.points)
    assert [metric_name(p.key) for p in parts] == [(name, rank) for name, _ in logged]
