"""What of a run's state may be saved in a notebook: an allow-list, bounded, without paths of the machine or secrets.

A notebook is shared; so an output holds ids and what the card shows, and nothing else that the service said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

KEPT = (
    "id", "experiment", "display_name", "status", "revision", "created", "started", "ended", "duration", "target",
    "environment", "data", "arguments", "command", "stages", "progress", "failure", "tracking", "metrics",
    "metric_points", "substitutions", "tags", "notes", "git", "resources", "snapshot", "outputs", "models",
    "used", "queue_position", "processes", "ranks", "notices", "workspace", "recorded",
)  # fmt: skip
"""Keys of RunState that the card shows. `history` and whatever a newer service adds stay out."""

NAMES = frozenset({"id", "name", "key", "experiment", "display_name", "target"})
"""Keys whose values name things: kept as they are, cut to length (`a//b` and `/loss` are good names of metrics)."""

TEXT_LIMIT = 2000
LIST_LIMIT = 50
TRACEBACK_LIMIT = 8000

_PATH = re.compile(r"(?<![\w:/.<…])~?/(?:[^\s/:'\"()<>|,;]+/)+(?P<last>[^\s/:'\"()<>|,;]*)")
_RUN_FOLDER = re.compile(r".*/\.mltrain/runs/[^/]+/(?:work/)?")
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")


def bounded_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a RunState that a saved output holds; JSON without NaN (as strings) and without absolute paths."""
    kept = {key: clean(state[key], key) for key in KEPT if key in state}
    failure = kept.get("failure")
    if isinstance(failure, dict) and isinstance(state["failure"].get("traceback"), str):
        # The end of a traceback is the part that says what happened.
        failure["traceback"] = short_paths(state["failure"]["traceback"])[-TRACEBACK_LIMIT:]
    environment = kept.get("environment")
    if isinstance(environment, dict):
        environment.pop("variables", None)
        environment.pop("python", None)
    return kept


def clean(value: Any, key: str = "") -> Any:
    """`value` as bounded JSON: text cut and without absolute paths, lists cut, NaN and ±Inf as their JSON names."""
    if isinstance(value, float):
        return finite_or_name(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value[:TEXT_LIMIT] if key in NAMES else short_paths(value)[:TEXT_LIMIT]
    if isinstance(value, Mapping):
        items = list(value.items())[:LIST_LIMIT]
        return {str(k)[:TEXT_LIMIT]: clean(v, str(k)) for k, v in items}
    if isinstance(value, Sequence):
        return [clean(v, key) for v in value[:LIST_LIMIT]]
    return str(value)[:TEXT_LIMIT]


def finite_or_name(value: float) -> float | str:
    """A float that JSON can hold, or "NaN", "Infinity", "-Infinity"."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def short_paths(text: str) -> str:
    """`text` without absolute paths and without user names in URLs: `/home/ann/ws/.mltrain/runs/r/work/cell.py` becomes
    `cell.py`, what lies in an environment `…/tensorflow/python/ops.py`, any other `…/last`."""
    return _PATH.sub(_short, _USERINFO.sub("", text))


def _short(match: re.Match[str]) -> str:
    path = match.group()
    inside = _RUN_FOLDER.sub("", path)
    if inside != path:
        return inside or "."
    for folder in ("/site-packages/", "/dist-packages/"):
        if folder in path:
            return "…/" + path.rpartition(folder)[2]
    return "…/" + (match["last"] or path.rstrip("/").rpartition("/")[2])
