"""The widget's front end as the build left it: which files there are, their content, and the version they make."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from jupyter_mltrain.errors import NotFoundError, StorageError

FOLDER = Path(__file__).parent / "static"
LOADER = "loader.js"
PLOTLY = Path(__file__).parents[1] / "export" / "static" / "plotly-basic.min.js"
SERVED = ("card.js", "plotly.js")
"""What a page loads: from the Jupyter server, which gives these to anybody, or over the comm."""


def built() -> bool:
    """Whether the files are there: a clone that was not built has none."""
    return all(path.is_file() for path in (FOLDER / LOADER, FOLDER / "card.js", PLOTLY))


@cache
def version() -> str:
    """Changes with every change of a served file: a page, a server and a kernel know by it whether they mean the same."""
    return hashlib.sha256(b"".join(hashlib.sha256(read(name)).digest() for name in SERVED)).hexdigest()[:16]


def read(name: str) -> bytes:
    """A file of the front end. Raises `NotFoundError` for any other, `StorageError` where it was not built."""
    if name not in {LOADER, *SERVED}:
        raise NotFoundError(f"The widget has no file {name[:60]!r}.")
    try:
        if name == "plotly.js":
            # Exports have the same bundle, as a script; a wheel holds it once.
            return b"const module = { exports: {} };\n" + PLOTLY.read_bytes() + b"\nexport default module.exports;\n"
        return (FOLDER / name).read_bytes()
    except OSError as error:
        raise StorageError(
            f"The widget's front end is missing ({name}).",
            mend="Install the package anew; in a clone of it: `make build`.",
        ) from error
