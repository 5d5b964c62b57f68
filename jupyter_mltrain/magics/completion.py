"""Tab completion of the magics. It asks the service only if one is running, and never for longer than a blink."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from IPython.core.completer import SimpleCompletion, context_matcher

from jupyter_mltrain.commands.candidates import candidates

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult


@context_matcher(identifier="mltrain", priority=200)  # pyright: ignore[reportUntypedFunctionDecorator]
def complete(context: CompletionContext) -> SimpleMatcherResult:
    """What may stand at the cursor of a `%mltrain` or `%%mltrain` line; nothing of Python's makes sense there."""
    words, word = _at_cursor(context.text_until_cursor)
    if not words or words[0] not in {"%mltrain", "%%mltrain"}:
        return {"completions": [], "suppress": False}
    found = candidates(words[1:], word, cell=words[0] == "%%mltrain", folder=Path.cwd())
    return {
        "completions": [SimpleCompletion(text=text, type="mltrain") for text in found],
        "matched_fragment": word,
        "suppress": True,
        "ordered": True,
    }


def _at_cursor(line: str) -> tuple[list[str], str]:
    """The words before the cursor, and the one under it."""
    words = line.split()
    if not words or line[-1].isspace():
        return words, ""
    return words[:-1], words[-1]
