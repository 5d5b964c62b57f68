"""Keys in the paths of a dataset's files: `{state}/{date:yyyy/MM/dd}/data.csv`, as the SDK writes it."""

from __future__ import annotations

import re

from jupyter_mltrain.errors import UserErrorException

_KEY = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::([yMdHms\-_/.:]+))?\}")
_DATE = re.compile(r"y+|M+|d+|H+|m+|s+")


def partition_keys(pattern: str) -> tuple[str, ...]:
    """The names of the keys, in order. Raises `UserErrorException` for a pattern that cannot be read."""
    keys = tuple(found.group(1) for found in _KEY.finditer(pattern))
    if set("{}") & set(_KEY.sub("", pattern)) or len(set(keys)) != len(keys):
        raise UserErrorException(
            f"The partition format {pattern!r} cannot be read.",
            mend="Write each key once: {name}, or {name:yyyy/MM/dd} for a date.",
        )
    return keys


def partition_values(pattern: str, path: str) -> dict[str, str] | None:
    """The values of the keys in a path, whose end the pattern describes; None where it does not."""
    partition_keys(pattern)
    found = re.search(rf"(?:^|/){_expression(pattern.lstrip('/'))}$", path)
    return found.groupdict() if found else None


def _expression(pattern: str) -> str:
    parts: list[str] = []
    at = 0
    for key in _KEY.finditer(pattern):
        parts.append(re.escape(pattern[at : key.start()]))
        date = key.group(2)
        value = _DATE.sub(lambda unit: rf"\d{{{len(unit.group())}}}", re.escape(date)) if date else "[^/]+"
        parts.append(f"(?P<{key.group(1)}>{value})")
        at = key.end()
    return "".join([*parts, re.escape(pattern[at:])])
