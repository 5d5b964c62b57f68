"""`run`: a Python file as a script."""

from __future__ import annotations

from typing import Any

from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.commands.plan import Plan
from jupyter_mltrain.commands.submit import Source, Started, start


def run(context: Context, *, file: str, **options: Any) -> Started | Plan:
    """Submit `file` as a script, with the options of `%%mltrain`; returns at once."""
    return start(context, Source.of_file(file, context.folder), options, file=file)
