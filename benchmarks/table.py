"""The one table that a run of the benchmarks prints."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

_HEADS = ("what", "measured", "bar", "verdict", "baseline, same run")
_WIDTHS = (44, 30, 22, 8, 46)


@dataclass(frozen=True)
class Row:
    """One bar and what was found. `kept` is None for a figure that has no bar of its own."""

    what: str
    measured: str
    bar: str
    baseline: str
    kept: bool | None

    @property
    def verdict(self) -> str:
        return {True: "kept", False: "MISSED", None: "–"}[self.kept]


def render(rows: list[Row]) -> str:
    """The rows as text, columns aligned, long cells wrapped."""
    lines = [_line(_HEADS), "  ".join("─" * width for width in _WIDTHS)]
    for row in rows:
        cells = (row.what, row.measured, row.bar, row.verdict, row.baseline)
        wrapped = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, _WIDTHS, strict=True)]
        for number in range(max(map(len, wrapped))):
            line = tuple(cell[number] if number < len(cell) else "" for cell in wrapped)
            lines.append(_line(line))
    return "\n".join(lines)


def _line(cells: tuple[str, ...]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()
