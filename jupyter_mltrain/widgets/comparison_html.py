"""A comparison of runs as static HTML: charts over each other, and a table with the differences first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from jupyter_mltrain.widgets.card_html import stylesheet
from jupyter_mltrain.widgets.chart_svg import Line, chart_svg
from jupyter_mltrain.widgets.formats import number

_STYLE = """
.mlt-compare{padding:10px 12px}.mlt-compare table{border-collapse:collapse;width:100%;margin-top:8px;font:inherit;color:inherit}
.mlt-compare th,.mlt-compare td{text-align:left;padding:2px 10px 2px 0;border-bottom:1px solid var(--mlt-line);
font-variant-numeric:tabular-nums;overflow-wrap:anywhere}.mlt-compare .mlt-same{color:var(--mlt-ink2)}
.mlt-compare .mlt-key{font-family:var(--mlt-mono)}.mlt-compare .mlt-swatch{display:inline-block;width:10px;height:10px;
border-radius:2px;margin-right:6px}.mlt-overlay{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:12px}
"""


def comparison_html(
    names: Sequence[str],
    rows: Sequence[tuple[str, Sequence[Any]]],
    series: Mapping[str, Sequence[tuple[str, Mapping[str, Any]]]],
) -> str:
    """`rows`: (what, one value per run), differences first; `series`: metric → (run's name, its series). Everything is
    escaped; no script."""
    label = escape(f"Comparison of {', '.join(names)}", quote=True)
    head = "".join(f"<th>{_swatch(i)}{escape(n)}</th>" for i, n in enumerate(names))
    body = "".join(_row(what, values) for what, values in rows)
    charts = "".join(_chart(name, lines, names) for name, lines in series.items())
    return (
        f"<style>{stylesheet()}{_STYLE}</style>"
        f'<div class="mlt-card mlt-compare" role="group" aria-label="{label}">'
        f'<div class="mlt-overlay">{charts}</div>'
        f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(what: str, values: Sequence[Any]) -> str:
    same = ' class="mlt-same"' if len(set(map(repr, values))) == 1 else ""
    cells = "".join(f"<td>{escape(_text(value))}</td>" for value in values)
    return f'<tr{same}><td class="mlt-key">{escape(what)}</td>{cells}</tr>'


def _chart(name: str, lines: Sequence[tuple[str, Mapping[str, Any]]], names: Sequence[str]) -> str:
    drawn = [Line.of({**series, "rank": names.index(label)}) for label, series in lines]
    last = ", ".join(f"{label} {_text(series['values'][-1])}" for label, series in lines if series["values"])
    return f"<div><b>{escape(name)}</b>{chart_svg(name, drawn, None, last)}</div>"


def _swatch(index: int) -> str:
    return f'<span class="mlt-swatch" style="background:var(--mlt-s{index % 4 + 1})"></span>'


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return number(value) if isinstance(value, float) else str(value)
