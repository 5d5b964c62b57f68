"""From submission to the first line of the user's code, over `python script.py` with the same interpreter."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from pathlib import Path

from benchmarks.place import SCRIPTS, Place, end, submit, wait
from benchmarks.samples import in_turns, median_difference, milliseconds
from benchmarks.table import Row
from jupyter_mltrain.api.workspace import Workspace

BAR = 0.4


def measure(place: Place, *, quick: bool) -> list[Row]:
    workspace = place.workspace("first-line")
    rows = [
        _in_environment(place, workspace, name, 3 if quick else 15)
        for name in ("current", *(() if quick else ("tensorflow",)))
    ]
    end(workspace)
    return rows


def _in_environment(place: Place, workspace: Workspace, environment: str, pairs: int) -> Row:
    mark = place.folder / "reached"

    def as_run() -> float:
        started = time.time()
        run = submit(workspace, "now.py", str(mark), environment=environment)
        wait(run)
        return _taken(mark) - started

    run = submit(
        workspace, "now.py", str(mark), environment=environment
    )  # builds the environment where it is not there
    wait(run)
    _taken(mark)
    python = _interpreter(workspace, run.id)

    def plainly() -> float:
        started = time.time()
        subprocess.run([python, SCRIPTS / "now.py", mark], check=True)
        return _taken(mark) - started

    ours, plain = in_turns(pairs, as_run, plainly)
    cost = median_difference(ours, plain)
    what = f"first line of user code over `python script.py`, {environment}"
    baseline = f"python script.py {milliseconds(statistics.median(plain))}, median of {pairs} pairs"
    return Row(what, milliseconds(cost), "≤ 0.4 s", baseline, cost <= BAR)


def _interpreter(workspace: Workspace, run_id: str) -> str:
    """The Python that the run's process was started with, as its launch record has it."""
    folder = workspace.root / ".mltrain" / "runs" / run_id
    argv = json.loads((folder / "shim" / "r0.launch.json").read_text(encoding="utf-8"))["argv"]
    return str(argv[0])


def _taken(mark: Path) -> float:
    reached = float(mark.read_text())
    mark.unlink()
    return reached
