"""The status of a run: one table of allowed changes, and nothing else that decides.

    NotStarted → Preparing → Queued → Starting → Running → Finalizing → Completed | Failed | Canceled
    CancelRequested       from any live status; an exit that was observed beats a racing cancel
    NotResponding         to and from Starting and Running: what cannot be reached has not failed
    Starting, Running, NotResponding → Queued      preemption; its processes were lost, and it is begun again

Names are those of the SDK this package follows; the order follows its article (prepare, scale, run, post-process).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.errors import ConflictError

if TYPE_CHECKING:
    from jupyter_mltrain.core import wire


class Status(str, Enum):
    """Where a run stands. A `str`, so that `run.get_status() == "Completed"` is true."""

    NOT_STARTED = "NotStarted"
    PREPARING = "Preparing"
    QUEUED = "Queued"
    STARTING = "Starting"
    RUNNING = "Running"
    NOT_RESPONDING = "NotResponding"
    CANCEL_REQUESTED = "CancelRequested"
    FINALIZING = "Finalizing"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELED = "Canceled"

    def __str__(self) -> str:
        return self.value

    @property
    def terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELED})
LIVE = frozenset(Status) - TERMINAL
STAGES = (Status.PREPARING, Status.QUEUED, Status.STARTING, Status.RUNNING, Status.FINALIZING)
"""The stages that a card shows, in order."""

_S = Status
TRANSITIONS: dict[Status, frozenset[Status]] = {
    _S.NOT_STARTED: frozenset({_S.PREPARING, _S.CANCEL_REQUESTED, _S.FAILED}),
    _S.PREPARING: frozenset({_S.QUEUED, _S.CANCEL_REQUESTED, _S.FAILED}),
    _S.QUEUED: frozenset({_S.STARTING, _S.CANCEL_REQUESTED, _S.FAILED}),
    _S.STARTING: frozenset({_S.RUNNING, _S.FINALIZING, _S.NOT_RESPONDING, _S.CANCEL_REQUESTED, _S.FAILED, _S.QUEUED}),
    _S.RUNNING: frozenset({_S.FINALIZING, _S.NOT_RESPONDING, _S.CANCEL_REQUESTED, _S.FAILED, _S.QUEUED}),
    _S.NOT_RESPONDING: frozenset({_S.STARTING, _S.RUNNING, _S.FINALIZING, _S.CANCEL_REQUESTED, _S.FAILED, _S.QUEUED}),
    _S.CANCEL_REQUESTED: frozenset({_S.FINALIZING, _S.CANCELED, _S.FAILED}),
    _S.FINALIZING: frozenset({_S.COMPLETED, _S.FAILED, _S.CANCELED}),
    _S.COMPLETED: frozenset(),
    _S.FAILED: frozenset(),
    _S.CANCELED: frozenset(),
}


@dataclass(frozen=True)
class Change:
    """One change of status, as stored: when (seconds since the epoch), why, and what was seen."""

    status: Status
    time: float
    reason: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> wire.Change:
        return {"status": self.status.value, "time": self.time, "reason": self.reason, "evidence": self.evidence}


def allowed(current: Status, new: Status) -> bool:
    """Whether a run that stands at `current` may change to `new`."""
    return new in TRANSITIONS[current]


def check_change(current: Status, new: Status) -> None:
    """Raise `ConflictError` unless `current → new` is in the table."""
    if allowed(current, new):
        return
    if current.terminal:
        raise ConflictError(f"The run is {current} already; that does not change any more.", status=current.value)
    raise ConflictError(f"A run that is {current} cannot become {new}.", status=current.value)
