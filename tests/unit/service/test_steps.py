"""Who is how far behind, and steady rates: from columns alone."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from jupyter_mltrain.service.columns import Columns
from jupyter_mltrain.service.ingest import Ingest
from jupyter_mltrain.service.scaling import steady
from jupyter_mltrain.service.steps import Pace, paces

Points = list[tuple[int, float]]


async def told(folder: Path, series: dict[tuple[int, str], Points]) -> dict[int, Pace]:
    ingest = Ingest(folder)

    def fill(columns: Columns) -> None:
        for key, points in series.items():
            columns.append(key, [p[0] for p in points], [p[1] for p in points], [7.0] * len(points))

    await ingest.read(fill)
    return await paces(ingest)


async def behind(folder: Path, *ranks: Points) -> list[float | None]:
    found = await told(folder, {(rank, "loss"): points for rank, points in enumerate(ranks)})
    return [found[rank].behind for rank in range(len(ranks))]


async def test_later_by_so_much_at_the_same_step(tmp_path: Path) -> None:
    assert await behind(tmp_path, [(0, 10.0), (1, 20.0)], [(0, 13.0), (1, 24.0)]) == [0.0, 4.0]


async def test_between_two_points_the_fastest_went_at_an_even_pace(tmp_path: Path) -> None:
    assert await behind(tmp_path, [(0, 10.0), (10, 20.0)], [(5, 16.0)]) == [0.0, 1.0]


async def test_who_tells_a_moment_earlier_is_not_behind(tmp_path: Path) -> None:
    assert await behind(tmp_path, [(99, 9.9), (109, 10.9)], [(100, 10.0)]) == [0.0, 0.0]


async def test_who_says_no_more_falls_behind_ever_farther(tmp_path: Path) -> None:
    ahead = [(step, 10.0 + step) for step in range(100)]
    assert await behind(tmp_path, ahead, ahead[:40]) == [0.0, 59.0]


async def test_who_has_said_nothing_since_the_run_began_again(tmp_path: Path) -> None:
    ingest = Ingest(tmp_path)

    def fill(columns: Columns) -> None:
        for rank, points in enumerate(([(8, 10.0), (9, 11.0), (0, 60.0), (1, 61.0)], [(8, 10.0), (9, 12.0)])):
            columns.append((rank, "loss"), *([p[i] for p in points] for i in (0, 1)), [7.0] * len(points))

    await ingest.read(fill)
    assert (await paces(ingest))[0].behind == 51.0, "rank 1 seems ahead by what it did before"
    assert await paces(ingest, since=50.0) == {0: Pace(1, None, None)}
    await ingest.read(lambda columns: columns.append((1, "loss"), [0], [61.5], [7.0]))
    assert await paces(ingest, since=50.0) == {0: Pace(1, 0.0, None), 1: Pace(0, 1.5, None)}


async def test_steps_that_begin_anew_in_each_epoch_tell_nothing(tmp_path: Path) -> None:
    epochs = [(step, 10.0 * epoch + step) for epoch in range(3) for step in range(5)]
    assert await behind(tmp_path, epochs, epochs[:7]) == [None, None]


async def test_steps_that_cannot_be_compared(tmp_path: Path) -> None:
    assert await behind(tmp_path / "one", [(0, 1.0), (1, 2.0)]) == [None], "there is no other"
    assert await behind(tmp_path / "back", [(5, 1.0), (2, 2.0), (9, 3.0)], [(3, 9.0)]) == [None, None], "it went back"
    later = await behind(tmp_path / "later", [(0, 1.0)], [(5, 2.0)])
    assert later == [0.0, 0.0], "who came by no step of the other has no lag"


async def test_what_most_ranks_log_is_compared(tmp_path: Path) -> None:
    found = await told(
        tmp_path,
        {
            (0, "epoch_loss"): [(0, 1.0)], (0, "loss"): [(700, 9.0), (800, 10.0)],
            (1, "loss"): [(700, 11.0)], (2, "other"): [(3, 1.0)],
        },
    )  # fmt: skip
    assert [found[rank].step for rank in range(3)] == [800, 700, 3]
    assert [found[rank].behind for rank in range(3)] == [0.0, 2.0, None]


async def test_a_rate_that_is_no_number_is_none(tmp_path: Path) -> None:
    ingest = Ingest(tmp_path)
    await ingest.read(lambda c: c.append((0, "examples_per_second"), [1], [1.0], [math.nan]))
    assert (await paces(ingest))[0] == Pace(1, None, None)


@pytest.mark.parametrize(
    ("points", "rate"),
    [
        ([(1, 5.0)], 5.0),  # all there is
        ([(1, 5.0), (11, 100.0), (21, 100.0)], 100.0),  # the first is left out
        # 10 batches at 100/s take as long as 30 at 300/s: by time the mean is 200.
        ([(1, 5.0), (11, 100.0), (41, 300.0)], 200.0),
        ([(1, 5.0), (11, math.nan), (21, 0.0), (31, 80.0)], 80.0),
        ([(3, 5.0), (3, 60.0), (1, 60.0)], 60.0),  # steps of a script's own
        ([], None),
    ],
)
async def test_a_steady_rate(points: Points, rate: float | None, tmp_path: Path) -> None:
    columns = Columns(tmp_path)
    if points:
        columns.append((0, "e"), [p[0] for p in points], [0.0] * len(points), [p[1] for p in points])
    assert steady(columns.tail((0, "e"), 100)) == (None if rate is None else pytest.approx(rate))


def test_a_tail_is_the_last_points(tmp_path: Path) -> None:
    columns = Columns(tmp_path)
    columns.append((0, "e"), list(range(10)), [0.0] * 10, [0.0] * 10)
    assert columns.tail((0, "e"), 3)["step"].tolist() == [7, 8, 9]
