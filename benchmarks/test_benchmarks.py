"""That the figures are figures: `pytest benchmarks`. The smoke test of the whole is `python -m benchmarks --quick`."""

import random
import statistics

import pytest

from benchmarks.samples import in_turns, median_difference, upper_bound
from benchmarks.table import Row, render


def test_the_bound_covers_the_true_mean_nineteen_times_in_twenty():
    chance = random.Random(1)
    covered = sum(upper_bound([chance.gauss(0.02, 0.05) for _ in range(12)]) >= 0.02 for _ in range(2000))
    assert covered / 2000 == pytest.approx(0.95, abs=0.015)


def test_turns_alternate_so_that_a_drift_falls_on_both():
    order: list[str] = []
    clock = iter(range(100))

    def taken(name: str) -> float:
        order.append(name)
        return float(next(clock))

    a, b = in_turns(4, lambda: taken("a"), lambda: taken("b"))
    assert order == ["a", "b", "b", "a", "a", "b", "b", "a"]
    assert statistics.fmean(a) == statistics.fmean(b)
    assert median_difference(a, b) == 0


def test_a_missed_bar_shows():
    table = render([Row("start", "2.0 s", "≤ 1 s", "bare 0.5 s", kept=False), Row("idle", "1 %", "", "", kept=None)])
    assert "MISSED" in table.splitlines()[2]
    assert "–" in table.splitlines()[3]
