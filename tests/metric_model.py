"""What the SDK's logging calls mean, as plainly as it can be said: a sequence of calls, and what `get_metrics` then returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st


@dataclass(frozen=True)
class Call:
    """`run.<what>(name, given)`; rows take `given` as keywords, images as a file."""

    what: str
    name: str
    given: Any
    step: int | None = None

    def on(self, run: Any) -> None:
        """Do it."""
        if self.what == "log_row":
            run.log_row(self.name, **self.given)
        elif self.what == "log_image":
            run.log_image(self.name, path=self.given)
        elif self.what == "log":
            run.log(self.name, self.given, step=self.step)
        else:
            getattr(run, self.what)(self.name, self.given)


def expected(calls: list[Call]) -> dict[str, Any]:
    """What `get_metrics` returns after them."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(call.name for call in calls):
        logged = [item for call in calls if call.name == name for item in _items(call)]
        if logged:
            found[name] = _value(logged)
    return found


def _items(call: Call) -> list[tuple[str, Any]]:
    if call.what == "log":
        return [("scalar", _plain(call.given))]
    if call.what == "log_list":
        many = [_plain(value) for value in call.given]
        if any(type(value) is float for value in many):
            many = [float(value) if type(value) is int else value for value in many]
        return [("scalar", value) for value in many]
    if call.what == "log_image":
        return [("image", call.given)]
    table = {
        c: [_plain(v) for v in value] if isinstance(value, list) else _plain(value) for c, value in call.given.items()
    }
    return [("table", table)]


def _value(logged: list[tuple[str, Any]]) -> Any:
    values = [value for _, value in logged]
    if len(values) == 1:
        return values[0]
    kinds = {kind for kind, _ in logged}
    if kinds == {"image"}:
        return values[0]
    if kinds == {"table"}:
        columns: dict[str, list[Any]] = {}
        for table in values:
            for column, value in table.items():
                columns.setdefault(column, [])
                columns[column] += value if isinstance(value, list) else [value]
        return columns
    return values


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def same(a: Any, b: Any) -> bool:
    """Equal in type too; NaN is NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_NAMES = st.sampled_from(["loss", "acc uracy", "日本", "<b>", ""])
_WHOLE = st.integers(-(2**53), 2**53)
_NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.builds(np.int64, st.integers(-(2**63), 2**63 - 1)),
    st.builds(np.int8, st.integers(-128, 127)),
    st.builds(np.float32, st.floats(width=32)),
    st.builds(np.float64, st.floats()),
    st.builds(np.bool_, st.booleans()),
)
_VALUES = st.one_of(_NUMBERS, st.booleans(), st.none(), TEXT)
_COLUMNS = st.sampled_from(["x", "y", "ź"])
# Integers that a float holds, so that one beside a float is the same number.
_LISTS = st.lists(st.one_of(_WHOLE, st.floats(), st.booleans(), st.none(), TEXT), max_size=5)


@st.composite
def _tables(draw: st.DrawFn) -> dict[str, Any]:
    rows = draw(st.integers(0, 4))
    column = st.one_of(_VALUES, st.lists(_VALUES, min_size=rows, max_size=rows))
    return draw(st.dictionaries(_COLUMNS, column, max_size=3))


CALLS = st.lists(
    st.one_of(
        st.builds(Call, st.just("log"), _NAMES, _VALUES, st.one_of(st.none(), st.integers(-5, 5))),
        st.builds(Call, st.just("log_list"), _NAMES, _LISTS),
        st.builds(Call, st.just("log_list"), _NAMES, st.builds(lambda n: list(range(n)), st.integers(240, 600))),
        st.builds(Call, st.just("log_row"), _NAMES, st.dictionaries(_COLUMNS, _VALUES, max_size=3)),
        st.builds(Call, st.just("log_table"), _NAMES, _tables()),
        st.builds(Call, st.just("log_image"), _NAMES, st.sampled_from(["outputs/a.png", "outputs/b.png"])),
    ),
    max_size=12,
)
