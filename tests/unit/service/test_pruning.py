"""Which runs may go."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jupyter_mltrain.service.gate import Gate
from jupyter_mltrain.service.pruning import _going


def row(name: str, ended: float | None = 0.0, **doc: Any) -> dict[str, Any]:
    return {"id": name, "ended": ended, "doc": doc}


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [each["id"] for each in rows]


def test_what_somebody_chose_to_keep_stays() -> None:
    rows = [
        row("newest"),
        row("live", None),
        row("young", 99),
        row("pinned", pinned=True),
        row("source of a model", models=[{"name": "m", "version": 1}]),
        row("old"),
    ]
    assert ids(_going(rows, keep=1, before=50)) == ["old"]
    assert ids(_going(rows, keep=0, before=50)) == ["newest", "old"]
    assert ids(_going(rows, keep=6, before=50)) == []


def test_families_stay_or_go_together() -> None:
    rows = [
        row("grandchild", parent="child"),
        row("child", parent="parent"),
        row("sibling", parent="parent"),
        row("parent"),
        row("stranger"),
    ]
    assert ids(_going(rows, keep=0, before=50)) == ids(rows)
    rows[0]["doc"]["pinned"] = True
    assert ids(_going(rows, keep=0, before=50)) == ["stranger"]


@given(
    st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 9)), st.booleans(), st.integers(0, 9)), max_size=10),
    st.integers(0, 5),
)
def test_no_parent_or_child_is_left_alone(given_rows: list[tuple[int | None, bool, int]], keep: int) -> None:
    rows = [
        row(str(i), ended=age, pinned=pinned, parent=str(parent) if parent is not None and parent > i else None)
        for i, (parent, pinned, age) in enumerate(given_rows)
    ]
    going = set(ids(_going(rows, keep, before=5)))
    for each in rows:
        parent = each["doc"]["parent"]
        if parent is not None and int(parent) < len(rows):
            assert (each["id"] in going) == (parent in going)
        if each["id"] in going:
            assert not each["doc"]["pinned"]
            assert each["ended"] <= 5


async def test_many_together_or_one_alone() -> None:
    gate, log = Gate(), []

    async def one(name: str, *, alone: bool) -> None:
        async with gate.alone() if alone else gate.shared():
            log.append(f"+{name}")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            log.append(f"-{name}")

    await asyncio.gather(
        one("a", alone=False), one("b", alone=False), one("X", alone=True), one("c", alone=False), one("Y", alone=True)
    )
    for name in "XY":
        assert log[log.index(f"+{name}") + 1] == f"-{name}", log
    assert log.index("+b") < log.index("-a"), "those who share are inside together"
