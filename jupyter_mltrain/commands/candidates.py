"""What can stand at a place of a command line: verbs, options, and the names that an option or argument takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.commands.grammar import Argument, Grammar
from jupyter_mltrain.commands.verbs import CELL, VERBS
from jupyter_mltrain.errors import MLTrainError

if TYPE_CHECKING:
    from jupyter_mltrain.client.connection import Connection

_LISTS = {
    "environments": ("/v1/environments", "environments", "name"),
    "datasets": ("/v1/datasets", "datasets", "name"),
    "models": ("/v1/models", "models", "name"),
    "endpoints": ("/v1/endpoints", "endpoints", "name"),
    "targets": ("/v1/targets", "targets", "name"),
    "sizes": ("/v1/sizes", "sizes", "name"),
    "runs": ("/v1/runs", "runs", "display_name"),
}
_MOST = 50
_PATIENCE = 0.5


def candidates(before: Sequence[str], word: str, *, cell: bool, folder: Path, terminal: bool = False) -> list[str]:
    """What `word` may become, after the words `before` (those of the line without the magic's name)."""
    if "--" in before:
        return []  # the script's own arguments
    if not cell and not before:
        return [name for name in (*VERBS, "--help") if name.startswith(word)]
    if cell:
        return _of_grammar(CELL, before, word, folder, terminal)
    verb = VERBS.get(before[0])
    return [] if verb is None else _of_grammar(verb.grammar, before[1:], word, folder, terminal)


def _of_grammar(grammar: Grammar, before: Sequence[str], word: str, folder: Path, terminal: bool) -> list[str]:
    option = grammar.option(before[-1]) if before else None
    if option is not None and option.metavar:
        return _values(option.completes, word, folder)
    flag, equals, value = word.partition("=")
    option = grammar.option(flag)
    if equals and option is not None and option.metavar:
        return [f"{flag}={found}" for found in _values(option.completes, value, folder)]
    if word.startswith("-"):
        hidden = {f for o in grammar.options if o.terminal_only and not terminal for f in o.flags}
        return [f for f in grammar.flags() if f.startswith(word) and f not in hidden and f.startswith("--")]
    argument = _argument(grammar, before)
    if argument is None:
        return []
    return [c for c in argument.choices if c.startswith(word)] or _values(argument.completes, word, folder)


def _argument(grammar: Grammar, before: Sequence[str]) -> Argument | None:
    """The positional argument that comes next."""
    taken = 0
    for previous, token in zip(("", *before), before, strict=False):
        owner = grammar.option(previous)
        is_value = owner is not None and bool(owner.metavar)
        taken += not token.startswith("-") and not is_value
    if taken >= len(grammar.arguments) and grammar.arguments and grammar.arguments[-1].repeated:
        return grammar.arguments[-1]
    return grammar.arguments[taken] if taken < len(grammar.arguments) else None


def _values(kind: str, word: str, folder: Path) -> list[str]:
    if kind == "paths":
        return _paths(word, folder)
    if kind not in _LISTS:
        return []
    head, names = "", _names(kind, folder)
    if kind == "datasets" and "=" in word:
        head, _, word = word.rpartition("=")
        head += "="
    if kind == "environments":
        names = [*names, "current"]
    if kind == "runs":
        names = [*names, "latest"]
    return [head + name for name in dict.fromkeys(names) if name.startswith(word)]


def _names(kind: str, folder: Path) -> list[str]:
    connection = _running(folder)
    if connection is None:
        return []
    path, key, name = _LISTS[kind]
    try:
        answer = connection.get(path, timeout=_PATIENCE, limit=_MOST if kind == "runs" else None)
    except MLTrainError:
        return []  # completion offers what it can; a command says what is wrong
    entries: list[dict[str, Any]] = answer[key]
    return [str(entry[name]) for entry in entries]


def _running(folder: Path) -> Connection | None:
    from jupyter_mltrain.client.connection import Connection  # noqa: PLC0415 - nothing is loaded before it is used
    from jupyter_mltrain.client.workspaces import find_root  # noqa: PLC0415

    root = find_root(folder)
    return Connection.running(root, patience=2) if root else None


def _paths(word: str, folder: Path) -> list[str]:
    head, _, start = word.rpartition("/")
    base = Path("/") if word.startswith("/") and not head else folder / Path(head).expanduser()
    try:
        with os.scandir(base) as entries:
            found = [
                f"{e.name}/" if e.is_dir() else e.name
                for e in entries
                if e.name.startswith(start) and (start.startswith(".") or not e.name.startswith("."))
            ]
    except OSError:
        return []
    prefix = word[: len(word) - len(start)]
    return sorted(prefix + name for name in found)
