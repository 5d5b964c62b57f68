"""What of a run's state goes into a notebook that will be shared."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mltrain.widgets.bounds import bounded_state, clean, short_paths


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('File "/home/ann/ws/.mltrain/runs/r_1_ab/work/cell.py", line 3', 'File "cell.py", line 3'),
        ("/home/ann/ws/.mltrain/runs/r_1_ab/outputs/model", "outputs/model"),
        ("/opt/env/lib/python3.11/site-packages/keras/src/trainer.py:377", "…/keras/src/trainer.py:377"),
        ("no file /home/ann/data/train.csv here", "no file …/train.csv here"),
        ("cannot open ~/secret/place/key.pem", "cannot open …/key.pem"),
        ("see https://example.org/a/b/c.html", "see https://example.org/a/b/c.html"),
        ("cloned https://ann:token@example.org/r.git", "cloned https://example.org/r.git"),
        ("epoch 3/20, 10/938 steps, and/or", "epoch 3/20, 10/938 steps, and/or"),
        ("outputs/model/saved_model.pb", "outputs/model/saved_model.pb"),
    ],
)
def test_paths_of_the_machine_do_not_leave_it(text, shown):
    assert short_paths(text) == shown


def test_only_what_the_card_shows_is_kept(completed):
    state, _ = completed
    state |= {
        "environment_variables": {"TOKEN": "hunter2"},
        "source_directory": "/home/ann/ws",
        "spec": {"secrets": ["K"]},
    }
    state["environment"] |= {"python": "/home/ann/env/bin/python", "variables": {"A": "hunter2"}}
    kept = bounded_state(state)
    text = json.dumps(kept)
    assert "hunter2" not in text
    assert "/home" not in text
    assert "history" not in kept
    assert kept["environment"] == {"name": "tensorflow", "version": 3, "key": "9f2c4e1a7b60d853"}


def test_a_path_in_a_failure_is_shortened_and_the_end_of_a_long_traceback_kept(failed):
    state, _ = failed
    state["failure"]["traceback"] = "x" * 50_000 + '\n  File "/home/ann/a/b.py", line 1\nValueError: last line'
    traceback = bounded_state(state)["failure"]["traceback"]
    assert traceback.endswith('File "…/b.py", line 1\nValueError: last line')
    assert len(traceback) <= 8000


def test_names_of_metrics_are_kept_even_where_they_look_like_paths(completed):
    state, _ = completed
    state["metrics"][0]["name"] = "/train/loss/total"
    assert bounded_state(state)["metrics"][0]["name"] == "/train/loss/total"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3000),
    lambda inner: st.lists(inner, max_size=60) | st.dictionaries(st.text(max_size=20), inner, max_size=5),
    max_leaves=30,
)


@given(json_values)
def test_whatever_a_state_holds_the_result_is_json_and_bounded(value):
    cleaned = clean(value)
    json.dumps(cleaned, allow_nan=False)
    if isinstance(value, str):
        assert len(cleaned) <= 2000
    if isinstance(value, list):
        assert len(cleaned) == min(len(value), 50)


def test_numbers_that_json_cannot_hold_go_by_name():
    assert clean([math.nan, math.inf, -math.inf, 1.5]) == ["NaN", "Infinity", "-Infinity", 1.5]
