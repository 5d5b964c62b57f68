"""Finding models and endpoints by what is said of them."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_mltrain.api.described import fits

ENTRY = {"tags": {"kind": "good", "empty": ""}, "properties": {"by": "ann"}}


@pytest.mark.parametrize(
    ("tags", "properties", "found"),
    [
        (None, None, True),
        (["kind"], ["by"], True),
        ([["kind", "good"], "empty"], None, True),
        ([["kind", "bad"]], None, False),
        (["by"], None, False),
        (None, [("by", "ann")], True),
        (["kind"], [["by", "bob"]], False),
    ],
)
def test_all_that_is_asked_for_must_fit(tags: Any, properties: Any, found: bool) -> None:
    assert fits(ENTRY, tags, properties) is found
