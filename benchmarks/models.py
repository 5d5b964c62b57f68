"""Registering a large model, and rows of a table from a script."""

from __future__ import annotations

import os
import shutil
import time

from benchmarks.place import Place, end, submit, wait
from benchmarks.table import Row
from jupyter_mltrain.api.model import Model

REGISTER_BAR, ROWS_BAR = 2.0, 0.2


def measure(place: Place, *, quick: bool) -> list[Row]:
    workspace = place.workspace("models")
    run = submit(workspace, "rows.py", str(3000))
    wait(run)
    rows = float(run.get_metrics()["seconds"])
    size = 10**8 if quick else 10**9
    file = place.folder / "weights.bin"
    _fill(file, size)
    # The MLflow process starts with the first registration, and is there in a workspace that is in use.
    small = place.folder / "small.bin"
    small.write_bytes(b"x")
    Model.register(workspace, small, "small")
    began = time.monotonic()
    Model.register(workspace, file, "large")
    took = time.monotonic() - began
    began = time.monotonic()
    shutil.copyfile(file, place.folder / "copy.bin")
    copied = time.monotonic() - began
    end(workspace)
    return [
        Row("run.log_row × 3,000, in a run", f"{rows:.3f} s", f"≤ {ROWS_BAR} s", "", rows <= ROWS_BAR),
        Row(
            f"registering a model of {size / 1e9:g} GB",
            f"{took:.2f} s",
            f"≤ {REGISTER_BAR} s",
            f"copying the file alone {copied:.2f} s",
            took <= REGISTER_BAR,
        ),
    ]


def _fill(path: os.PathLike[str], size: int) -> None:
    block = os.urandom(1 << 20)
    with open(path, "wb") as file:  # noqa: PTH123 - any path
        file.writelines(block for _ in range(size // len(block)))
        os.fsync(file.fileno())
