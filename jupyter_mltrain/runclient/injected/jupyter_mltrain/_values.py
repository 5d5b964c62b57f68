"""From what a script logs to what the stream can hold: numbers, strings, true, false and null.

Numbers of numpy and of any tensor library become Python numbers, 64-bit integers included (the SDK that this follows wrote
those as text).
"""

from __future__ import annotations

import json
import types
from typing import Any

from ._stream import warn_once

_LISTS = (list, tuple, set, frozenset, range, types.GeneratorType)
_SCALARS: set = set()
"""Types of numpy scalars seen: their `item()` is the number, at once."""
_LONGEST = 1_000_000
"""Characters of a value that is no number."""


class UsageError(TypeError):
    """Something in the script's own call that cannot be what was meant."""


def scalar(value: Any, name: str) -> Any:
    """`value` as a JSON value. Raises `UsageError` for a list: there is `log_list` for it."""
    if type(value) in _SCALARS:
        return value.item()
    if isinstance(value, _LISTS):
        raise UsageError(f"run.log({name!r}) was given a {type(value).__name__}. Use run.log_list for it.")
    return plain(value)


def plain(value: Any) -> Any:
    """`value` as a JSON value; what is no number, string, boolean or None is kept as its text."""
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)  # numpy.float64 is a float, an IntEnum an int
    if isinstance(value, str):
        return clean(str(value))
    number = _number(value)
    if number is None:
        warn_once(f"text {type(value).__name__}", f"a value of type {type(value).__name__} was logged as text")
        return clean(str(value)[:_LONGEST])
    return number


def values(many: Any) -> list[Any]:
    """The elements of an iterable, each as a JSON value. An array gives its rows' elements in order."""
    if hasattr(many, "numpy") and not hasattr(many, "tolist"):
        many = many.numpy()
    if hasattr(many, "tolist"):
        many = many.tolist()
    return [plain(value) for value in (many if isinstance(many, _LISTS) or hasattr(many, "__iter__") else [many])]


def of_one_kind(many: list[Any]) -> list[Any]:
    """`many` with its integers as floats, where there is a float among them; those that no float can hold stay."""
    if not any(type(value) is float for value in many):
        return many
    return [_as_float(value) if type(value) is int else value for value in many]


def cell(value: Any, name: str, column: str) -> Any:
    """One value of a row. Raises `UsageError` for a list: there is `log_table` for it."""
    if isinstance(value, _LISTS):
        raise UsageError(
            f"run.log_row({name!r}, {column}=…) was given a {type(value).__name__}. Use run.log_table for columns."
        )
    return plain(value)


def columns(table: Any) -> dict[str, Any]:
    """A table's columns: lists as lists, other values as they are. Raises `UsageError` for lists of unequal length."""
    found: dict[str, Any] = {}
    for name, column in dict(table).items():
        many = isinstance(column, _LISTS) or (hasattr(column, "__len__") and not isinstance(column, (str, bytes)))
        found[clean(str(name))] = values(column) if many else plain(column)
    lists = [(name, column) for name, column in found.items() if isinstance(column, list)]
    for name, column in lists[1:]:
        if len(column) != len(lists[0][1]):
            raise UsageError(
                f"Columns must have the same length, column {lists[0][0]} had length {len(lists[0][1])}, however, column"
                f" {name} had length {len(column)}."
            )
    return found


def clean(text: str) -> str:
    """`text` with what UTF-8 cannot hold (half of a surrogate pair) replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def dumps(value: Any) -> str:
    """One line of JSON, in ASCII; NaN and infinities as `NaN`, `Infinity`, `-Infinity`."""
    return json.dumps(value, separators=(",", ":"))


def _as_float(value: int) -> Any:
    try:
        number = float(value)
    except OverflowError:
        return value
    return number if number == value else value


def _number(value: Any) -> Any:
    """The number in a scalar of numpy or of a tensor library; None if it holds none, or more than one."""
    for way in ("item", "numpy", "__float__"):
        method = getattr(value, way, None)
        if method is None:
            continue
        try:
            inner = method()
        except Exception:  # noqa: BLE001, S112 - foreign code; a tensor without a value, an array of many
            continue
        if isinstance(inner, (bool, int, float)):
            if way == "item" and type(value).__module__ == "numpy" and type(value).__name__ != "ndarray":
                _SCALARS.add(type(value))
            return inner if isinstance(inner, bool) else int(inner) if isinstance(inner, int) else float(inner)
        if isinstance(inner, str):
            return clean(inner)
        if way == "numpy" and hasattr(inner, "item"):
            return _number(inner)
    return None
