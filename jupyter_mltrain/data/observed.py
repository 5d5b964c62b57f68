"""Whether data changed while somebody read it: sizes and times of its files, before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from jupyter_mltrain.data.listing import MOST_FILES
from jupyter_mltrain.data.places import Entry, LocalPlace
from jupyter_mltrain.data.sources import NotReached

Seen = Mapping[str, Sequence[object]]
"""Path in the folder → bytes and stamp."""


def observe(path: Path) -> Seen | None:
    """The files of a folder, or a single one; None where they are too many to be looked at, or may not be."""
    place = LocalPlace()
    try:
        found = place.look(str(path))
        if isinstance(found, Entry):
            return {path.name: [found.size, found.stamp]}
        entries = list(islice(place.walk(str(path)), MOST_FILES + 1)) if found else []
    except NotReached:
        return None
    base = str(path).rstrip("/")
    return {e.path[len(base) + 1 :]: [e.size, e.stamp] for e in entries} if len(entries) <= MOST_FILES else None


def changes(before: Seen, now: Seen | None) -> list[str]:
    """Paths that came, went or changed; none where it cannot be said."""
    if now is None:
        return []
    return sorted(path for path in before.keys() | now.keys() if list(before.get(path, ())) != list(now.get(path, ())))
