"""What a run logged beside numbers, for a page: its images and tables, the newest of them. Read from the streams."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from jupyter_mltrain.core import records
from jupyter_mltrain.core.wire_logged import LoggedImage, LoggedItems, LoggedTable
from jupyter_mltrain.service.metrics import in_order

MOST_ROWS = 200
_MOST_IMAGES = 200
_MOST_TABLES = 20
_MOST_COLUMNS = 50
_MOST_TEXT = 500


class _Table:
    """The newest rows under one name, and how many there were."""

    def __init__(self) -> None:
        self.columns: dict[str, None] = {}
        self.rows: deque[Mapping[str, Any]] = deque(maxlen=MOST_ROWS)
        self.total = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """A row, or, where its values are lists, as many as the longest of them has elements."""
        lists: list[list[Any]] = [value for value in row.values() if isinstance(value, list)]
        if not lists:
            self._keep(row)
        for index in range(max((len(each) for each in lists), default=0)):
            self._keep({column: _at(value, index) for column, value in row.items()})

    def _keep(self, row: Mapping[str, Any]) -> None:
        self.columns.update(dict.fromkeys(map(str, row)))
        self.rows.append(row)
        self.total += 1

    def shown(self, name: str) -> LoggedTable:
        columns = list(self.columns)[:_MOST_COLUMNS]
        rows = [[_cell(row.get(column)) for column in columns] for row in self.rows]
        return {"name": name, "columns": columns, "rows": rows, "total": self.total}


def logged_items(streams: Path) -> LoggedItems:
    """All ranks' images and tables, bounded. Blocking; lines of numbers are passed over unread."""
    images: deque[LoggedImage] = deque(maxlen=_MOST_IMAGES)
    tables: dict[str, _Table] = {}
    count = 0
    for item in _items(streams):
        name, kind = item.get("name"), item.get("k")
        if not isinstance(name, str):
            continue
        if kind == "image" and isinstance(path := item.get("path"), str):
            step = item.get("step")
            images.append({"name": name, "path": path, "step": step if isinstance(step, int) else None})
            count += 1
        elif kind in ("row", "table") and isinstance(row := item.get(kind), dict):
            tables.setdefault(name, _Table()).add(cast("dict[str, Any]", row))
    return {
        "images": list(images),
        "images_total": count,
        "tables": [table.shown(name) for name, table in list(tables.items())[:_MOST_TABLES]],
        "tables_total": len(tables),
    }


def _items(streams: Path) -> Iterator[records.Item]:
    for path in in_order(streams):
        with path.open("rb") as file:
            for line in file:
                if line.startswith(b"{"):
                    found, _ = records.parse(line)
                    yield from (each for each in found if isinstance(each, dict))


def _at(value: Any, index: int) -> Any:
    if not isinstance(value, list):
        return value
    elements = cast("list[Any]", value)
    return elements[index] if index < len(elements) else None


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else str(value)[:_MOST_TEXT]
