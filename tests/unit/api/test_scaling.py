"""What `run.scaling()` shows, and what it says where something is not known."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_mltrain.api.scaling import Scaling


def told(**scaling: Any) -> Any:
    one = {"processes": 2, "examples": 1900.0, "per_rank": [1000.0, 900.0], "baseline": None, "efficiency": None}
    return {"ranks": [{}, {}], "failed": None, "examples": None, "scaling": {**one, **scaling}}


def html(found: Any) -> str:
    return found._repr_html_()


BASELINE = {"run_id": "r", "name": "calm-fox-1", "examples": 1000.0}


def test_it_shows_rates_and_efficiency() -> None:
    found = Scaling.of("brave-otter-7", told(baseline=BASELINE, efficiency=0.95))
    assert repr(found).splitlines() == [
        "brave-otter-7:",
        "  processes   2",
        "  examples/s  1,900",
        "  by rank     1,000, 900",
        "  baseline    calm-fox-1, one process: 1,000",
        "  efficiency  95%",
    ]
    assert "<caption>brave-otter-7</caption>" in html(found)


def test_names_are_no_html() -> None:
    assert "<b>" not in html(Scaling.of("<b>", told(baseline={**BASELINE, "name": "<b>"}, efficiency=1.0)))


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        ({**told(), "scaling": None}, "No rank counted its examples: give `fit` the callback"),
        (told(examples=None, per_rank=[5.0, None]), "Nothing was counted on rank 1: "),
        (told(), "No completed run of one process did the same work"),
        (told(baseline={**BASELINE, "examples": None}), "calm-fox-1 did not count its examples"),
        (told(processes=1), "It has one process"),
    ],
)
def test_why_there_is_no_efficiency(answer: Any, note: str) -> None:
    found = Scaling.of("brave-otter-7", answer)
    assert found.efficiency is None
    assert found.note.startswith(note)
    assert "\n" not in found.note
    assert found.note in repr(found)
