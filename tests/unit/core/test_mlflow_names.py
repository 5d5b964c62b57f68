"""Names to MLflow's keys and back: every name has a key of its own that MLflow accepts."""

import posixpath
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jupyter_mltrain.core.mlflow_names import LIMIT, is_shortened, metric_key, metric_name, tag_key, tag_name

# Characters that matter are drawn more often than the rest of Unicode.
awkward = st.text(st.sampled_from(":/.%<>_- 0123AFEkrank精🦦\n\0é") | st.characters(), max_size=40)
ranks = st.integers(0, 999_999_999)


def accepted(key):
    """MLflow's own rule (mlflow.utils.validation), stricter by the `$` that lets a newline pass."""
    norm = posixpath.normpath(key)
    resolves = norm != key or norm == "." or norm.startswith(("..", "/"))
    return bool(re.fullmatch(r"[/\w.\- :]*", key)) and not resolves and len(key) <= LIMIT


@given(awkward, ranks)
@example("a:rank3", 0)
@example("a:rank3", 4)
@example("a:3Crank", 0)
@example("::3C", 0)
@example(":", 0)
@example(":FF", 0)
@example("a:FE" + "0" * 32, 0)
@example("../a", 0)
@example("a/./b", 0)
@example("//", 0)
@example("..", 1)
@example("..a", 0)
@example("..a/b", 0)
@example("...", 0)
@example("a\n", 0)
@example("\ud800", 0)
@example("", 3)
def test_a_name_comes_back_from_its_key(name, rank):
    key = metric_key(name, rank)
    assert accepted(key)
    assert not is_shortened(key)
    assert metric_name(key) == (name, rank)


@given(awkward)
@example("mlflow.runName")
@example("mltrain.run_id")
@example("mlflow:2Ex")
def test_a_tag_comes_back_and_never_takes_a_reserved_meaning(name):
    key = tag_key(name)
    assert accepted(key)
    assert not key.startswith(("mlflow.", "mltrain."))
    assert tag_name(key) == name


@given(st.text(min_size=200, max_size=600), ranks)
@example("🦦" * 250, 0)
@example("a/" * 250, 7)
@example("<" * 72 + "x" * 250, 7)
def test_a_long_name_still_has_a_key_of_its_own(name, rank):
    key = metric_key(name, rank)
    assert accepted(key)
    if is_shortened(key):
        assert metric_key(name + "x", rank) != key
        assert metric_key(name, rank + 1 if rank < 999_999_999 else 1) != key
        assert metric_name(key)[1] == rank
    else:
        assert metric_name(key) == (name, rank)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("loss", "loss"),
        ("val/accuracy", "val/accuracy"),
        ("epoch 1: loss", "epoch 1: loss"),
        ("精度", "精度"),
        ("a:b", "a:b"),
        ("lr<0.1", "lr:3C0.1"),
        ("100%", "100:25"),
        ("a//b", "a:2F:2Fb"),
        (":3C", ":3A3C"),
        ("", ":FF"),
        ("<script>", ":3Cscript:3E"),
    ],
)
def test_names_that_mlflow_takes_stay_as_they_are(name, key):
    assert metric_key(name) == key


def test_ranks_are_told_apart():
    assert metric_key("loss", 3) == "loss:rank3"
    assert metric_key("loss:rank3") == "loss:3Arank3"
