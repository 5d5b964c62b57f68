"""`%load_ext jupyter_mltrain` in an IPython that has just started, over the same IPython without it."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time

from benchmarks.place import Place
from benchmarks.samples import in_turns, median_difference, milliseconds
from benchmarks.table import Row

BAR = 0.150


def measure(place: Place, *, quick: bool) -> list[Row]:
    def ipython(code: str, processor: list[float]) -> float:
        started, used = time.perf_counter(), _children()
        command = [sys.executable, "-m", "IPython", "--no-banner", "--HistoryManager.enabled=False", "-c", code]
        subprocess.run(command, cwd=place.folder, check=True, stdout=subprocess.DEVNULL)
        processor.append(_children() - used)
        return time.perf_counter() - started

    loaded: list[float] = []
    plain: list[float] = []

    def with_extension() -> float:
        return ipython("%load_ext jupyter_mltrain", loaded)

    with_extension()  # files in the page cache, bytecode written
    loaded.clear()
    ours, bare = in_turns(3 if quick else 15, with_extension, lambda: ipython("pass", plain))
    cost = median_difference(ours, bare)
    measured = f"{milliseconds(cost)} ({milliseconds(median_difference(loaded, plain))} of processor time)"
    baseline = f"bare IPython {milliseconds(statistics.median(bare))}, median of {len(bare)} pairs"
    return [Row("%load_ext over bare IPython", measured, "≤ 150 ms", baseline, cost <= BAR)]


def _children() -> float:
    """Processor seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
