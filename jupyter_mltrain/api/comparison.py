"""Runs side by side: what differs first, then what is the same; charts of their metrics over each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.api.lookup import run as find
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.errors import UsageError

if TYPE_CHECKING:
    from jupyter_mltrain.api.workspace import Workspace
    from jupyter_mltrain.figures import Figure

MOST_METRICS = 12
_POINTS = 400

Row = tuple[str, tuple[Any, ...]]


def compare(*runs: Run | str, workspace: Workspace | None = None) -> Comparison:
    """The comparison of two or more runs, given as objects or names. Raises `UsageError` for fewer, `RunNotFound`."""
    if len(runs) < 2:
        raise UsageError("A comparison takes two or more runs.", mend="`%mltrain runs` lists them.")
    return Comparison([found if isinstance(found, Run) else find(found, workspace) for found in runs])


class Comparison:
    """Two or more runs. As a cell's value: a table with the differences first, and charts."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = list(runs)
        self._states = [run.refresh() for run in self.runs]

    @property
    def names(self) -> list[str]:
        return [state["display_name"] for state in self._states]

    def rows(self) -> list[Row]:
        """(what, one value per run; None where a run has none): differences first, each part in a stable order."""
        facts = [_facts(state) for state in self._states]
        keys = list(dict.fromkeys(key for each in facts for key in each))
        rows: list[Row] = [(key, tuple(each.get(key) for each in facts)) for key in keys]
        return sorted(rows, key=lambda row: len(set(map(repr, row[1]))) == 1)

    def differences(self) -> list[Row]:
        """The rows whose values are not all the same."""
        return [row for row in self.rows() if len(set(map(repr, row[1]))) > 1]

    def series(self) -> dict[str, list[tuple[str, Mapping[str, Any]]]]:
        """Metric → (run's name, its series) of at most 12 metrics, those that most runs have first."""
        having: dict[str, list[int]] = {}
        for index, state in enumerate(self._states):
            for metric in state["metrics"]:
                if metric["rank"] == 0 and metric["count"] > 1:
                    having.setdefault(metric["name"], []).append(index)
        chosen = sorted(having, key=lambda name: -len(having[name]))[:MOST_METRICS]
        return {
            name: [(self.names[i], self.runs[i].series(name, points=_POINTS)) for i in having[name]] for name in chosen
        }

    def figure(self) -> Figure:
        """A Plotly figure: one chart per metric, one line per run."""
        from jupyter_mltrain.figures import metric_figure  # noqa: PLC0415 - Plotly is loaded when asked for

        return metric_figure(self.series())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        from jupyter_mltrain.widgets.comparison_html import comparison_html  # noqa: PLC0415 - only when shown

        html = comparison_html(self.names, self.rows(), self.series())
        return {"text/html": html, "text/plain": repr(self)}

    def __repr__(self) -> str:
        lines = [f"Comparison of {', '.join(self.names)}"]
        lines += [
            f"  {what}: {' | '.join('–' if v is None else str(v) for v in values)}"
            for what, values in self.differences()
        ]
        return "\n".join(lines)


def _facts(state: Mapping[str, Any]) -> dict[str, Any]:
    """What a comparison shows of a run, flat: status, what it was given, what came out."""
    environment = state["environment"]
    facts: dict[str, Any] = {
        "status": state["status"],
        "duration (s)": None if state["duration"] is None else round(state["duration"], 1),
        "environment": f"{environment['name']}:{environment['version']}"
        if environment["version"]
        else environment["name"],
        "target": state["target"],
        "code": state["snapshot"]["digest"][:12],
        "commit": state["git"].get("commit", "")[:12] or None,
    }
    facts |= {f"data {d['name']}": _read(d) for d in state["data"]}
    facts |= {f"argument {name}": value for name, value in _arguments(state["arguments"]).items()}
    facts |= {f"{name} (last)": m["last"] for m in state["metrics"] if m["rank"] == 0 for name in [m["name"]]}
    facts |= {f"tag {key}": value for key, value in state["tags"].items()}
    return facts


def _read(data: Mapping[str, Any]) -> object:
    """Which data a run read: its version; its content's hash, where that is not said by the version."""
    if data["version"] is not None and not data.get("changed"):
        return data["version"]
    return str(data.get("key") or "")[:19]


def _arguments(arguments: Sequence[str]) -> dict[str, str]:
    """`--lr 0.1 --fast --n=3 file` → {"--lr": "0.1", "--fast": "", "--n": "3", "1": "file"}: positional ones by number."""
    found: dict[str, str] = {}
    option: str | None = None
    position = 0
    for argument in arguments:
        if argument.startswith("--") and len(argument) > 2:
            option, equals, value = argument.partition("=")
            found[option] = value
            option = None if equals else option
        elif option is not None:
            found[option] = f"{found[option]} {argument}".strip()
        else:
            position += 1
            found[str(position)] = argument
    return found
