"""The card's two renderers write numbers alike: js/src/model/formats.test.ts reads the same cases."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from jupyter_mltrain.widgets import formats

CASES = json.loads((Path(__file__).parents[2] / "fixtures" / "formats.json").read_text("utf-8"))
NAMED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@pytest.mark.parametrize(
    ("kind", "raw", "expected"), [(k, raw, text) for k, cases in CASES.items() for raw, text in cases]
)
def test_formats(kind, raw, expected):
    assert getattr(formats, kind)(NAMED.get(raw, raw) if kind == "number" else raw) == expected


def test_names_of_numbers_that_json_cannot_hold_read_as_those_numbers():
    assert [formats.number(name) for name in NAMED] == ["NaN", "∞", "−∞"]


def test_a_value_that_is_absent_is_blank():
    assert formats.number(None) == ""
