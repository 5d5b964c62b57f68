"""The output of a run: what a notebook saves and every front end can show, with or without our extension."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

from jupyter_mltrain.errors import MLTrainError
from jupyter_mltrain.widgets import ranks
from jupyter_mltrain.widgets.bounds import bounded_state, finite_or_name, short_paths
from jupyter_mltrain.widgets.card_html import card
from jupyter_mltrain.widgets.terminal import settled

MIME = "application/vnd.mltrain.run+json"
FORMAT = 1
MAX_SERIES = 12
MAX_POINTS = 200
LOG_BYTES = 4096
LOG_LINES = 20
MAX_RERUNS = 5
"""So many of the runs that were started again from an output are saved in it, the newest."""


class Source(Protocol):
    """The two reads of `client.connection.Connection` that an output needs."""

    def get(self, path: str, /, **params: Any) -> Any: ...
    def bytes(self, path: str, /, **params: Any) -> tuple[bytes, Mapping[str, str]]: ...


def bundle(state: Mapping[str, Any], connection: Source | None, *, bound_to: str = "run") -> dict[str, Any]:
    """The mime bundle of a run as it stands: our mime type, static HTML, plain text.

    `state` is a RunState as the service sends it. With a `connection`, the charts' points and the end of the log are
    fetched (at most 12 series of 200 points, of each metric its first rank's; 20 lines, of the rank that failed first), and the runs that were started again from its output; what
    cannot be fetched is left out: an output is better than an exception in a display. `bound_to` is the variable that
    holds the run, named in the card.
    """
    shown = payload(state, connection)
    again = _reruns(state, connection) if connection else []
    html = card(shown, bound_to=bound_to) + "".join(card(one, bound_to="", style=False) for one in again)
    return {
        MIME: {**shown, "reruns": again} if again else shown,
        "text/html": html,
        "text/plain": plain(state),
    }


def payload(state: Mapping[str, Any], connection: Source | None, *, points: int = MAX_POINTS) -> dict[str, Any]:
    """The value of our mime type: ids, the bounded state, series of the charts (about so many `points` each), the end of
    the log."""
    kept = bounded_state(state)
    workspace = state.get("workspace") or {}
    return {
        "format": FORMAT,
        "workspace": str(workspace.get("id", "")),
        "run": str(state["id"]),
        "recorded": float(state.get("recorded") or time.time()),
        "state": kept,
        "series": _series(state, connection, points) if connection else [],
        "log": _log_tail(state, connection) if connection else None,
    }


def _reruns(state: Mapping[str, Any], connection: Source) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for run_id in (state.get("reruns") or [])[-MAX_RERUNS:]:
        try:
            found.append(payload(connection.get(f"/v1/runs/{run_id}"), connection))
        except MLTrainError:
            continue  # removed since, or the service does not answer
    return found


def plain(state: Mapping[str, Any]) -> str:
    """The run as the SDK prints it; below it its ranks, where it has several."""
    shown = (
        f"Run(Experiment: {state['experiment']},\nId: {state['id']},\n"
        f"Type: mltrain.scriptrun,\nStatus: {state['status']})"
    )
    return "\n".join([shown, *ranks.lines(state)])


def _series(state: Mapping[str, Any], connection: Source, points: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    first: dict[str, Mapping[str, Any]] = {}
    for metric in sorted(state.get("metrics") or [], key=lambda one: one.get("rank", 0)):
        first.setdefault(metric["name"], metric)
    charted = [one for one in state.get("metrics") or [] if first[one["name"]] is one]
    for metric in charted[:MAX_SERIES]:
        name, rank = metric["name"], metric.get("rank", 0)
        try:
            raw = connection.get(f"/v1/runs/{state['id']}/series", name=name, rank=rank, points=points)
        except MLTrainError:
            continue  # the state itself still shows the last value
        steps, values = _thinned(raw["steps"], points), _thinned(raw["values"], points)
        found.append(
            {
                "name": str(name)[:250],
                "rank": int(rank),
                "total": int(raw.get("total", len(values))),
                "steps": steps,
                "values": [finite_or_name(v) if isinstance(v, float) else v for v in values],
            }
        )
    return found


def _thinned(found: list[Any], points: int) -> list[Any]:
    # The service keeps the extremes of each of its buckets, and so may give a few points more than asked for.
    return found if len(found) <= 2 * points else found[:: -(-len(found) // points)]


def _log_tail(state: Mapping[str, Any], connection: Source) -> dict[str, Any] | None:
    name = ranks.log_of(ranks.first_failed(state) or 0)
    try:
        raw, _ = connection.bytes(f"/v1/runs/{state['id']}/log", name=name, offset=-LOG_BYTES, limit=LOG_BYTES)
    except MLTrainError:
        return None
    tail = last_lines(raw)
    return {"name": name, "tail": tail} if tail.strip() else None


def last_lines(raw: bytes, lines: int = LOG_LINES) -> str:
    r"""The last lines of a log as a terminal would leave them: `\r` overwrites, control sequences are gone."""
    text = raw.decode("utf-8", errors="replace")
    if len(raw) >= LOG_BYTES and "\n" in text:
        text = text.partition("\n")[2]  # the first line is probably cut
    return short_paths("\n".join(settled(text)[-lines:]))
