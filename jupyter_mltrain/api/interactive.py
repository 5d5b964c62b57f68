"""The kernel's side of a run that it logs itself: what a shim is to a submitted run (`computes.notebook`)."""

from __future__ import annotations

import os
import shutil
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from jupyter_mltrain.core.ids import new_run_id
from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.errors import ConflictError, ServiceError
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import processes, records

if TYPE_CHECKING:
    from jupyter_mltrain.api.experiment import Experiment
    from jupyter_mltrain.api.run import Run

_PATIENCE = 20.0
_BEGUN = frozenset({"Running", "Finalizing", "Completed", "Failed", "Canceled"})


class Held(Protocol):
    """What is needed of a run here."""

    id: str

    @property
    def display_name(self) -> str: ...


class Supervisor:
    """Holds a run for as long as this process logs it; the end of the process, however it comes, ends it too.

    `outputs`: a folder whose new files become the run's when it ends, or None.
    """

    def __init__(self, folder: Path, outputs: Path | None) -> None:
        self._rank = records.Rank(str(folder), 0)
        self._log = folder / "streams" / "r0.log"
        self._work = folder / "work"
        self._outputs = outputs
        self._lock: int | None = None
        self._began = time.time()

    def take_up(self) -> None:
        """Wait until the service has made the run's folders, and say that this process is there."""
        if not records.wait_for(lambda: os.path.exists(self._rank.launch), _PATIENCE):  # noqa: PTH110 - the shim's paths
            raise ServiceError("The service did not begin the run.", mend="`%mltrain doctor` looks for the reason.")
        self._lock = records.take_lock(self._rank.lock, _PATIENCE)
        me = processes.find(os.getpid())
        ticks = me.ticks if me is not None else 0
        about = {"pid": os.getpid(), "start_ticks": ticks, "shim_pid": os.getpid(), "shim_start_ticks": ticks}
        records.write(self._rank.start, {**about, "boot_id": records.boot_id(), "time": self._began})

    @property
    def ended(self) -> bool:
        return records.read(self._rank.exit) is not None

    def end(self, *, code: int, why: str = "", stopped: str = "") -> None:
        """Note how the run ended, unless that is known already (somebody cancelled it). `why` becomes its log's end."""
        if self._lock is None:
            return
        if not self.ended:
            self._keep_outputs()
            if why:
                with self._log.open("a", encoding="utf-8", errors="replace") as file:
                    file.write(why.rstrip("\n") + "\n")
            ended = {"rank": 0, "code": code, "signal": None, "ended": time.time(), "stopped": stopped}
            records.write(self._rank.exit, ended)
        os.close(self._lock)
        self._lock = None

    def _keep_outputs(self) -> None:
        if self._outputs is None or not self._outputs.is_dir():
            return
        for path in sorted(self._outputs.rglob("*")):
            # What was there before belongs to an earlier run.
            if path.is_file() and path.stat().st_mtime >= self._began - 1:
                target = self._work / "outputs" / path.relative_to(self._outputs)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target)


_supervisors: dict[str, Supervisor] = {}


def begin(
    experiment: Experiment,
    *,
    display_name: str | None = None,
    outputs: str | Path | None = None,
    snapshot: str | Path | None = None,
    parent: str | None = None,
) -> Run:
    """A new run that this process logs, Running when this returns. `snapshot`: a folder to keep a copy of."""
    from jupyter_mltrain.api.run import Run  # noqa: PLC0415 - each knows the other

    body = {
        "run_id": new_run_id(experiment.name),
        "experiment": experiment.name,
        "display_name": display_name,
        "parent": parent,
        "source_directory": str(Path(snapshot).resolve()) if snapshot is not None else None,
        "kernel_python": sys.executable,
    }
    workspace = experiment.workspace
    run = Run.of(workspace, workspace.connection.post("/v1/notebook-runs", body, timeout=600))
    supervisor = Supervisor(
        Layout(workspace.root).run(run.id), Path(outputs).resolve() if outputs is not None else None
    )
    supervisor.take_up()
    _supervisors[run.id] = supervisor
    while run.refresh(wait=5)["status"] not in _BEGUN:
        pass
    return run


def end(run: Held, *, code: int, why: str = "", stopped: str = "") -> bool:
    """End a run that this process logs; False if it does not. Raises `ConflictError` for one that has ended already."""
    supervisor = _supervisors.pop(run.id, None)
    if supervisor is None:
        return False
    if supervisor.ended:
        supervisor.end(code=code)
        raise ConflictError(f"{run.display_name} has ended already.")
    supervisor.end(code=code, why=why, stopped=stopped)
    return True


def told(details: object) -> str:
    """What `fail` was given, as the end of a log: of an exception its traceback."""
    if isinstance(details, BaseException):
        return "".join(traceback.format_exception(details))
    return "" if details is None else str(details)
