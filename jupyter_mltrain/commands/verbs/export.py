"""`export`: a notebook as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.commands.display import Text, size
from jupyter_mltrain.errors import PathNotFound

if TYPE_CHECKING:
    from collections.abc import Callable


def export(context: Context, *, notebook: str, output: str | None = None) -> Text:
    """Write `notebook` as one self-contained HTML file to `output` (default: beside it, `.html`)."""
    source = context.folder / Path(notebook).expanduser()
    if not source.is_file():
        near = [p.name for p in sorted(source.parent.glob("*.ipynb"))] if source.parent.is_dir() else []
        raise PathNotFound.of(notebook, near)
    target = context.folder / Path(output).expanduser() if output else source.with_suffix(".html")
    if target.is_dir():
        target /= f"{source.stem}.html"
    written = _exporter()(source, target)
    return Text(f"Wrote {written} ({size(Path(written).stat().st_size)}).")


def _exporter() -> Callable[[Path, Path], Path]:
    # By name: the exporter lies in a layer beside the magics and the terminal, above the verbs.
    from importlib import import_module  # noqa: PLC0415

    return import_module("jupyter_mltrain.export").export_notebook
