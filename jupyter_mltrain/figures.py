"""Metrics as Plotly figures: `run.figure()`, `compare(a, b).figure()`. Plotly is loaded when one is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

COLUMNS = 2
COLOURS = ("#1f77b4", "#d95f02", "#2a9d6f", "#7b5ea7")
"""Those of the card."""
_ROW_HEIGHT = 260
_NOT_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})


def metric_figure(metrics: Mapping[str, Sequence[tuple[str, Mapping[str, Any]]]]) -> Figure:
    """One chart per metric. `metrics`: name → (label of the line, series as the service sends it: `steps`, `values`).

    Lines of the same label have the same colour and share one entry of the legend. What is not finite is a gap.
    """
    rows = -(-len(metrics) // COLUMNS) or 1
    figure: Figure = make_subplots(rows=rows, cols=min(COLUMNS, len(metrics) or 1), subplot_titles=list(metrics))
    labels: list[str] = []
    for number, lines in enumerate(metrics.values()):
        for label, series in lines:
            first = label not in labels
            if first:
                labels.append(label)
            trace = Scatter(
                x=list(series["steps"]),
                y=[None if v in _NOT_FINITE else v for v in series["values"]],
                name=label,
                legendgroup=label,
                showlegend=first,
                mode="lines+markers" if len(series["steps"]) < 3 else "lines",
                line={"color": COLOURS[labels.index(label) % len(COLOURS)]},
            )
            figure.add_trace(trace, row=number // COLUMNS + 1, col=number % COLUMNS + 1)
    figure.update_layout(
        height=_ROW_HEIGHT * rows + 60, margin={"l": 50, "r": 20, "t": 40, "b": 40}, hovermode="x unified"
    )
    figure.update_xaxes(title_text="step")
    return figure
