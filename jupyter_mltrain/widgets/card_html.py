"""The static run card: self-contained HTML, no script, every word of a user or a run escaped.

It shows a run as it was when it was recorded, and says when that was. It never pretends to be live.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from jupyter_mltrain.widgets import formats, ranks
from jupyter_mltrain.widgets.chart_svg import Line, as_number, chart_svg

LOWER_IS_BETTER = re.compile(r"loss|err|mse|mae|rmse|perplexity|latency|seconds|time", re.IGNORECASE)
MAX_CHARTS = 12

_PILL = {"Completed": "mlt-ok", "Failed": "mlt-bad", "Canceled": "", "NotResponding": "mlt-warn"}
_WORDS = {"NotStarted": "Not started", "NotResponding": "Not responding", "CancelRequested": "Cancel requested"}


Chart = Callable[[str, Sequence[Line], int, str], str]
"""Draws a metric: name, lines, number of its colour, last value in words → HTML."""


def card(payload: Mapping[str, Any], *, bound_to: str = "run", chart: Chart = chart_svg, style: bool = True) -> str:
    """The card of a payload (`widgets.output.payload`). `bound_to`: the variable in the line that gives the run
    back, or "".
    `style=False` leaves the style sheet out, for a page that has it already."""
    state = payload["state"]
    status = _words(state["status"])
    label = _attribute(f"Run {state.get('display_name') or state['id']}, {status}")
    parts = [
        f"<style>{stylesheet()}</style>" if style else "",
        f'<div class="mlt-card" role="group" aria-label="{label}">',
        _head(state, status, payload["recorded"]),
        _stages(state),
        _why(state.get("failure"), ranks.failed_html(state)),
        _notes(state),
        _metrics(state, payload.get("series") or [], chart),
        _log(payload.get("log"), opened=state["status"] == "Failed"),
        ranks.html(state),
        _details(state),
        _foot(state, payload["recorded"], bound_to),
        "</div>",
    ]
    return "".join(parts)


@cache
def stylesheet() -> str:
    """`card.css` without comments and line breaks, as it goes into each output."""
    css = files("jupyter_mltrain.widgets").joinpath("card.css").read_text("utf-8")
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    return re.sub(r"\s*([{};])\s*", r"\1", re.sub(r"\s+", " ", css)).strip()


def _head(state: Mapping[str, Any], status: str, recorded: float) -> str:
    return (
        '<div class="mlt-head">'
        f'<div class="mlt-name"><span>{_text(state["experiment"])} /</span> {_text(_name(state))}</div>'
        f'<span class="mlt-pill {_PILL.get(state["status"], "mlt-live")}">{_text(status)}</span>'
        f'<span class="mlt-num mlt-dim">{_length(state, recorded)}</span>'
        f'<span class="mlt-chip">{_text(" · ".join(_places(state)))}</span></div>'
    )


def _places(state: Mapping[str, Any]) -> list[str]:
    environment = state.get("environment") or {}
    named = [environment, *(state.get("data") or [])]
    return [str(state.get("target") or "local"), *(versioned(item) for item in named if item.get("name"))]


def versioned(item: Mapping[str, Any]) -> str:
    """`name:version`, or the name alone."""
    return f"{item['name']}:{item['version']}" if item.get("version") else str(item["name"])


def _length(state: Mapping[str, Any], recorded: float) -> str:
    seconds = state.get("duration")
    if seconds is None and state.get("started"):
        seconds = (state.get("ended") or recorded) - state["started"]
    return "" if seconds is None else formats.clock(float(seconds))


def _stages(state: Mapping[str, Any]) -> str:
    return f'<div class="mlt-stages">{"".join(_stage(stage, state) for stage in state.get("stages") or [])}</div>'


def _stage(stage: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    kind = stage["state"]
    progress = _progress(state) if stage["name"] == "Running" else None
    width = {"done": 100, "active": _share(progress), "failed": _share(progress)}.get(kind, 0)
    marked = {"active": " mlt-now", "failed": " mlt-x"}.get(kind, "")
    return (
        f'<div class="mlt-stage{marked}"><div class="mlt-bar"><i style="width:{width}%"></i></div>'
        f'<b>{_text(stage["name"])}</b> <span class="mlt-num">{_text(" · ".join(_said(stage, state, progress)))}</span></div>'
    )


def _progress(state: Mapping[str, Any]) -> Mapping[str, Any] | None:
    progress = state.get("progress")
    # A script may write progress records of its own, without numbers.
    return progress if progress and as_number(progress.get("value")) is not None else None


def _share(progress: Mapping[str, Any] | None) -> int:
    total = (progress or {}).get("total")
    return round(100 * min(1.0, max(0.0, progress["value"] / total))) if progress and total else 100


def _said(stage: Mapping[str, Any], state: Mapping[str, Any], progress: Mapping[str, Any] | None) -> list[str]:
    # What Finalizing notes is the state of tracking, which goes on after it.
    kind, note = stage["state"], "" if stage["name"] == "Finalizing" else stage.get("note") or ""
    if kind in {"pending", "skipped"}:
        return [note] if note else []
    said = [note] if note else []
    if progress and kind != "done":
        said = [("stopped at " if kind == "failed" else "") + _progress_words(progress)]
        if kind == "active" and progress.get("eta"):
            said.append(f"{formats.span(float(progress['eta']))} left")
    elif kind == "active" and stage["name"] == "Queued" and state.get("queue_position"):
        said.append(f"position {state['queue_position']}")
    if stage.get("started") and stage.get("ended") and not (progress and kind == "failed"):
        length = formats.span(stage["ended"] - stage["started"])
        # "cached 0.1 s" reads as one thing.
        said = [f"{said[0]} {length}", *said[1:]] if said else [length]
    if stage["name"] == "Finalizing":
        said += _tracking_words(state.get("tracking") or {})
    return said


def _progress_words(progress: Mapping[str, Any]) -> str:
    words = f"{progress.get('label') or 'step'} {formats.number(progress['value'])}"
    return f"{words} of {formats.number(progress['total'])}" if progress.get("total") else words


def _tracking_words(tracking: Mapping[str, Any]) -> list[str]:
    match tracking.get("state"):
        case "synced":
            return ["MLflow synced"]
        case "pending":
            waiting = tracking.get("pending")
            return [f"MLflow: {formats.number(waiting)} to send" if waiting else "MLflow: sending"]
        case "error":
            return ["MLflow: not sent"]
        case _:
            return []


def _why(failure: Mapping[str, Any] | None, first: str) -> str:
    if not failure:
        return ""
    evidence = " · ".join(str(e) for e in failure.get("evidence") or [])
    mend = f'<span class="mlt-mend">{_text(failure["mend"])}</span>' if failure.get("mend") else ""
    shown = f'<div class="mlt-why"><b>{_text(failure.get("title", ""))}</b>{first}<span>{_text(evidence)}</span>{mend}</div>'
    if failure.get("traceback"):
        shown += (
            "<details open><summary>Traceback</summary>"
            f'<pre class="mlt-log">{_text(str(failure["traceback"]).rstrip())}</pre></details>'
        )
    return shown


def _notes(state: Mapping[str, Any]) -> str:
    lines = [
        f"Asked for {s.get('asked')}, given {s.get('given')}: {s.get('reason')}"
        for s in state.get("substitutions") or []
    ]
    lines += [str(n) for n in state.get("notices") or []]
    tracking = state.get("tracking") or {}
    if tracking.get("state") == "error":
        lines.append(f"MLflow: {tracking.get('message') or 'not reachable'}. The run's own record is complete.")
    return f'<div class="mlt-notes">{"".join(f"<div>{_text(line)}</div>" for line in lines)}</div>' if lines else ""


def _metrics(state: Mapping[str, Any], series: Sequence[Mapping[str, Any]], draw: Chart) -> str:
    by_name: dict[str, list[Line]] = {}
    for one in series:
        by_name.setdefault(one["name"], []).append(Line.of(one))
    charted = {name: lines for name, lines in by_name.items() if any(len(line.values) > 1 for line in lines)}
    # One entry per name: the lowest rank speaks for a metric that several ranks log.
    entries: dict[str, Mapping[str, Any]] = {}
    for entry in state.get("metrics") or []:
        entries.setdefault(entry["name"], entry)
    charts = [
        _chart(name, lines, entries.get(name, {}), colour, draw)
        for colour, (name, lines) in enumerate(list(charted.items())[:MAX_CHARTS])
    ]
    values = [
        f'<div><span>{_text(name)}</span><b class="mlt-num">{_text(formats.number(entry.get("last")))}</b></div>'
        for name, entry in entries.items()
        if name not in charted
    ]
    return (f'<div class="mlt-values">{"".join(values)}</div>' if values else "") + (
        f'<div class="mlt-grid">{"".join(charts)}</div>' if charts else ""
    )


def _chart(name: str, lines: Sequence[Line], entry: Mapping[str, Any], colour: int, draw: Chart) -> str:
    last = formats.number(entry.get("last", lines[0].values[-1] if lines[0].values else ""))
    return (
        f'<div class="mlt-chart"><div class="mlt-title"><span>{_text(name)}</span><small>{_text(_best(name, entry))}</small>'
        f'<span class="mlt-num">{_text(last)}</span></div>{draw(name, lines, colour, last)}</div>'
    )


def _best(name: str, entry: Mapping[str, Any]) -> str:
    which = "min" if LOWER_IS_BETTER.search(name) else "max"
    if as_number(entry.get(which)) is None:
        return ""
    at = entry.get(f"{which}_step")
    return f"{which} {formats.number(entry[which])}" + (f" at step {formats.number(at)}" if at is not None else "")


def _log(log: Mapping[str, Any] | None, *, opened: bool) -> str:
    if not log or not log.get("tail"):
        return ""
    return (
        f"<details{' open' if opened else ''}><summary>Last lines of {_text(log['name'])}</summary>"
        f'<pre class="mlt-log">{_text(log["tail"])}</pre></details>'
    )


def _details(state: Mapping[str, Any]) -> str:
    rows = "".join(f"<dt>{_text(key)}</dt><dd>{_text(value)}</dd>" for key, value in details(state) if value)
    return f'<details><summary>Details</summary><dl class="mlt-kv">{rows}</dl></details>'


def details(state: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where a run comes from, as label and text: what is needed to tell it from others and to repeat it."""
    environment, snapshot = state.get("environment") or {}, state.get("snapshot") or {}
    command = state.get("command") or []
    said = command if isinstance(command, str) else " ".join(map(str, command))
    return [
        ("Run", str(state["id"])),
        ("Arguments", " ".join(map(str, state.get("arguments") or []))),
        ("Command", said),
        ("Environment", f"{versioned(environment)} · lock {environment.get('key')}" if environment.get("name") else ""),
        ("Data", ", ".join(versioned(d) for d in state.get("data") or [])),
        ("Snapshot", f"{formats.count(snapshot['files'], 'file')} · {formats.size(snapshot['bytes'])} · {snapshot.get('digest', '')}" if snapshot.get("files") else ""),
        ("Git", _pairs(state.get("git"))),
        ("Resources", _pairs(state.get("resources"))),
        ("Used", _pairs(state.get("used"))),
        ("Tags", _pairs(state.get("tags"))),
        ("Notes", str(state.get("notes") or "")),
    ]  # fmt: skip


def _pairs(mapping: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{k} {v}" for k, v in (mapping or {}).items() if v not in (None, ""))


def _foot(state: Mapping[str, Any], recorded: float, bound_to: str) -> str:
    facts = [f"recorded on {formats.date(recorded)}"]
    if state.get("metric_points"):
        facts.append(formats.count(state["metric_points"], "metric point"))
    outputs = state.get("outputs") or {}
    if outputs.get("files"):
        facts.append(f"{formats.count(outputs['files'], 'output file')}, {formats.size(outputs['bytes'])}")
    facts += [f"registered as {versioned(m)}" for m in state.get("models") or []]
    back = f"mltrain.run({json.dumps(_name(state), ensure_ascii=False)})"
    back = f"{bound_to} = {back}" if bound_to else back
    spans = "".join(f'<span class="mlt-num">{_text(fact)}</span>' for fact in facts)
    return f'<div class="mlt-foot">{spans}<code class="mlt-back">{_text(back)}</code></div>'


def _name(state: Mapping[str, Any]) -> str:
    return str(state.get("display_name") or state["id"])


def _words(status: str) -> str:
    return _WORDS.get(status, status)


def _text(value: object) -> str:
    return escape(str(value), quote=False)


def _attribute(value: str) -> str:
    return escape(value, quote=True)
