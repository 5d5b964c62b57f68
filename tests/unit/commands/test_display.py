from __future__ import annotations

import pytest

from jupyter_mltrain.commands.display import Table, one_line, seconds, size

EVIL = "<script>alert('x')</script>\n\x1b[31m"


def test_a_table_shows_itself_and_gives_its_items() -> None:
    table = Table(
        ("name", "count"), [("a", 1), ("long name", 1000), ("none", None)], items=["A", "B", "C"], title="T", note="N"
    )
    assert repr(table).splitlines() == ["T", "name       count", "a              1", "long name   1000", "none", "N"]
    assert list(table) == ["A", "B", "C"]
    assert table[1] == "B"
    assert len(table) == 3


def test_every_text_is_text() -> None:
    table = Table((EVIL,), [(EVIL,)], title=EVIL, note=EVIL)
    html = table._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 4
    assert "\x1b" not in repr(table)
    assert len(repr(table).splitlines()) == 5
    assert "\x1b" not in one_line(EVIL)
    assert "\n" not in one_line(EVIL)


def test_an_empty_table_says_so() -> None:
    assert repr(Table(("a",), [], empty="No runs.")) == "No runs."
    assert "No runs." in Table(("a",), [], empty="No runs.")._repr_html_()


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (1.5e9, "1.5 GB"),
        (2e18, "2000.0 PB"),
        (None, ""),
    ],
)
def test_sizes(count: float | None, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("span", "text"), [(0.34, "0.3 s"), (42, "0:42"), (3723, "1:02:03"), (None, ""), (59.99, "0:59")]
)
def test_seconds(span: float | None, text: str) -> None:
    assert seconds(span) == text


def test_long_and_strange_cells_are_one_line() -> None:
    assert one_line("x" * 300) == "x" * 59 + "…"
    assert one_line("a\tb\r\nc\u202ed") == "a·b··c·d"
    assert one_line(1 / 3) == "0.3333"
