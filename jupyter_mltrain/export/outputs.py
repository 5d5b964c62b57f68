"""What of a notebook's outputs goes into a page that runs only its own scripts: runs and Plotly figures become drawings
of ours, widgets give way to what else the output holds."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import nbformat

from jupyter_mltrain.widgets.bounds import finite_or_name
from jupyter_mltrain.widgets.card_html import card
from jupyter_mltrain.widgets.chart_svg import Line, chart_svg
from jupyter_mltrain.widgets.output import MIME

PLOTLY = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
BASIC_TRACES = frozenset({"scatter", "bar", "pie"})
"""What Plotly's basic bundle draws."""


@dataclass
class Exported:
    """A notebook ready to be rendered. `runs`: payloads of the runs in it, in order, each once. `plots`: whether there
    are charts at all; `full_plotly`: whether one needs more than Plotly's basic bundle."""

    notebook: nbformat.NotebookNode
    runs: list[Mapping[str, Any]] = field(default_factory=list)
    plots: bool = False
    full_plotly: bool = False


def self_contained(
    notebook: nbformat.NotebookNode, resolve: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> Exported:
    """A copy of `notebook` whose outputs need no network and no script but the page's. `resolve` gives a run's payload
    as of now for the saved one."""
    exported = Exported(copy.deepcopy(notebook))
    # Without it nbconvert loads no widget manager from the network, and hides no output behind one.
    exported.notebook.metadata.pop("widgets", None)
    for cell in exported.notebook.cells:
        for output in cell.get("outputs", []):
            if "data" in output:
                _convert(output["data"], exported, resolve)
    return exported


def _convert(
    data: dict[str, Any], exported: Exported, resolve: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> None:
    widget = data.pop(WIDGET, None)
    if _is_payload(data.get(MIME)):
        saved = data.pop(MIME)
        # Below a run stand those that were submitted again from its card.
        again = [one for one in saved.get("reruns") or () if _is_payload(one)]
        payloads = [resolve(one) for one in (saved, *again)]
        for payload in payloads:
            if all(payload["run"] != known["run"] for known in exported.runs):
                exported.runs.append(payload)
        exported.plots = True
        data["text/html"] = "".join(card(payload, chart=_live_chart, style=False) for payload in payloads)
    elif PLOTLY in data:
        figure = data.pop(PLOTLY)
        exported.plots = True
        exported.full_plotly |= any(t.get("type", "scatter") not in BASIC_TRACES for t in figure.get("data", []))
        data["text/html"] = _plot(figure, '<p class="mlt-dim">A Plotly figure: it shows where scripts run.</p>')
    elif widget is not None and not data:
        data["text/plain"] = "[a widget: it lives in the notebook only]"


def _is_payload(payload: object) -> bool:
    return isinstance(payload, Mapping) and "run" in payload and isinstance(payload.get("state"), Mapping)


def _live_chart(name: str, lines: Sequence[Line], colour: int, last: str) -> str:
    figure = {
        "metric": name,
        "colour": colour,
        "lines": [
            {"rank": line.rank, "steps": line.steps, "values": [finite_or_name(v) for v in line.values]}
            for line in lines
        ],
    }
    return _plot(figure, chart_svg(name, lines, colour, last), label=f"{name}, last value {last}")


def _plot(figure: Mapping[str, Any], instead: str, label: str = "Plotly figure") -> str:
    return (
        f'<div class="mlt-plot" role="figure" aria-label="{escape(label, quote=True)}">'
        f'<script type="application/json">{script_json(figure)}</script>{instead}</div>'
    )


def script_json(value: Any) -> str:
    """JSON that can stand in a `<script>`: no text in it can end the element or open a comment; NaN and ±Inf as null."""
    text = json.dumps(_without_nan(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(v) for v in value]
    return value
