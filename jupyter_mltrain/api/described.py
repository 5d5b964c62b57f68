"""What people say of a registered model or an endpoint, and how one is found by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Described:
    """Tags, which may change, properties, which never do, and a description."""

    entry: dict[str, Any]

    @property
    def tags(self) -> dict[str, str]:
        return dict(self.entry["tags"])

    @property
    def properties(self) -> dict[str, str]:
        return dict(self.entry["properties"])

    @property
    def description(self) -> str:
        return str(self.entry["description"])


def fits(entry: Mapping[str, Any], tags: Sequence[Any] | None, properties: Sequence[Any] | None) -> bool:
    """Whether an entry has all of these: `KEY`, or `[KEY, VALUE]`, each."""
    return _has(entry["tags"], tags) and _has(entry["properties"], properties)


def _has(there: Mapping[str, str], asked: Sequence[Any] | None) -> bool:
    pairs = [(each, None) if isinstance(each, str) else tuple(each) for each in asked or ()]
    return all(key in there and value in (None, there[key]) for key, value in pairs)
