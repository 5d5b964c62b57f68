"""Two processes with Horovod as a run, beside the same script under `horovodrun --gloo -np 2`, in turns."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.place import SCRIPTS, Place, end, wait
from benchmarks.samples import in_turns, median_difference, milliseconds, spread, upper_bound
from benchmarks.table import Row
from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.distributed import MpiConfiguration
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.core.layout import Layout

THROUGHPUT_BAR = 0.95
LAUNCH_BAR = 1.5
PAIRS = 10

_SCRIPT = "horovod_steps.py"
_WARM, _TIMED = 100, 1500
"""Steps. A rate over fewer than 15 seconds says more of what else two cores did than of Horovod."""


@dataclass(frozen=True)
class Sample:
    """One training: seconds until both processes had found each other; examples per second of both, warmed up."""

    launch: float
    rate: float


def measure(place: Place, *, quick: bool) -> list[Row]:
    if quick:
        return []
    workspace = place.workspace("distributed")
    notes = Notes(place.folder / "distributed-notes")
    # The environment is there, everything was read from disk once, and the environment's interpreter is known.
    run = _submit(workspace, notes.folder, 1)
    wait(run)
    launch = json.loads((Layout(workspace.root).run(run.id) / "shim" / "r0.launch.json").read_text(encoding="utf-8"))
    python = Path(launch["argv"][0])

    def as_run() -> Sample:
        return notes.of(lambda: wait(_submit(workspace, notes.folder, _TIMED)))

    def plainly() -> Sample:
        return notes.of(lambda: _horovodrun(python, notes.folder, _TIMED))

    plainly()
    ours, bare = in_turns(PAIRS, as_run, plainly)
    end(workspace)
    return [_throughput(ours, bare), _launched(ours, bare)]


class Notes:
    """The folder that the script writes to."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder

    def of(self, train: Callable[[], None]) -> Sample:
        for path in self.folder.iterdir():
            path.unlink()
        started = time.time()
        train()
        told = [json.loads((self.folder / f"{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1)]
        if [one["size"] for one in told] != [2, 2]:
            raise RuntimeError(f"The processes trained alone: {told}")
        return Sample(max(one["ready"] for one in told) - started, told[0]["rate"])


def _submit(workspace: Workspace, folder: Path, timed: int) -> Run:
    config = ScriptRunConfig(
        script=_SCRIPT,
        files={_SCRIPT: (SCRIPTS / _SCRIPT).read_text(encoding="utf-8")},
        arguments=_arguments(folder, timed),
        environment="tensorflow-horovod",
        distributed_job_config=MpiConfiguration(process_count_per_node=2),
    )
    return Experiment(workspace, "benchmarks").submit(config)


def _horovodrun(python: Path, folder: Path, timed: int) -> None:
    command = [python.with_name("horovodrun"), "--gloo", "-np", "2", python, SCRIPTS / _SCRIPT]
    variables = {"PATH": f"{python.parent}:{os.environ['PATH']}", "TF_CPP_MIN_LOG_LEVEL": "1"}
    done = subprocess.run(
        [*map(str, command), *_arguments(folder, timed)],
        env={**os.environ, **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"horovodrun ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")


def _arguments(folder: Path, timed: int) -> list[str]:
    return [str(folder), str(_WARM), str(timed)]


def _throughput(ours: Sequence[Sample], bare: Sequence[Sample]) -> Row:
    ratios = [mine.rate / plain.rate for mine, plain in zip(ours, bare, strict=True)]
    # Of a ratio the logarithm is symmetric: half as fast is as far from even as twice as fast.
    bound = math.exp(-upper_bound([-math.log(ratio) for ratio in ratios]))
    middle = math.exp(statistics.fmean(map(math.log, ratios)))
    plain = statistics.median(one.rate for one in bare)
    return Row(
        "two processes with Horovod: examples/s beside `horovodrun`",
        f"{middle:.1%} of it, 95 % bound {bound:.1%}; {statistics.median(one.rate for one in ours):,.0f} examples/s",
        "95 % bound ≥ 95 %",
        f"horovodrun --gloo -np 2: {plain:,.0f} examples/s; {len(ratios)} pairs, {min(ratios):.1%} to {max(ratios):.1%}",
        bound >= THROUGHPUT_BAR,
    )


def _launched(ours: Sequence[Sample], bare: Sequence[Sample]) -> Row:
    cost = median_difference([one.launch for one in ours], [one.launch for one in bare])
    return Row(
        "two processes with Horovod: submit to both inits over `horovodrun`",
        f"{milliseconds(cost)}; in all {spread([one.launch for one in ours])}",
        "≤ 1.5 s",
        f"horovodrun --gloo -np 2: {spread([one.launch for one in bare])}, {len(ours)} pairs",
        cost <= LAUNCH_BAR,
    )
