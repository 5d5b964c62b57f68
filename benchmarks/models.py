"""Registering a large model, and rows of a table from a script."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from pathlib import Path

from benchmarks.place import Place, end, published, submit, wait
from benchmarks.table import Row
from jupyter_mltrain.api.model import Model
from jupyter_mltrain.api.run import Run

REGISTER_BAR, ROWS_BAR = 2.0, 0.2
ROUNDS = 3


def measure(place: Place, *, quick: bool) -> list[Row]:
    workspace = place.workspace("models")
    run = submit(workspace, "rows.py", str(3000))
    wait(run)
    rows = float(run.get_metrics()["seconds"])
    size = 10**8 if quick else 10**9
    made = submit(workspace, "weights.py", str(size))
    wait(made)
    # The MLflow process starts with the first registration, and is there in a workspace that is in use.
    small = place.folder / "small.bin"
    small.write_bytes(b"x")
    Model.register(workspace, small, "small")
    published(made)
    began = time.monotonic()
    made.register_model("from-run", "outputs/weights.bin")
    from_run = time.monotonic() - began
    file = place.folder / "weights.bin"
    shutil.copyfile(made_file(made), file)
    copies, took = [], []
    for number in range(ROUNDS):
        # In turns: what a copy takes depends on whether the memory for it was in use before.
        began = time.monotonic()
        shutil.copyfile(file, place.folder / f"copy-{number}.bin")
        copies.append(time.monotonic() - began)
        with file.open("r+b") as changed:
            changed.write(os.urandom(8))
        began = time.monotonic()
        Model.register(workspace, file, "from-disk")
        took.append(time.monotonic() - began)
    end(workspace)
    return [
        Row("run.log_row × 3,000, in a run", f"{rows:.3f} s", f"≤ {ROWS_BAR} s", "", rows <= ROWS_BAR),
        Row(
            f"registering {size / 1e9:g} GB that a run left",
            f"{from_run:.2f} s",
            f"≤ {REGISTER_BAR} s",
            f"copying it {min(copies):.2f}–{max(copies):.2f} s",
            from_run <= REGISTER_BAR,
        ),
        Row(
            "registering a file that no run made, as large",
            f"{statistics.median(took):.2f} s",
            f"≤ {REGISTER_BAR} s",
            f"copying alone, in turns, {statistics.median(copies):.2f} s",
            statistics.median(took) <= REGISTER_BAR,
        ),
    ]


def made_file(run: Run) -> Path:
    return run.workspace.root / ".mltrain" / "runs" / run.id / "outputs" / "weights.bin"
