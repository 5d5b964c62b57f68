"""What verbs return: small objects that show themselves as text and as HTML. Every string of a user is escaped."""

from __future__ import annotations

import html
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")

_LINE = 500
"""Most characters of a line of text around a table."""


class Table(Generic[Item]):
    """Rows under named columns. Numbers stand right. Iterating gives `items`, the objects behind the rows. As text, a
    cell shows at most `longest` characters."""

    def __init__(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        *,
        items: Sequence[Item] = (),
        title: str = "",
        note: str = "",
        empty: str = "Nothing here yet.",
        longest: int = 60,
    ) -> None:
        self.columns = tuple(columns)
        self.rows = [tuple(row) for row in rows]
        self.items = list(items)
        self.title, self.note, self.empty = title, note, empty
        self.longest = longest

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Item:
        return self.items[index]

    def __repr__(self) -> str:
        title, note = [one_line(self.title, _LINE)], [one_line(line, _LINE) for line in self.note.splitlines()]
        if not self.rows:
            return "\n".join(line for line in (*title, self.empty, *note) if line)
        cells = [
            tuple(one_line(c) for c in self.columns),
            *[tuple(one_line(c, self.longest) for c in row) for row in self.rows],
        ]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.columns))]
        right = [any(is_number(row[i]) for row in self.rows) for i in range(len(self.columns))]
        lines = [
            "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)).rstrip()
            for row in cells
        ]
        return "\n".join(line for line in (*title, *lines, *note) if line)

    def _repr_html_(self) -> str:
        title = f"<caption style='text-align:left;caption-side:top'>{_text(self.title)}</caption>" if self.title else ""
        note = f"<div>{_text(self.note)}</div>" if self.note else ""
        if not self.rows:
            return f"<div>{_text(self.title)} {_text(self.empty)}</div>{note}"
        head = "".join(f"<th style='text-align:left'>{_text(c)}</th>" for c in self.columns)
        body = "".join(f"<tr>{''.join(_cell(c) for c in row)}</tr>" for row in self.rows)
        style = "font-variant-numeric:tabular-nums"
        return f"<table style='{style}'>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}"


class Text:
    """Text that shows itself as it is (a log, a path); in a notebook its ANSI colours are shown."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def one_line(value: object, longest: int = 60) -> str:
    """A cell of a text table: one line, no control characters, at most `longest` characters."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = "".join(c if c.isprintable() else "·" for c in str(value))
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def size(count: float | None) -> str:
    """Bytes for people: `0 B`, `12.3 kB`, `1.2 GB` (powers of 1000)."""
    if count is None:
        return ""
    if count < 1000:
        return f"{count:.0f} B"
    power = min(int(math.log10(count) // 3), 5)
    if count / 1000**power >= 999.95 and power < 5:
        power += 1
    return f"{count / 1000**power:.1f} {'BkMGTP'[power]}B"


def seconds(span: float | None) -> str:
    """A duration for people: `0.3 s`, `0:42`, `1:02:03`."""
    if span is None:
        return ""
    if span < 10:
        return f"{span:.1f} s"
    whole = int(span)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def moment(when: float | None) -> str:
    """A time of the day and date, local."""
    return "" if when is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(when))


def _cell(value: Any) -> str:
    align = "right" if is_number(value) else "left"
    return f"<td style='text-align:{align};white-space:nowrap'>{_text(one_line(value, 200))}</td>"


def _text(value: str) -> str:
    return html.escape(value)
