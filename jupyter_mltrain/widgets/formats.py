"""Numbers, durations and dates as the run card writes them. `js/src/model/formats.ts` writes the same."""

from __future__ import annotations

import math
from datetime import UTC, datetime

_NAMES = {"Infinity": "∞", "-Infinity": "−∞"}
"""Numbers that JSON cannot hold go by these names there."""


def number(value: object) -> str:
    """A metric's value with four significant digits, `12,345` above a thousand; NaN and ±Inf by name, None as nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else _NAMES.get(str(value), str(value))
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else _NAMES["Infinity" if value > 0 else "-Infinity"]
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return f"{int(value):,}" if abs(value) < 1e15 else f"{value:.4g}"
    if abs(value) >= 1000 and abs(value) < 1e6:
        return f"{value:,.1f}"
    return f"{value:.4g}"


def clock(seconds: float) -> str:
    """A run's length as `0:42`, `1:09:30`."""
    whole = max(0, int(seconds))
    minutes, sec = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{sec:02}" if hours else f"{minutes}:{sec:02}"


def span(seconds: float) -> str:
    """A stage's length: `0.3 s`, `12 s`, `1:08`."""
    if seconds < 0.05:
        return "0 s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 60 else clock(seconds)


def size(count: float) -> str:
    """Bytes in decimal units: `412 KB`, `4.0 GB`."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit in {"bytes", "KB"} else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def count(number_of: int, what: str) -> str:
    """`1 file`, `1,204 files`."""
    return f"{number(number_of)} {what}{'' if number_of == 1 else 's'}"


def date(epoch: float) -> str:
    """When, in a form that means the same everywhere: `23 Nov 2026, 06:40 UTC`."""
    moment = datetime.fromtimestamp(epoch, UTC)
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    return f"{moment.day} {months[moment.month - 1]} {moment.year}, {moment:%H:%M} UTC"
