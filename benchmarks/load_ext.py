"""`%load_ext jupyter_mltrain` in an IPython that has just started, over the same IPython without it."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks.place import Place
from benchmarks.samples import in_turns, median_difference, milliseconds
from benchmarks.table import Row

BAR = 0.150


def measure(place: Place, *, quick: bool) -> list[Row]:
    def ipython(code: str) -> float:
        started = time.perf_counter()
        command = [sys.executable, "-m", "IPython", "--no-banner", "--HistoryManager.enabled=False", "-c", code]
        subprocess.run(command, cwd=place.folder, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - started

    ipython("%load_ext jupyter_mltrain")  # files in the page cache, bytecode written
    ours, bare = in_turns(3 if quick else 15, lambda: ipython("%load_ext jupyter_mltrain"), lambda: ipython("pass"))
    cost = median_difference(ours, bare)
    baseline = f"bare IPython {milliseconds(statistics.median(bare))}, median of {len(bare)} pairs"
    return [Row("%load_ext over bare IPython", milliseconds(cost), "≤ 150 ms", baseline, cost <= BAR)]
