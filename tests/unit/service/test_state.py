"""What a view sees of a run."""

from __future__ import annotations

from jupyter_mltrain.service.state import first_of_each


def test_of_each_metric_the_first_rank_that_logged_it_comes_first() -> None:
    series = [{"name": "loss", "rank": rank} for rank in (2, 0, 1)]
    series += [{"name": "examples_per_second", "rank": rank} for rank in (2, 1)] + [{"name": "accuracy", "rank": 0}]
    told = [(one["name"], one["rank"]) for one in first_of_each(series)]
    assert told[:3] == [("loss", 0), ("examples_per_second", 1), ("accuracy", 0)]
    assert sorted(told) == sorted((one["name"], one["rank"]) for one in series)
