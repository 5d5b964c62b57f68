"""Samples of two things taken in turns, so that what else the machine does falls on both alike; and what they say."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

# Student's t, one-sided 95 %, by degrees of freedom; from 30 on the normal distribution's value is near enough.
_T95 = (
    6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812, 1.796, 1.782, 1.771, 1.761, 1.753,
    1.746, 1.740, 1.734, 1.729, 1.725, 1.721, 1.717, 1.714, 1.711, 1.708, 1.706, 1.703, 1.701, 1.699,
)  # fmt: skip


def in_turns(pairs: int, first: Callable[[], T], second: Callable[[], T]) -> tuple[list[T], list[T]]:
    """`pairs` results of each; which one goes first alternates."""
    a: list[T] = []
    b: list[T] = []
    for number in range(pairs):
        for taken, measure in ((a, first), (b, second))[:: -1 if number % 2 else 1]:
            taken.append(measure())
    return a, b


def median_difference(a: Sequence[float], b: Sequence[float]) -> float:
    """The median of the pairs' differences `a - b`."""
    return statistics.median(x - y for x, y in zip(a, b, strict=True))


def upper_bound(samples: Sequence[float]) -> float:
    """The one-sided 95 % confidence bound (Student) of the mean: it is below this, but for one experiment in twenty."""
    freedom = len(samples) - 1
    t = _T95[freedom - 1] if freedom <= len(_T95) else 1.645
    return statistics.fmean(samples) + t * statistics.stdev(samples) / math.sqrt(len(samples))


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if abs(seconds) >= 0.01 else f"{seconds * 1000:.1f} ms"


def spread(samples: Sequence[float]) -> str:
    """Median and range, in the unit that fits."""
    low, high = min(samples), max(samples)
    if high < 1:
        return f"{milliseconds(statistics.median(samples))} ({low * 1000:.0f}–{high * 1000:.0f})"
    return f"{statistics.median(samples):.2f} s ({low:.2f}–{high:.2f})"
