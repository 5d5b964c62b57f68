"""`data`: list, fetch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.commands.display import Table, Text, seconds, size
from jupyter_mltrain.commands.lookup import part
from jupyter_mltrain.commands.values import named
from jupyter_mltrain.errors import UsageError

_PATIENCE = 3600.0
"""Seconds that a fetch may take: it resumes where it stopped, so that asking again costs nothing."""


def data(context: Context, *, action: str | None = None, name: str | None = None) -> Table[Mapping[str, Any]] | Text:
    """`list` the datasets there are; `fetch` one now, so that a run need not. Raises `DatasetNotFound` with the nearest
    names, and `Unreachable` or `DownloadCorrupt` where no source gives it."""
    connection = context.workspace().connection
    if action in {None, "list"}:
        entries: list[Mapping[str, Any]] = connection.get("/v1/datasets")["datasets"]
        return Table(
            ("dataset", "version", "here", "files", "description"),
            [
                (
                    e["name"],
                    e["version"],
                    "yes" if e["cached"] else "fetched on first use",
                    len(e["files"]),
                    e["description"],
                )
                for e in entries
            ],
            items=entries,
        )
    if name is None:
        raise UsageError("`data fetch` needs the dataset's name.", mend="`%mltrain data list` lists them.")
    reference = str(named(name, "Dataset"))
    context.say(f"Fetching {reference} …")
    entry = connection.post(f"/v1/datasets/{part(reference)}/fetch", timeout=_PATIENCE)
    if entry["source"] == "cache":
        return Text(f"{reference} was here already: {entry['path']}")
    return Text(
        f"{reference}: {size(entry['bytes'])} from {entry['source']} in {seconds(entry['seconds'])}, checked. {entry['path']}"
    )
