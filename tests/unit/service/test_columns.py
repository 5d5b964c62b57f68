"""Columns: exactly once over crashes, and no extreme lost in any window."""

from __future__ import annotations

import math
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mltrain.service.columns import BLOCK, Columns

KEY = (0, "loss")
floats = st.floats(allow_nan=True, allow_infinity=True, width=64)


def fill(folder, values, steps=None, batch=1000):
    columns = Columns(folder)
    steps = list(range(len(values))) if steps is None else steps
    for i in range(0, len(values), batch):
        part = slice(i, i + batch)
        columns.append(KEY, steps[part], [float(s) for s in steps[part]], list(values[part]))
    columns.flush()
    return columns


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 40 * BLOCK),
    spikes=st.lists(st.tuples(st.floats(0, 1), floats), max_size=5),
    window=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    pixels=st.integers(1, 60),
    batch=st.integers(50, 3000),
)
def test_no_extreme_is_lost_in_any_window(tmp_path_factory, seed, count, spikes, window, pixels, batch):
    folder = tmp_path_factory.mktemp("c") / "columns"
    values = np.random.default_rng(seed).normal(size=count)
    for where, value in spikes:
        values[min(count - 1, int(where * count))] = value
    columns = fill(folder, values.tolist(), batch=batch)
    start, stop = sorted(min(count - 1, int(w * count)) for w in window)
    got = columns.window(KEY, start=start, stop=stop, pixels=pixels)
    inside = values[start : stop + 1]
    assert got.total == len(inside)
    assert len(got.points) <= 5 * pixels + 5 * BLOCK + 16
    finite = inside[np.isfinite(inside)]
    if len(finite):
        shown = got.points["value"][np.isfinite(got.points["value"])]
        assert shown.min() == finite.min()
        assert shown.max() == finite.max()
    assert np.isfinite(inside).all() == np.isfinite(got.points["value"]).all(), "what is not finite is marked"
    assert got.points["step"][0] == start
    assert got.points["step"][-1] == stop
    # Every point shown is a true one, once, in order.
    assert np.all(np.diff(got.points["step"]) > 0)
    np.testing.assert_array_equal(got.points["value"], values[got.points["step"]])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(-(2**62), 2**62), floats), min_size=1, max_size=300), st.integers(1, 400))
def test_steps_out_of_order_are_sorted_and_kept(tmp_path_factory, points, pixels):
    folder = tmp_path_factory.mktemp("c") / "columns"
    columns = fill(folder, [v for _, v in points], [s for s, _ in points])
    got = columns.window(KEY, pixels=pixels)
    assert got.total == len(points)
    assert list(got.points["step"]) == sorted(got.points["step"])
    if pixels >= len(points):
        assert sorted(map(repr, got.points["value"].tolist())) == sorted(repr(float(v)) for _, v in points)


def test_values_are_lossless(tmp_path):
    odd = [0.1, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan, 1e16 + 2]
    got = fill(tmp_path / "c", odd).window(KEY).points["value"]
    assert [repr(v) for v in got.tolist()] == [repr(v) for v in odd]


def test_a_crash_between_data_and_index_counts_nothing_twice(tmp_path):
    columns = fill(tmp_path / "c", [float(i) for i in range(1000)])
    columns.offsets["r0-1.metrics"] = 100
    columns.flush()
    shutil.copytree(tmp_path / "c", tmp_path / "before")
    columns.append(KEY, list(range(1000, 3000)), [0.0] * 2000, [1.0] * 2000)
    columns.append((1, "new"), [0], [0.0], [1.0])
    columns.offsets["r0-1.metrics"] = 200
    columns.flush()
    # The kill: points and blocks are longer than the index says, and a series is there that it does not know.
    shutil.copy(tmp_path / "before" / "index.json", tmp_path / "c" / "index.json")
    again = Columns(tmp_path / "c")
    assert again.offsets == {"r0-1.metrics": 100}
    assert again.series[KEY].count == 1000
    assert list(again.series) == [KEY]
    again.append(KEY, [1000], [0.0], [7.0])
    again.append((2, "other"), [0], [0.0], [9.0])
    again.flush()
    last = Columns(tmp_path / "c")
    assert last.window(KEY, start=999).points["value"].tolist() == [999.0, 7.0]
    assert last.window((2, "other")).points["value"].tolist() == [9.0]


def test_one_value_among_many_that_is_not_a_number_is_seen(tmp_path):
    values = [float(i) for i in range(200 * BLOCK)]
    values[9000] = math.nan
    got = fill(tmp_path / "c", values).window(KEY, pixels=20)
    assert 9000 in got.points["step"]
    assert len(got.points) < 150


def test_columns_of_an_older_version_are_made_anew(tmp_path):
    fill(tmp_path / "c", [1.0, 2.0])
    index = tmp_path / "c" / "index.json"
    index.write_text(index.read_text().replace('"format": 2', '"format": 1'))
    again = Columns(tmp_path / "c")
    assert again.series == {}
    assert again.offsets == {}, "the streams are read from their beginning"
    assert not list((tmp_path / "c").glob("*.points"))


def test_steps_that_are_missing_are_counted(tmp_path):
    columns = Columns(tmp_path / "c")
    columns.append(KEY, [None, None], [0.0, 1.0], [5.0, 6.0])
    columns.append(KEY, [None], [2.0], [7.0])
    assert columns.window(KEY).points["step"].tolist() == [0, 1, 2]


def test_integers_beyond_float_and_step_range_do_not_break_ingestion(tmp_path):
    columns = Columns(tmp_path / "c")
    columns.append(KEY, [0, 2**70], [0.0, 1.0], [2**60, 10**400])
    got = columns.window(KEY).points
    assert got["value"].tolist() == [float(2**60), math.inf]
    assert got["step"][1] == 2**62


def test_summary_knows_extremes_and_last(tmp_path):
    columns = fill(tmp_path / "c", [3.0, math.nan, -1.0, 9.0, math.inf, 2.0])
    summary = Columns(tmp_path / "c").series[KEY]
    assert (summary.count, summary.last, summary.min, summary.min_step, summary.max, summary.max_step) == (
        6,
        2.0,
        -1.0,
        2,
        9.0,
        3,
    )
    assert columns.window((0, "unknown")).total == 0


@pytest.mark.parametrize("axis", ["step", "time"])
def test_windows_by_step_and_time(tmp_path, axis):
    columns = fill(tmp_path / "c", [float(i) for i in range(100)])
    assert columns.window(KEY, axis=axis, start=10, stop=12).points["value"].tolist() == [10.0, 11.0, 12.0]
