"""Keeps what a kernel shows of runs up to date, also where no front end does (nbclient, hosts without our server): one
background thread for all runs, from submission to the end of the last."""

from __future__ import annotations

import math
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from jupyter_mltrain.core.status import Status
from jupyter_mltrain.errors import MLTrainError

_ROUND = 2.0
"""Seconds for one round of asking after all runs; a run that is alone is asked by long poll and tells at once."""

_QUIET = 0.25
"""Least seconds between two rounds, however often runs change."""

_FINISH = 2.0
"""Most seconds that the end of a cell is held up: for a run that is collecting its outputs, for a slow handler."""

_MOST_VIEWS = 50
"""Views of one run that are kept up to date; the oldest are left as they are."""


class Shown(Protocol):
    """A run and one place where it is shown. `refresh` asks the service for the run's state, waiting up to `wait` seconds
    for one beyond the revision `after` (raises `MLTrainError`); `publish` shows it."""

    def refresh(self, after: int, wait: float) -> Mapping[str, Any]: ...
    def publish(self, state: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True)
class Pace:
    """When a view hears of its run; of its end always."""

    figures: float = 2.0
    """Least seconds between two updates of a view whose stage has not changed: only its figures have."""
    stages: bool = True
    """Whether a new stage is told at once."""
    again: float = math.inf
    """Seconds after which it is told again although nothing has changed: a sign of life."""


@dataclass
class _View:
    shown: Shown
    pace: Pace
    revision: int
    stage: object
    published: float
    ended: bool
    owed: bool = False
    """The end was sent, perhaps between two cells: it is sent once more."""


@dataclass
class _Watched:
    """A run and its views."""

    views: list[_View]
    reachable: bool = True
    finalizing: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def ended(self) -> bool:
        return all(view.ended for view in self.views)

    @property
    def owed(self) -> bool:
        return any(view.owed for view in self.views)


class Watcher:
    """`add` a view of a run and it is kept up to date until the run's end. The thread ends with the last run, and is a
    daemon: it does not keep a kernel alive. Errors of the service are no news about a run: it asks again. An error of a
    view is printed, and the others go on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._watched: dict[str, _Watched] = {}
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    def add(self, run_id: str, shown: Shown, state: Mapping[str, Any], pace: Pace = Pace()) -> None:
        """Watch `shown`, which now displays `state`, beside the run's other views."""
        view = _View(shown, pace, int(state["revision"]), _stage(state), self._clock(), _ended(state))
        with self._lock:
            watched = self._watched.setdefault(run_id, _Watched([]))
            watched.views = [*watched.views, view][-_MOST_VIEWS:]
            self._wake.set()
            if self._thread is None and not view.ended:
                self._thread = threading.Thread(target=self._work, name="mltrain-outputs", daemon=True)
                self._thread.start()

    def remove(self, run_id: str, shown: Shown) -> None:
        """Watch `shown` no longer."""
        with self._lock:
            if watched := self._watched.get(run_id):
                watched.views = [view for view in watched.views if view.shown is not shown]
                if not watched.views:
                    del self._watched[run_id]

    def settle(self) -> None:
        """Bring every view up to date now, from the calling thread; quick, also where the service does not answer.

        Called at the end of each cell: nbclient takes messages only while a cell runs, so an update that the thread
        sends between two cells would be lost from the saved notebook.
        """
        for run_id, watched in self._snapshot():
            if watched.reachable and (watched.owed or not watched.ended):
                self._update(watched, wait=0, settle=True)
                self._finish(watched)
            with self._lock:
                watched.views = [view for view in watched.views if view.owed or not view.ended]
                if not watched.views and self._watched.get(run_id) is watched:
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
        views = watched.views
        if not views:
            return
        # A view that is behind (its figures are not due yet) asks for no news to wait for.
        after = min((view.revision for view in views if not view.ended), default=views[-1].revision)
        try:
            state = views[-1].shown.refresh(after, wait)
        except MLTrainError:
            # Not to be asked now is no news about the run. The thread tries again; no cell is held up by it twice.
            watched.reachable = False
            return
        watched.reachable = True
        # A handler of the user's may hold the thread; a cell does not wait for it for long.
        if not watched.lock.acquire(timeout=_FINISH if settle else -1):
            return
        try:
            watched.finalizing = state["status"] == Status.FINALIZING.value
            for view in watched.views:  # some may have come or gone meanwhile
                if self._due(view, state, settle=settle):
                    self._tell(view, state, settle=settle)
        finally:
            watched.lock.release()

    def _tell(self, view: _View, state: Mapping[str, Any], *, settle: bool) -> None:
        view.revision, view.stage, view.published = int(state["revision"]), _stage(state), self._clock()
        view.ended = _ended(state)
        view.owed = view.ended and not settle
        try:
            view.shown.publish(state)
        except Exception:  # noqa: BLE001 - whatever it was, the thread serves the other views too
            print(f"A view of the run {state.get('display_name', '')} failed:", file=sys.stderr)  # noqa: T201 - the user's own code, perhaps
            traceback.print_exc()

    def _due(self, view: _View, state: Mapping[str, Any], *, settle: bool) -> bool:
        if view.owed:
            return settle
        revision, quiet = int(state["revision"]), self._clock() - view.published
        if view.ended or revision < view.revision:
            return False  # the other thread was quicker
        if _ended(state):
            return revision > view.revision
        if revision == view.revision:
            return quiet >= view.pace.again
        if view.pace.stages and (settle or _stage(state) != view.stage):
            return True
        return quiet >= view.pace.figures


def _ended(state: Mapping[str, Any]) -> bool:
    return Status(state["status"]).terminal


def _stage(state: Mapping[str, Any]) -> object:
    return state["status"], tuple(stage["state"] for stage in state.get("stages") or ())
