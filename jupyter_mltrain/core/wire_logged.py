"""The documents about what a run logged beside numbers: images and tables. See `core.wire`."""

from __future__ import annotations

from typing_extensions import TypedDict

from jupyter_mltrain.core.wire import LoggedNumber


class LoggedImage(TypedDict):
    name: str
    path: str
    """Of a file of the run (`GET /v1/runs/{id}/file`)."""
    step: int | None


class LoggedTable(TypedDict):
    """The newest rows of what `log_row` and `log_table` logged under a name; `rows[i][j]` belongs to `columns[j]`."""

    name: str
    columns: list[str]
    rows: list[list[LoggedNumber | str | bool | None]]
    total: int
    """How many rows there are."""


class LoggedItems(TypedDict):
    images: list[LoggedImage]
    """The newest, oldest first."""
    images_total: int
    tables: list[LoggedTable]
    tables_total: int
