"""A run's records as MLflow can hold them: points, parameters and tags; and what it cannot hold, kept as logged.

| record | in MLflow | in `mltrain/values.jsonl` |
|---|---|---|
| number | point | also, if ±Inf (MLflow holds ±1.8e308) or an integer beyond 2⁵³ (rounded) |
| true, false | point 1, 0 | |
| text, null | | yes |
| list | a point per number | also, if it holds anything else |
| row | a point per number, key `name/column` | yes |
| tag, property, param | tag, tag `mltrain.property.…`, parameter | also, if shortened or refused |
| table, image, artifact, unknown kinds, unreadable lines | | yes |
| progress | | |

A line of the values file is `{"rank": 0, "record": the record}`, or `{"key": MLflow's key, "name": the full name}`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jupyter_mltrain.core.mlflow_names import is_shortened, metric_key, tag_key
from jupyter_mltrain.core.records import Item, Scalar

PARAM_LIMIT = 6000
TAG_LIMIT = 5000
"""Characters of a value that every MLflow server since 2.0 takes."""

_EXACT = 1 << 53


class Point(NamedTuple):
    """A point of an MLflow metric; time in milliseconds since the epoch."""

    key: str
    value: float
    time: int
    step: int


@dataclass
class Converted:
    """What a piece of a stream became."""

    points: list[Point] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    values: list[str] = field(default_factory=list)


class Converter:
    """Converts the records of one stream file of `rank`, in order.

    `counts` (points so far, by series) and `told` (keys whose full names stand in the values file) are carried on.
    """

    def __init__(self, rank: int, counts: dict[str, int], told: list[str]) -> None:
        self._rank = rank
        self._counts = counts
        self._told = told
        self._keys: dict[str, str] = {}

    def convert(self, records: list[Scalar | Item]) -> Converted:
        out = Converted()
        for record in records:
            if isinstance(record, list):
                self._scalar(out, record)
            else:
                self._item(out, record)
        return out

    def _scalar(self, out: Converted, record: Scalar) -> None:
        name, step, time, value = record
        if type(value) is float:
            self._point(out, name, step, time, value)
            if math.isinf(value):
                self._keep(out, record)
        elif type(value) is int or type(value) is bool:
            if -_EXACT <= value <= _EXACT:
                self._point(out, name, step, time, float(value))
            else:
                if (rounded := _float(value)) is not None:
                    self._point(out, name, step, time, rounded)
                self._keep(out, record)
        else:
            self._keep(out, record)

    def _item(self, out: Converted, item: Item) -> None:
        kind, key, time = item["k"], item.get("key"), item.get("t")
        when = float(time) if isinstance(time, int | float) and 0 <= time < 1e11 else 0.0
        if kind == "progress":
            return
        if kind in {"tag", "property", "param"} and isinstance(key, str):
            self._label(out, item, kind, key)
        elif kind == "list" and isinstance(item.get("name"), str) and isinstance(item.get("values"), list):
            whole = True
            for value in item["values"]:
                whole &= self._number(out, item["name"], when, value)
            if not whole:
                self._keep(out, item)
        else:
            if kind == "row" and isinstance(item.get("name"), str) and isinstance(item.get("row"), dict):
                for column, value in item["row"].items():
                    self._number(out, f"{item['name']}/{column}", when, value)
            self._keep(out, item)

    def _label(self, out: Converted, item: Item, kind: str, key: str) -> None:
        value = item.get("value")
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        name = tag_key(key)
        limit = PARAM_LIMIT if kind == "param" else TAG_LIMIT
        if kind == "property":
            name = tag_key(f"property.{key}").replace("property.", "mltrain.property.", 1)
        if len(text) > limit or is_shortened(name) or len(name) > 250:
            self._keep(out, item)
        if len(name) <= 250:
            (out.params if kind == "param" else out.tags)[name] = text[:limit]

    def _number(self, out: Converted, name: str, time: float, value: Any) -> bool:
        """Add a number as a point of `name`; whether MLflow holds it exactly."""
        if not isinstance(value, int | float):
            return False
        number = _float(value)
        if number is None:
            return False
        self._point(out, name, None, time, number)
        return not math.isinf(number) and (not isinstance(value, int) or -_EXACT <= value <= _EXACT)

    def _point(self, out: Converted, name: str, step: int | None, time: float, value: float) -> None:
        count = self._counts.get(name, 0)
        self._counts[name] = count + 1
        key = self._keys.get(name)
        if key is None:
            key = self._keys[name] = self._key(out, name)
        # MLflow knows no time before 1970; `round`, because `int(t * 1000)` is off by one for half of all times.
        milliseconds = round(time * 1000) if time > 0 else 0
        out.points.append(Point(key, value, milliseconds, count if step is None else step))

    def _key(self, out: Converted, name: str) -> str:
        key = metric_key(name, self._rank)
        if is_shortened(key) and key not in self._told:
            self._told.append(key)
            out.values.append(json.dumps({"key": key, "name": name}, ensure_ascii=False))
        return key

    def _keep(self, out: Converted, record: Any) -> None:
        out.values.append(json.dumps({"rank": self._rank, "record": record}, ensure_ascii=False))


def _float(value: float) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None
