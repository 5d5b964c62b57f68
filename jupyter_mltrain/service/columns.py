"""Metric points as binary columns with a min/max pyramid: any window of a million points is cheap, no extreme is lost.

A series (rank and name) is one file of 24-byte points (step int64, time and value float64, little-endian) in the order
they arrived, and one of blocks: for each `BLOCK` points the positions of the smallest and the largest finite value, and of
the first that is not finite. A window is drawn from blocks where one block is smaller than a pixel, else from points; so its cost depends on the number of pixels.
Exact values (integers above 2⁵³, strings) stay in the stream files; columns are for charts and can be made anew from them.
"""

from __future__ import annotations

import bisect
import json
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

POINT = np.dtype([("step", "<i8"), ("time", "<f8"), ("value", "<f8")])
BLOCK = 128
_BLOCK = np.dtype([("low", "<i8"), ("high", "<i8"), ("odd", "<i8")])
_FORMAT = 2
"""Of the index and the blocks; columns of another format are made anew from the streams."""

_STEP_LIMIT = 2**62

Points = NDArray[Any]


@dataclass
class Summary:
    """What is known of a series without reading it."""

    count: int = 0
    last: float | None = None
    last_step: int | None = None
    min: float | None = None
    min_step: int | None = None
    max: float | None = None
    max_step: int | None = None
    steps_ordered: bool = True
    """Steps never went back: a window by step is a slice."""
    times_ordered: bool = True
    last_time: float = -math.inf

    def add(self, points: Points) -> None:
        steps, values = points["step"], points["value"]
        if self.steps_ordered:
            self.steps_ordered = _rising(steps, -math.inf if self.last_step is None else self.last_step)
        if self.times_ordered:
            self.times_ordered = _rising(points["time"], self.last_time)
        self.count += len(points)
        self.last, self.last_step, self.last_time = float(values[-1]), int(steps[-1]), float(points["time"][-1])
        finite = np.isfinite(values)
        if finite.any():
            at = np.flatnonzero(finite)
            low, high = at[np.argmin(values[at])], at[np.argmax(values[at])]
            if self.min is None or values[low] < self.min:
                self.min, self.min_step = float(values[low]), int(steps[low])
            if self.max is None or values[high] > self.max:
                self.max, self.max_step = float(values[high]), int(steps[high])


@dataclass
class Window:
    """Points to draw, in the axis' order; `total` is how many the window really has."""

    total: int
    points: Points = field(default_factory=lambda: np.empty(0, POINT))


class Columns:
    """The columns of one run. `append` collects in memory, `flush` writes; a crash in between loses nothing, since
    `flush` ends with the source offsets up to which the columns are true, and reading starts from there again.

    One thread at a time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.offsets: dict[str, int] = {}
        """Bytes of each stream file that are in the columns."""
        self.series: dict[tuple[int, str], Summary] = {}
        self.extra: dict[str, Any] = {}
        """What else the reader of the streams wants kept in step with the offsets (JSON)."""
        self._index: dict[tuple[int, str], int] = {}
        self._pending: dict[tuple[int, str], list[Points]] = {}
        self._written: dict[tuple[int, str], int] = {}
        """Points of each series in its file that count; what lies behind them is of a flush that failed half-way."""
        self._load()

    def append(
        self, key: tuple[int, str], steps: Sequence[int | None], times: Sequence[float], values: Sequence[float]
    ) -> None:
        """Add points of a series, in order. A step of None is numbered after the series' own count."""
        summary = self.series.get(key)
        if summary is None:
            summary = self.series[key] = Summary()
            self._index[key] = len(self._index)
        points = np.empty(len(steps), POINT)
        if None in steps:
            steps = [summary.count + i if s is None else s for i, s in enumerate(steps)]
        try:
            points["step"] = steps
        except OverflowError:
            points["step"] = [max(-_STEP_LIMIT, min(_STEP_LIMIT, int(s))) for s in steps if s is not None]
        points["time"] = times
        try:
            points["value"] = values
        except OverflowError:
            points["value"] = [_float(v) for v in values]
        summary.add(points)
        self._pending.setdefault(key, []).append(points)

    def flush(self) -> None:
        """Write what is pending, then, atomically, the index that makes it count."""
        self._folder.mkdir(exist_ok=True)
        for key, parts in self._pending.items():
            number = self._index[key]
            with self._file(number, "points").open("ab") as file:
                file.truncate(self._written.get(key, 0) * POINT.itemsize)
                file.writelines(part.tobytes() for part in parts)
            self._cut(self._file(number, "blocks"), self._written.get(key, 0) // BLOCK * _BLOCK.itemsize)
            self._extend_blocks(number, self.series[key].count)
        index = {
            "format": _FORMAT,
            "offsets": self.offsets,
            "extra": self.extra,
            "series": [
                {"rank": rank, "name": name, "number": self._index[rank, name], **vars(summary)}
                for (rank, name), summary in self.series.items()
            ],
        }
        draft = self._folder / "index.new"
        draft.write_text(json.dumps(index), encoding="utf-8")
        draft.replace(self._folder / "index.json")
        self._written = {key: summary.count for key, summary in self.series.items()}
        self._pending.clear()

    def window(
        self,
        key: tuple[int, str],
        *,
        axis: str = "step",
        start: float | None = None,
        stop: float | None = None,
        pixels: int = 1000,
    ) -> Window:
        """At most about `4 * pixels` points of a series with `start <= axis <= stop`: for each pixel its smallest,
        largest, first and last point and the first that is not finite, and every point where there are few. A series that
        is not there gives an empty window.
        """
        summary = self.series.get(key)
        if summary is None:
            return Window(0)
        points = self._whole_points(key)
        if summary.steps_ordered if axis == "step" else summary.times_ordered:
            first, last = _slice(points[axis], start, stop)
            return self._thin(key, points, first, last, pixels)
        # Out of order (several processes, a script that went back): sort what the window takes.
        along = points[axis]
        inside = np.ones(len(points), bool)
        if start is not None:
            inside &= along >= start
        if stop is not None:
            inside &= along <= stop
        chosen = points[inside]
        chosen = chosen[np.argsort(chosen[axis], kind="stable")]
        return Window(len(chosen), chosen[_extremes(chosen["value"], max(1, math.ceil(len(chosen) / pixels)))])

    def passed(
        self, key: tuple[int, str], steps: Sequence[int], since: float = 0.0
    ) -> list[tuple[float, float | None] | None]:
        """For each step when the series came to it (between two points as if its pace were even), and when it first had
        one beyond it, if it had. Only what came at `since` (seconds since the epoch) or later counts. None for a step that
        it did not come to, and for all where its steps went back: nobody knows then which pass is meant."""
        summary = self.series.get(key)
        if summary is None:
            return [None for _ in steps]
        points = self._whole_points(key)
        if not summary.steps_ordered:
            points = points[points["time"] >= since]
            if np.any(np.diff(points["step"]) < 0):
                return [None for _ in steps]
        return [_passed(points, step) for step in steps]

    def tail(self, key: tuple[int, str], count: int) -> Points:
        """The last points of a series, at most so many."""
        return self._whole_points(key)[-count:] if key in self.series else np.empty(0, POINT)

    def _whole_points(self, key: tuple[int, str]) -> Points:
        if self._pending:
            with suppress(OSError):  # a full disk: what is in memory can be shown all the same
                self.flush()
        return self._points(key)

    def _thin(self, key: tuple[int, str], points: Points, first: int, last: int, pixels: int) -> Window:
        total = last - first
        bucket = max(1, math.ceil(total / pixels))
        if bucket < 2 * BLOCK:
            return Window(total, points[first:last][_extremes(points["value"][first:last], bucket)])
        # Whole blocks from the pyramid, the ragged ends from the points.
        blocks = self._blocks(key)
        low_block, high_block = -(-first // BLOCK), min(last // BLOCK, len(blocks))
        inner = blocks[low_block:high_block]
        per_pixel = max(1, bucket // BLOCK)
        candidates = np.concatenate([inner["low"], inner["high"], inner["odd"]])
        candidates = np.sort(candidates[candidates >= 0])
        if len(candidates):
            together = math.ceil(len(candidates) * per_pixel / len(inner))
            candidates = candidates[_extremes(points["value"][candidates], together)]
        ends = np.concatenate(
            [np.arange(first, min(low_block * BLOCK, last)), np.arange(max(high_block * BLOCK, first), last)]
        )
        ends = ends[_extremes(points["value"][ends], bucket)] if len(ends) else ends
        return Window(
            total, points[np.unique(np.concatenate([[first], candidates, ends, [last - 1]]).astype(np.int64))]
        )

    def _points(self, key: tuple[int, str]) -> Points:
        path, written = self._file(self._index[key], "points"), self._written.get(key, 0)
        points = _mapped(path, POINT, written)
        return np.concatenate([points, *self._pending[key]]) if key in self._pending else points

    def _extend_blocks(self, number: int, count: int) -> None:
        path = self._file(number, "blocks")
        done = path.stat().st_size // _BLOCK.itemsize if path.exists() else 0
        full = count // BLOCK
        if full <= done:
            return
        values = np.memmap(self._file(number, "points"), POINT, "r")["value"][done * BLOCK : full * BLOCK].reshape(
            -1, BLOCK
        )
        finite = np.isfinite(values)
        base = np.arange(done, full) * BLOCK
        blocks = np.empty(full - done, _BLOCK)
        blocks["low"] = base + np.where(finite, values, np.inf).argmin(axis=1)
        blocks["high"] = base + np.where(finite, values, -np.inf).argmax(axis=1)
        for name in ("low", "high"):
            blocks[name][~finite.any(axis=1)] = -1
        blocks["odd"] = np.where(finite.all(axis=1), -1, base + finite.argmin(axis=1))
        with path.open("ab") as file:
            file.write(blocks.tobytes())

    def _blocks(self, key: tuple[int, str]) -> Points:
        count = self._written.get(key, 0) // BLOCK
        return _mapped(self._file(self._index[key], "blocks"), _BLOCK, count)

    def _file(self, number: int, kind: str) -> Path:
        return self._folder / f"{number}.{kind}"

    def _load(self) -> None:
        try:
            index: dict[str, Any] = json.loads((self._folder / "index.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            index = {"offsets": {}, "extra": {}, "series": []}
        if index.get("format", _FORMAT) != _FORMAT or not all(
            self._whole(entry["number"], entry["count"]) for entry in index["series"]
        ):
            # Of an older version, or a file is gone or cut short (a power cut): all is made anew from the streams.
            index = {"offsets": {}, "extra": {}, "series": []}
        self.offsets = index["offsets"]
        self.extra = index["extra"]
        for entry in index["series"]:
            key = (entry.pop("rank"), entry.pop("name"))
            number = self._index[key] = entry.pop("number")
            summary = self.series[key] = Summary(**entry)
            self._written[key] = summary.count
            self._cut(self._file(number, "points"), summary.count * POINT.itemsize)
            self._cut(self._file(number, "blocks"), summary.count // BLOCK * _BLOCK.itemsize)
        # Files of series that were not yet in the index when the service was killed.
        numbers = set(self._index.values())
        if self._folder.is_dir():
            for path in self._folder.glob("*.*"):
                if path.suffix in {".points", ".blocks"} and int(path.stem) not in numbers:
                    path.unlink()

    def _whole(self, number: int, count: int) -> bool:
        for kind, size in (("points", count * POINT.itemsize), ("blocks", count // BLOCK * _BLOCK.itemsize)):
            path = self._file(number, kind)
            if size and (not path.exists() or path.stat().st_size < size):
                return False
        return True

    @staticmethod
    def _cut(path: Path, size: int) -> None:
        if path.exists() and path.stat().st_size > size:
            with path.open("r+b") as file:
                file.truncate(size)


def _mapped(path: Path, kind: np.dtype[Any], count: int) -> Points:
    # As a plain array: what is taken out of a memmap, even one number, is wrapped as another, slowly.
    return np.asarray(np.memmap(path, kind, "r", shape=count)) if count else np.empty(0, kind)


def _rising(along: NDArray[Any], before: float) -> bool:
    return bool(along[0] >= before and np.all(along[1:] >= along[:-1]))


def _slice(along: NDArray[Any], start: float | None, stop: float | None) -> tuple[int, int]:
    # Not np.searchsorted: it would first copy the whole column, to have it in one piece and of the bound's type.
    first = 0 if start is None else bisect.bisect_left(along, start)
    last = len(along) if stop is None else bisect.bisect_right(along, stop)
    return first, max(first, last)


def _passed(points: Points, step: int) -> tuple[float, float | None] | None:
    steps, times = points["step"], points["time"]
    at = bisect.bisect_left(steps, step)
    if at == len(steps):
        return None
    beyond = bisect.bisect_right(steps, step)
    after = float(times[beyond]) if beyond < len(steps) else None
    then = float(times[at])
    if at and steps[at] != step:
        before = int(steps[at - 1])
        then -= (then - float(times[at - 1])) * (int(steps[at]) - step) / (int(steps[at]) - before)
    return then, after


def _extremes(values: NDArray[Any], bucket: int) -> NDArray[np.int64]:
    """Positions of each bucket's first, last, smallest and largest value and of its first that is not finite, in order."""
    count = len(values)
    if bucket <= 4 or count == 0:
        return np.arange(count)
    whole = count // bucket * bucket
    grid = values[:whole].reshape(-1, bucket)
    finite = np.isfinite(grid)
    base = np.arange(0, whole, bucket)
    low = base + np.where(finite, grid, np.inf).argmin(axis=1)
    high = base + np.where(finite, grid, -np.inf).argmax(axis=1)
    odd = (base + finite.argmin(axis=1))[~finite.all(axis=1)]
    rest = np.arange(whole, count)
    if len(rest) > 4:
        tail = values[whole:]
        finite = np.isfinite(tail)
        ends = [
            0,
            len(tail) - 1,
            int(np.where(finite, tail, np.inf).argmin()),
            int(np.where(finite, tail, -np.inf).argmax()),
            int(finite.argmin()),
        ]
        rest = whole + np.array(ends)
    return np.unique(np.concatenate([base, base + bucket - 1, low, high, odd, rest]))


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
