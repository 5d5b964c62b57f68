"""Keeps the outputs of runs up to date from the kernel, also where no front end does (nbclient, hosts without our
server): one background thread for all runs, from submission to the end of the last."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from jupyter_mltrain.core.status import Status
from jupyter_mltrain.errors import MLTrainError

_ROUND = 2.0
"""Seconds for one round of asking after all runs; a run that is alone is asked by long poll and tells at once."""

_QUIET = 0.25
"""Least seconds between two rounds, however often runs change."""

_CHARTS = 2.0
"""Least seconds between two updates of an output whose stage has not changed: only its figures have."""

_FINISH = 2.0
"""Most seconds that the end of a cell is held up for a run that is collecting its outputs."""


class Shown(Protocol):
    """A run and its output. `refresh` asks the service for the run's state, waiting up to `wait` seconds for one beyond
    the revision `after` (raises `MLTrainError`); `publish` updates the output."""

    def refresh(self, after: int, wait: float) -> Mapping[str, Any]: ...
    def publish(self, state: Mapping[str, Any]) -> None: ...


@dataclass
class _Watched:
    shown: Shown
    revision: int
    stage: object
    published: float
    ended: bool
    owed: bool = False
    """The end was sent, perhaps between two cells: it is sent once more."""
    reachable: bool = True
    finalizing: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class Watcher:
    """`add` a run's output and it is kept up to date until the run's end. The thread ends with the last run, and is a
    daemon: it does not keep a kernel alive. Errors of the service are no news about a run: it asks again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._watched: dict[str, _Watched] = {}
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    def add(self, run_id: str, shown: Shown, state: Mapping[str, Any]) -> None:
        """Watch `shown`, which now displays `state`; a further output of the same run takes the place of the first."""
        watched = _Watched(shown, int(state["revision"]), _stage(state), self._clock(), _ended(state))
        with self._lock:
            self._watched[run_id] = watched
            self._wake.set()
            if self._thread is None and not watched.ended:
                self._thread = threading.Thread(target=self._work, name="mltrain-outputs", daemon=True)
                self._thread.start()

    def settle(self) -> None:
        """Bring every output up to date now, from the calling thread; quick, also where the service does not answer.

        Called at the end of each cell: nbclient takes messages only while a cell runs, so an update that the thread
        sends between two cells would be lost from the saved notebook.
        """
        for run_id, watched in self._snapshot():
            if watched.reachable and (watched.owed or not watched.ended):
                self._update(watched, wait=0, settle=True)
                self._finish(watched)
            if watched.ended and not watched.owed:
                with self._lock:
                    if self._watched.get(run_id) is watched:
                        del self._watched[run_id]

    def _finish(self, watched: _Watched) -> None:
        """Stay a moment for a run that is collecting its outputs: `wait_for_completion` has returned, as the SDK's
        does, and the notebook is to be saved with the end."""
        deadline = self._clock() + _FINISH
        while watched.finalizing and watched.reachable and (left := deadline - self._clock()) > 0:
            self._update(watched, wait=left, settle=True)

    @property
    def live(self) -> int:
        """How many runs are still watched for their end."""
        return sum(not w.ended for _, w in self._snapshot())

    def _snapshot(self) -> list[tuple[str, _Watched]]:
        with self._lock:
            return list(self._watched.items())

    def _work(self) -> None:
        while True:
            started = self._clock()
            live = [w for _, w in self._snapshot() if not w.ended]
            for watched in live:
                self._update(watched, wait=_ROUND / len(live), settle=False)
            with self._lock:
                if all(w.ended for w in self._watched.values()):
                    self._thread = None
                    return
                self._wake.clear()
            unreachable = any(not w.reachable for w in live)
            self._wake.wait(max(0.0, (_ROUND if unreachable else _QUIET) - (self._clock() - started)))

    def _update(self, watched: _Watched, *, wait: float, settle: bool) -> None:
        try:
            state = watched.shown.refresh(watched.revision, wait)
        except MLTrainError:
            # Not to be asked now is no news about the run. The thread tries again; no cell is held up by it twice.
            watched.reachable = False
            return
        watched.reachable = True
        with watched.lock:
            if not self._due(watched, state, settle=settle):
                return
            watched.revision, watched.stage, watched.published = int(state["revision"]), _stage(state), self._clock()
            watched.ended = _ended(state)
            watched.finalizing = state["status"] == Status.FINALIZING.value
            watched.owed = watched.ended and not settle
            watched.shown.publish(state)

    def _due(self, watched: _Watched, state: Mapping[str, Any], *, settle: bool) -> bool:
        if watched.owed:
            return settle
        if watched.ended or int(state["revision"]) <= watched.revision:
            return False  # the other thread was quicker
        return settle or _stage(state) != watched.stage or self._clock() - watched.published >= _CHARTS


def _ended(state: Mapping[str, Any]) -> bool:
    return Status(state["status"]).terminal


def _stage(state: Mapping[str, Any]) -> object:
    return state["status"], tuple(stage["state"] for stage in state.get("stages") or ())
