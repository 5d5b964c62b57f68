"""One metric as a small SVG chart: axes with labels, a line per rank, markers where a value is not a number.

`js/src/model/chart.ts` computes the same picture for the JupyterLab extension.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from jupyter_mltrain.widgets.formats import number

WIDTH, HEIGHT = 390, 118
TOP, BOTTOM, RIGHT = 6, 16, 4
LARGEST = 1e307
"""Larger values are drawn at this size: beyond it the difference of two finite numbers need not be finite."""
MAX_LINES = 8
MAX_MARKERS = 40

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True)
class Line:
    """The points of one rank. `steps[i]` belongs to `values[i]`; values may be NaN or ±Inf."""

    rank: int
    steps: Sequence[float]
    values: Sequence[float]

    @classmethod
    def of(cls, series: Mapping[str, Any]) -> Line:
        """The line of a payload's series; values that are no numbers at all (text) are left out."""
        points = [
            (float(index if step is None else step), value)
            for index, (step, raw) in enumerate(zip(series["steps"], series["values"], strict=False))
            if (value := as_number(raw)) is not None
        ]
        return cls(int(series.get("rank", 0)), [s for s, _ in points], [v for _, v in points])


def as_number(raw: object) -> float | None:
    """The number that a payload's value stands for ("NaN" and "Infinity" are names of numbers there), or None."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return None
    return _NOT_FINITE.get(raw) if isinstance(raw, str) else float(raw)


def chart_svg(name: str, lines: Sequence[Line], colour: int | None, last: str) -> str:
    """`<svg>` of the lines, coloured by the card's `colour`th series colour, the first strongest; with None each line has
    the colour of its number (`Line.rank`). `last` is said to screen readers."""
    lines = lines[:MAX_LINES]
    finite = [_drawable(v) for line in lines for v in line.values if math.isfinite(v)]
    steps = [s for line in lines for s in line.steps]
    ticks = nice_ticks(*_padded(min(finite, default=0.0), max(finite, default=1.0)))
    low, high = ticks[0], ticks[-1]
    first_step, last_step = min(steps, default=0.0), max(steps, default=1.0)
    labels = [number(t) for t in ticks]
    left = 8 + 5.6 * max(map(len, labels), default=1)

    def x(step: float) -> float:
        share = (step - first_step) / (last_step - first_step) if last_step > first_step else 0.5
        return left + share * (WIDTH - RIGHT - left)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (_drawable(value) - low) / (high - low) * (HEIGHT - BOTTOM - TOP)

    parts = [
        f'<line class="mlt-rule" x1="{left:.1f}" x2="{WIDTH - RIGHT}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>'
        f'<text x="{left - 5:.1f}" y="{y(t) + 3:.1f}" text-anchor="end">{escape(label)}</text>'
        for t, label in zip(ticks, labels, strict=True)
    ]
    for order, line in enumerate(lines):
        strength = "" if order == 0 or colour is None else ' opacity="0.45"'
        tone = (line.rank if colour is None else colour) % 4 + 1
        path = _path((x(s), y(v) if math.isfinite(v) else None) for s, v in zip(line.steps, line.values, strict=True))
        parts.append(f'<path class="mlt-line" stroke="var(--mlt-s{tone})"{strength} d="{path}"/>')
    parts += _markers(lines, x)
    parts.append(f'<text x="{left:.1f}" y="{HEIGHT - 3}">{number(first_step)}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 3}" text-anchor="end">step {number(last_step)}</text>')
    label = escape(f"{name}, last value {last}", quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def nice_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers, 1, 2 or 5 times a power of ten apart, about so many, the first ≤ `low` and the last ≥ `high`."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    return [round(i * step, digits) + 0.0 for i in range(first, last + 1)]


def _drawable(value: float) -> float:
    return min(LARGEST, max(-LARGEST, value))


def _padded(low: float, high: float) -> tuple[float, float]:
    if high > low:
        return low, high
    room = abs(low) * 0.05 or 0.5
    return low - room, low + room


def _path(points: Iterable[tuple[float, float | None]]) -> str:
    # A gap (not a number) lifts the pen; a lone point between gaps is drawn as a dot by its zero-length line.
    drawn, pen = [], False
    for px, py in points:
        if py is None:
            pen = False
            continue
        drawn.append(f"{'L' if pen else 'M'}{px:.1f} {py:.1f}" if pen else f"M{px:.1f} {py:.1f}h.1")
        pen = True
    return "".join(drawn)


def _markers(lines: Sequence[Line], x: Any) -> list[str]:
    found = [(s, v) for line in lines for s, v in zip(line.steps, line.values, strict=True) if not math.isfinite(v)]
    thinned = found[:: -(-len(found) // MAX_MARKERS)] if found else []
    return [_marker(x(step), step, value) for step, value in thinned]


def _marker(px: float, step: float, value: float) -> str:
    # +Inf points up at the top, −Inf down at the bottom, NaN is a diamond on the axis.
    bottom = HEIGHT - BOTTOM
    if value == math.inf:
        shape = f"M{px:.1f} {TOP - 5}l4 7h-8z"
    elif value == -math.inf:
        shape = f"M{px:.1f} {bottom + 4}l4 -7h-8z"
    else:
        shape = f"M{px:.1f} {bottom - 4.5}l4 4l-4 4l-4 -4z"
    return f'<path class="mlt-odd" d="{shape}"><title>{number(value)} at step {number(step)}</title></path>'
