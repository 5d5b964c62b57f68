"""Tab completion of the magics. It asks the service only if one is running, and never for longer than a blink."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.commands.candidates import candidates

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def complete(shell: InteractiveShell, event: Any) -> list[str]:
    """What may stand at the cursor of a `%mltrain` or `%%mltrain` line. `event` is IPython's: `text_until_cursor`, `symbol`."""
    del shell
    line: str = event.text_until_cursor
    words = line.split()
    word = "" if line[-1:].isspace() else words.pop()
    cell = line.lstrip().startswith("%%")
    return candidates(words[1:], word, cell=cell, folder=Path.cwd())
