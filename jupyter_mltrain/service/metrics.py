"""All values that a run logged, in the shapes of the SDK's `get_metrics`. Exact: read from the streams themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_mltrain.core import records

_CHUNK = 8 << 20


def metric_values(streams: Path, rank: int = 0) -> dict[str, Any]:
    """What a rank logged. Name → value: a scalar logged once is itself, n times a list in order; rows and tables are columns; a list of one
    is its element; of an image logged several times the first location. What was logged in several of these kinds under
    one name is the list of all, in order. Blocking.
    """
    said: dict[str, list[tuple[str, Any]]] = {}
    for path in in_order(streams):
        if records.file_rank(path.name) != rank:
            continue
        for record in _read(path):
            if type(record) is list:
                said.setdefault(record[0], []).append(("scalar", record[3]))
            else:
                _take(said, record)
    return {name: _shape(logged) for name, logged in said.items()}


def in_order(streams: Path) -> list[Path]:
    """The files of records, by the time of the first: a run that began anew wrote others, of any process number."""
    found = [path for path in streams.glob("*.metrics") if records.file_rank(path.name) is not None]
    return sorted(found, key=lambda path: (_began(path), path.name))


def _began(path: Path) -> float:
    with path.open("rb") as file:
        found, _ = records.parse(file.readline(_CHUNK))
    first: Any = found[0] if found else None
    when = first[2] if type(first) is list else first.get("t") if first is not None else None
    return float(when) if isinstance(when, int | float) else 0.0


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        rest = b""
        while data := file.read(_CHUNK):
            found, consumed = records.parse(rest + data)
            rest = (rest + data)[consumed:]
            yield from found


def _take(said: dict[str, list[tuple[str, Any]]], item: dict[str, Any]) -> None:
    kind, name = item["k"], item.get("name")
    if not isinstance(name, str):
        return
    if kind == "list" and isinstance(item.get("values"), list):
        said.setdefault(name, []).extend(("scalar", value) for value in item["values"])
    elif kind in {"row", "table"} and isinstance(item.get(kind), dict):
        said.setdefault(name, []).append(("row", item[kind]))
    elif kind == "image":
        said.setdefault(name, []).append(("image", item.get("path")))


def _shape(logged: list[tuple[str, Any]]) -> Any:
    kinds, values = {kind for kind, _ in logged}, [value for _, value in logged]
    if len(values) == 1 or kinds == {"image"}:
        return values[0]
    if kinds == {"row"}:
        columns: dict[str, list[Any]] = {}
        for row in values:
            for column, value in row.items():
                columns.setdefault(column, []).extend(value if isinstance(value, list) else [value])
        return columns
    return values
