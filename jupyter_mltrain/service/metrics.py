"""All values that a run logged, in the shapes of the SDK's `get_metrics`. Exact: read from the streams themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_mltrain.core import records

_CHUNK = 8 << 20


def metric_values(streams: Path) -> dict[str, Any]:
    """Name → value: a scalar logged once is itself, n times a list in order; rows and tables are columns; a list of one
    is its element; of an image logged several times the first location. Blocking.
    """
    values: dict[str, list[Any]] = {}
    shapes: dict[str, str] = {}
    for path in sorted(streams.glob("*.metrics")) if streams.is_dir() else []:
        if records.file_rank(path.name) is not None:
            for record in _read(path):
                if type(record) is list:
                    values.setdefault(record[0], []).append(record[3])
                    shapes[record[0]] = "scalar"
                else:
                    _take(values, shapes, record)
    return {name: _shape(shapes[name], logged) for name, logged in values.items()}


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        rest = b""
        while data := file.read(_CHUNK):
            found, consumed = records.parse(rest + data)
            rest = (rest + data)[consumed:]
            yield from found


def _take(values: dict[str, list[Any]], shapes: dict[str, str], item: dict[str, Any]) -> None:
    kind, name = item["k"], item.get("name")
    if not isinstance(name, str):
        return
    if kind == "list" and isinstance(item.get("values"), list):
        values.setdefault(name, []).extend(item["values"])
        shapes[name] = "scalar"
    elif kind == "row" and isinstance(item.get("row"), dict):
        values.setdefault(name, []).append(item["row"])
        shapes[name] = "row"
    elif kind == "table" and isinstance(item.get("table"), dict):
        values.setdefault(name, []).append(item["table"])
        shapes[name] = "row"
    elif kind == "image":
        values.setdefault(name, []).append(item.get("path"))
        shapes[name] = "image"


def _shape(shape: str, logged: list[Any]) -> Any:
    if shape == "image":
        return logged[0]
    if shape == "row":
        if len(logged) == 1:
            return logged[0]
        columns: dict[str, list[Any]] = {}
        for row in logged:
            for column, value in row.items():
                columns.setdefault(column, []).extend(value if isinstance(value, list) else [value])
        return columns
    return logged[0] if len(logged) == 1 else logged
