from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mltrain.commands.template import fill, left_alone
from jupyter_mltrain.errors import UsageError

NAMES: dict[str, Any] = {
    "lr": 0.1,
    "n": 3,
    "path": Path("/data/x"),
    "text": "two words",
    "layers": [64, 32],
    "on": True,
}


@pytest.mark.parametrize(
    ("token", "filled"),
    [
        ("{lr}", "0.1"),
        ("--lr={lr}", "--lr=0.1"),
        ("{n}x{n}", "3x3"),
        ("{path}/out", "/data/x/out"),
        ("{text}", "two words"),
        ("{layers}", "[64, 32]"),
        ("{on}", "True"),
        ('{"lr": {lr}}', '{"lr": 0.1}'),
        ('{"a": {"b": [1]}}', '{"a": {"b": [1]}}'),
        ('{"n":{n},"m":{"lr":{lr}}}', '{"n":3,"m":{"lr":0.1}}'),
        ("{{lr}}", "{lr}"),
        ("{{{lr}}}", "{0.1}"),
        ("{}", "{}"),
        ("{0}", "{0}"),
        ("{a,b}", "{a,b}"),
        ("{n:02d}", "{n:02d}"),
        ("{lr.real}", "{lr.real}"),
        ("{None}", "{None}"),
        ("{lambda}", "{lambda}"),
        ("$HOME ${n}", "$HOME $3"),
        ("{ lr }", "{ lr }"),
    ],
)
def test_what_is_filled_in(token: str, filled: str) -> None:
    assert fill([token], NAMES) == [filled]


def test_numpy_scalars_are_numbers() -> None:
    values = {"a": np.float32(0.5), "b": np.int64(3), "c": np.float64(0.1), "d": np.bool_(True)}
    assert fill(["{a}", "{b}", "{c}", "{d}"], values) == ["0.5", "3", "0.1", "True"]


def test_an_unknown_name_is_an_error_that_names_it_and_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        fill(["--x", "{layer}"], NAMES)
    assert "{layer}" in caught.value.message
    assert "{layers}" in caught.value.mend


@pytest.mark.parametrize("value", [object(), np.zeros((60000, 784)), np.zeros(3), [np.zeros(2)], {1, 2}.__iter__()])
def test_what_has_no_text_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="no text that a script could read"):
        fill(["{x}"], {"x": value})


def test_nothing_is_evaluated() -> None:
    ran: list[int] = []
    fill(["{ran.append(1)}", "{ran.append(1)!r}", "{__import__('os')}"], {"ran": ran, "__import__": __import__})
    assert ran == []


def test_what_looks_meant_is_told() -> None:
    assert left_alone(["{cfg.lr}", "{lr:.2f}", "{x[0]}", "{f(1)}", '{"a": 1}', "{lr}", "{}"]) == [
        "{cfg.lr}",
        "{lr:.2f}",
        "{x[0]}",
        "{f(1)}",
    ]


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.recursive(
            st.integers() | st.text(max_size=5) | st.none(),
            lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=3), x, max_size=3),
        ),
    )
)
def test_json_is_left_as_it_is(value: Any) -> None:
    token = json.dumps(value)
    if "{" not in token.replace('{"', "").replace("{}", ""):  # no text of ours inside that is a field itself
        assert fill([token], {}) == [token]


@given(st.text(), st.text(alphabet="{}ab\"': ,"))
def test_a_value_is_taken_as_it_is_and_stays_one_token(value: str, other: str) -> None:
    assert fill(["{x}"], {"x": value}) == [value]
    assert fill(["<{x}>"], {"x": other}) == [f"<{other}>"]


@given(st.text(alphabet="{}lrx9 \"'"))
def test_any_token_gives_one_token_or_a_usage_error(token: str) -> None:
    try:
        assert len(fill([token], {"lr": 1})) == 1
    except UsageError as error:
        assert "there is no variable" in error.message  # noqa: PT017


@given(st.from_regex(r"\A[a-z_]{1,6}\Z"))
def test_doubled_braces_stand_for_themselves(name: str) -> None:
    if name not in {
        "as",
        "if",
        "in",
        "is",
        "or",
        "and",
        "not",
        "for",
        "def",
        "del",
        "try",
        "pass",
        "from",
        "else",
        "elif",
        "with",
        "async",
        "await",
        "break",
        "class",
        "while",
        "yield",
        "raise",
        "return",
        "except",
        "global",
        "import",
        "lambda",
        "assert",
    }:
        assert fill(["{{" + name + "}}"], {}) == ["{" + name + "}"]
