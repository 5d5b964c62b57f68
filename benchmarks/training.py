"""What logging every step costs a real training loop: TensorFlow, MNIST, the run followed and published to MLflow.

Within one process, blocks with logging and blocks without follow each other in turns: two processes of the same training
differ by more than what is to be found. A block is timed after it has run for as long as publishing lags behind, so that
the timed part bears the cost of as many points as it logs; between blocks all that is pending is published first.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from benchmarks.place import Place, end, published, service, submit, until
from benchmarks.samples import in_turns, upper_bound
from benchmarks.table import Row
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.service.publication import LIVE_SECONDS

BAR = 0.03
PAIRS = 12


def measure(place: Place, *, quick: bool) -> list[Row]:
    if quick:
        return []
    workspace = place.workspace("training")
    talk = place.folder / "training-talk"
    talk.mkdir()
    # Two rounds of publishing fall into what is timed.
    run = submit(
        workspace,
        "training_loop.py",
        str(talk),
        str(LIVE_SECONDS),
        str(2 * LIVE_SECONDS),
        environment="tensorflow",
        data=["mnist"],
    )
    block = _Blocks(run, talk)
    for logged in (True, False):  # MLflow's process starts, its database is made
        block(logged=logged)
    block.shares.clear()
    block.shares_without.clear()
    with_logging, without = in_turns(PAIRS, lambda: block(logged=True), lambda: block(logged=False))
    block.finish()
    state = published(run)
    end(workspace)
    slowdowns = [plain / logged - 1 for logged, plain in zip(with_logging, without, strict=True)]
    bound = upper_bound(slowdowns)
    measured = f"95 % bound {bound:.1%}; mean {statistics.fmean(slowdowns):.1%}, standard deviation {statistics.stdev(slowdowns):.1%}"
    baseline = (
        f"without logging {statistics.fmean(without):.0f} steps/s, {PAIRS} pairs of {2 * LIVE_SECONDS:.0f} s;"
        f" {state['metric_points']:,} points published. Processor while logging, service and MLflow:"
        f" {statistics.fmean(block.shares):.1%} of a core; while not: {statistics.fmean(block.shares_without):.1%}"
    )
    return [
        Row(
            "slow-down of a training loop that logs every step, MLflow publishing on",
            measured,
            "≤ 3 %",
            baseline,
            bound <= BAR,
        )
    ]


class _Blocks:
    """Tells the script what to do next."""

    def __init__(self, run: Run, folder: Path) -> None:
        self._run, self._folder, self._next = run, folder, 0
        self._service = service(run.workspace)
        self.shares: list[float] = []
        """Of a core, what the service and MLflow took in each block that logged, and in each that did not."""
        self.shares_without: list[float] = []

    def __call__(self, *, logged: bool) -> float:
        """Steps per second of one block, begun when nothing of the last one is left to do."""
        _wait_for(lambda: _share(self._service) < 0.03, "the service and MLflow do not come to rest")
        used, started = _processor_seconds(self._service), time.perf_counter()
        self._order("1" if logged else "0")
        rate = float(until(self._folder / f"rate-{self._next}", self._run, patience=600))
        self._next += 1
        share = (_processor_seconds(self._service) - used) / (time.perf_counter() - started)
        (self.shares if logged else self.shares_without).append(share)
        if logged:
            time.sleep(LIVE_SECONDS + 1)
        return rate

    def finish(self) -> None:
        self._order("")

    def _order(self, text: str) -> None:
        draft = self._folder / "order"
        draft.write_text(text)
        draft.rename(self._folder / f"block-{self._next}")


def _share(process: psutil.Process) -> float:
    """The part of a core that the service and its children take, over two seconds."""
    before = _processor_seconds(process)
    time.sleep(2)
    return (_processor_seconds(process) - before) / 2


def _processor_seconds(process: psutil.Process) -> float:
    """What the process and its children have used."""
    return sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True)))


def _wait_for(condition: Callable[[], bool], problem: str, patience: float = 120) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(problem)
        time.sleep(0.1)
