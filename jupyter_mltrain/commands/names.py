"""Which names a script uses without defining them, read from its compiled code: nothing is run.

The compiler has settled the scopes already (comprehensions, `global`, class bodies, closures, conditional imports), so
a name that no code object stores, and some code object loads from the module, must come from somewhere else.
"""

from __future__ import annotations

import ast
import builtins
import dis
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

_LOADS = {"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS", "DELETE_NAME", "DELETE_GLOBAL"}
_CATCHES_NAME_ERROR = {"NameError", "Exception", "BaseException"}
_DYNAMIC_CALLS = {"exec", "eval", "globals", "locals", "vars"}

IPYTHON_NAMES = frozenset(
    {"get_ipython", "display", "In", "Out", "_", "__", "___", "_i", "_ii", "_iii", "_ih", "_oh", "_dh"}
)
"""Names that IPython gives to a notebook and that a script does not have."""

_SCRIPT_NAMES = (frozenset(dir(builtins)) - {"display", "get_ipython"}) | {"exit", "quit"}


@dataclass(frozen=True)
class Use:
    """A name that is used and not defined. `line` counts from 1. `certain`: the script surely comes to it, unless it
    ends before, and finds nothing, because it stands in the open, under no condition."""

    name: str
    line: int
    certain: bool


def undefined(tree: ast.Module, code: CodeType) -> list[Use]:
    """The first use of each name that the script never defines, in order of lines.

    Empty for a script whose names cannot be known without running it (star imports, `exec`, `globals()`): no claim is
    better than a wrong one.
    """
    if _is_dynamic(tree):
        return []
    guarded, conditional = _guarded_lines(tree), _conditional_lines(tree)
    bound: set[str] = set()
    uses: list[Use] = []
    for body, is_module in _bodies(code):
        stored, loaded = _names(body)
        bound |= stored["STORE_GLOBAL"] | (stored["STORE_NAME"] if is_module else set())
        in_class = set() if is_module else stored["STORE_NAME"]
        uses += [
            Use(name, line, certain=is_module and line not in conditional)
            for name, line in loaded
            if name not in in_class and line not in guarded
        ]
    first: dict[str, Use] = {}
    for use in sorted(uses, key=lambda u: (u.line, u.name)):
        special = use.name.startswith("__") and use.name.endswith("__")
        if use.name not in bound and use.name not in _SCRIPT_NAMES and not special:
            known = first.setdefault(use.name, use)
            if use.certain and not known.certain:
                first[use.name] = Use(use.name, known.line, certain=True)
    return list(first.values())


def _bodies(code: CodeType, *, is_module: bool = True) -> Iterator[tuple[CodeType, bool]]:
    # From Python 3.14 on, annotations are compiled into functions that nobody need ever call.
    if code.co_name == "__annotate__":
        return
    yield code, is_module
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _bodies(constant, is_module=False)


def _names(code: CodeType) -> tuple[dict[str, set[str]], list[tuple[str, int]]]:
    stored: dict[str, set[str]] = {"STORE_NAME": set(), "STORE_GLOBAL": set()}
    loaded: list[tuple[str, int]] = []
    line = code.co_firstlineno
    for instruction in dis.get_instructions(code):
        if instruction.positions is not None and instruction.positions.lineno is not None:
            line = instruction.positions.lineno
        if instruction.opname in stored:
            stored[instruction.opname].add(instruction.argval)
        elif instruction.opname in _LOADS:
            loaded.append((instruction.argval, line))
    return stored, loaded


def _is_dynamic(tree: ast.Module) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            return True
        if isinstance(node, ast.Import) and any(alias.name == "builtins" for alias in node.names):
            return True
        # By their bare names: `model.eval()` defines nothing.
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _DYNAMIC_CALLS:
            return True
    return False


def _guarded_lines(tree: ast.Module) -> set[int]:
    """Lines in a `try` that catches NameError: what is missing there is dealt with."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Try, ast.TryStar)) and any(_catches_name_error(h) for h in node.handlers):
            for statement in node.body:
                lines |= _span(statement)
    return lines


def _catches_name_error(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(kind, ast.Name) and kind.id in _CATCHES_NAME_ERROR for kind in kinds)


def _conditional_lines(tree: ast.Module) -> set[int]:
    """Lines that the script may never come to: those of branches, loops, `try` statements and expressions that choose."""
    branching = (
        ast.If,
        ast.For,
        ast.AsyncFor,
        ast.While,
        ast.Try,
        ast.TryStar,
        ast.Match,
        ast.IfExp,
        ast.BoolOp,
        ast.Assert,
    )
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, branching):
            lines |= _span(node)
    return lines


def _span(node: ast.stmt | ast.expr) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
