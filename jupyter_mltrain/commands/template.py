"""`{name}` in a magic's line, filled in from the kernel, token by token. No `eval`: only plain names.

    {lr}            the value of `lr`; a token stays one token, whatever the value holds
    {"lr": {lr}}    braces around anything but a name (JSON) stay as they are
    {{lr}}          the text `{lr}`: a doubled pair of braces around a name stands for the pair itself, as in `format`

Values: text, paths and numbers as `str` gives them (NumPy scalars as Python numbers), lists, tuples and dicts as JSON.
Anything else (an array, a model) has no text that a script could read, and is refused.
"""

from __future__ import annotations

import json
import keyword
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from jupyter_mltrain.commands.grammar import nearest_of
from jupyter_mltrain.errors import UsageError

_FIELD = re.compile(r"(\{+)([^\W\d]\w*)(\}+)")
_LOOKALIKE = re.compile(r"\{[^\W\d]\w*[.\[(:!][^{}\"']*\}")


def fill(tokens: Iterable[str], namespace: Mapping[str, Any]) -> list[str]:
    """The tokens with each `{name}` replaced; raises `UsageError` naming a name that does not exist."""
    return [_fill_token(token, namespace) for token in tokens]


def left_alone(tokens: Iterable[str]) -> list[str]:
    """What looks as if it was meant to be filled in but is no plain name: `{config.lr}`, `{lr:.2f}`."""
    return [match for token in tokens for match in _LOOKALIKE.findall(token)]


def _fill_token(token: str, namespace: Mapping[str, Any]) -> str:
    def replace(match: re.Match[str]) -> str:
        opening, name, closing = match.groups()
        if not name.isidentifier() or keyword.iskeyword(name):
            return match[0]
        # Surplus braces on one side belong to JSON around the field; pairs stand for one brace each.
        pairs = min(len(opening), len(closing))
        kept = pairs // 2
        inner = name if pairs % 2 == 0 else text_of(name, namespace)
        return "{" * (len(opening) - pairs + kept) + inner + "}" * (len(closing) - pairs + kept)

    return _FIELD.sub(replace, token)


def text_of(name: str, namespace: Mapping[str, Any]) -> str:
    """The value of `name` as the text a script gets."""
    if name not in namespace:
        near = nearest_of(name, (n for n in namespace if not n.startswith("_")))
        mend = (
            f"Did you mean {' or '.join('{' + n + '}' for n in near)}?"
            if near
            else f"Define it in the kernel first: {name} = …"
        )
        raise UsageError(f"{{{name}}}: there is no variable `{name}` in the kernel.", mend=mend)
    value = namespace[name]
    if isinstance(value, (str, int, float)):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)  # type: ignore[arg-type] - a PathLike of any kind
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return str(value.item())
    if isinstance(value, (list, tuple, dict)):
        try:
            return json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError) as error:
            raise _no_text(name, value) from error
    if hasattr(value, "shape") or type(value).__str__ is object.__str__:
        raise _no_text(name, value)
    return str(value)


def _no_text(name: str, value: object) -> UsageError:
    shape = getattr(value, "shape", None)
    what = f"an array of shape {tuple(shape)}" if isinstance(shape, tuple) and shape else f"a {type(value).__name__}"  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return UsageError(
        f"{{{name}}} is {what}: it has no text that a script could read.",
        mend=f"Save `{name}` to a file, pass its path, and send the folder along with `-s DIR`.",
    )
