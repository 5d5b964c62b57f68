"""`export_notebook`: reads, brings runs up to date, renders with nbconvert, writes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import nbformat

from jupyter_mltrain.errors import NotWritable, PathNotFound, UsageError
from jupyter_mltrain.export.outputs import self_contained
from jupyter_mltrain.export.page import render
from jupyter_mltrain.export.resolve import Resolver


def export_notebook(path: Path | str, output: Path | str | None = None, *, root: Path | str | None = None) -> Path:
    """Write the notebook at `path` as one self-contained HTML file and return where it is.

    `output` is the file to write (default: beside the notebook, with `.html`). Runs are shown as they stand now where
    their workspace can be reached (`root`, or the one around the notebook, or the user's registered one of that id),
    else as they were saved. Raises `PathNotFound` without such a notebook, `UsageError` for a file that is none,
    `NotWritable` where the result cannot be written.
    """
    source = Path(path)
    exported = self_contained(_read(source), Resolver(root=Path(root) if root else None, start=source.resolve().parent))
    target = Path(output) if output else source.with_suffix(".html")
    _write(target, render(exported, title=source.stem))
    return target


def _read(path: Path) -> nbformat.NotebookNode:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise PathNotFound(f"There is no notebook at {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a notebook: it is no UTF-8 text.") from error
    try:
        return nbformat.reads(text, as_version=4)  # pyright: ignore[reportUnknownMemberType] - untyped library
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, AttributeError, KeyError) as error:
        raise UsageError(f"{path} is not a notebook.", mend="Give an .ipynb file.") from error


def _write(target: Path, page: str) -> None:
    # A half-written file never takes the place of a whole one.
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(page)
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except OSError as error:
        raise NotWritable(f"{target} cannot be written: {error.strerror}.", mend="Name another file.") from error
