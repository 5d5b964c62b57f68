"""The output of a run in a notebook: shown once, kept up to date by the kernel's one watcher until the run has ended."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

from jupyter_mltrain.widgets.output import Source, bundle
from jupyter_mltrain.widgets.watch import Pace, Watcher

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_PATIENCE = 2.0
"""Seconds for an answer about a run, beyond those it was asked to wait."""

WIDGET_PACE = Pace(stages=False, figures=float("inf"))
"""An output that holds a widget's view too is written at the end alone: a host that draws the widget draws it anew."""


class Place(Protocol):
    """A run's workspace, as far as outputs need it (`api.Workspace` is one)."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def connection(self) -> Any: ...


class RunLike(Protocol):
    """A run, as far as outputs need it (`api.Run` is one)."""

    id: str

    @property
    def workspace(self) -> Place: ...
    @property
    def state(self) -> Mapping[str, Any]: ...


class RunOutput:
    """One display of a run, by its display id. `variable`: what the user has it in, "" for nothing; `beside`: further
    forms of the output, by mime type."""

    def __init__(
        self,
        shell: InteractiveShell,
        run: RunLike,
        variable: str,
        *,
        beside: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._shell, self._run, self._variable = shell, run, variable
        self._beside, self._metadata = beside or {}, dict(metadata or {})
        self._id = uuid.uuid4().hex

    def display(self, pace: Pace | None = None) -> None:
        """Display it and, in a kernel, keep it up to date."""
        self._publish(self._run.state, update=False)
        if in_kernel(self._shell):
            watcher(self._shell).add(self._run.id, self, self._run.state, pace or Pace())

    def refresh(self, after: int, wait: float) -> Mapping[str, Any]:
        return ask(self._run, after, wait)

    def publish(self, state: Mapping[str, Any]) -> None:
        self._publish(state, update=True)

    def _publish(self, state: Mapping[str, Any], *, update: bool) -> None:
        # From the state that is shown: the user's own object stays as it is until the user asks it to refresh.
        connection: Source = self._run.workspace.connection
        shown = {**bundle(state, connection, bound_to=self._variable), **self._beside}
        self._shell.display_pub.publish(shown, self._metadata, transient={"display_id": self._id}, update=update)


def ask(run: RunLike, after: int, wait: float) -> Mapping[str, Any]:
    """The run's state, beyond the revision `after` if there is one within `wait` seconds. Raises `MLTrainError`."""
    return run.workspace.connection.get(f"/v1/runs/{run.id}", timeout=wait + _PATIENCE, after=after, wait=wait)


def kernel_shell() -> InteractiveShell | None:
    """The shell of the kernel that this is, or None: a script, a terminal. Imports nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell if in_kernel(shell) else None


def in_kernel(shell: Any) -> bool:
    """Whether outputs can be updated: a terminal's IPython would print them again instead."""
    return hasattr(shell, "kernel")


def variable_of(run: RunLike, namespace: Mapping[str, Any]) -> str:
    """The user's variable that holds the run, the very object before another of the same run; "" where none does."""
    # A copy: another thread may bind names meanwhile.
    named = [
        (name, value) for name, value in list(namespace.items()) if not name.startswith("_") and name.isidentifier()
    ]
    for name, value in named:
        if value is run:
            return name
    return next((name for name, value in named if type(value) is type(run) and value.id == run.id), "")


_watchers: WeakKeyDictionary[InteractiveShell, Watcher] = WeakKeyDictionary()
_own: list[Watcher] = []


def watcher(shell: InteractiveShell | None) -> Watcher:
    """The watcher of this kernel's views; outside of one (a plain Python process), the process's."""
    if shell is None:
        if not _own:
            _own.append(Watcher())
        return _own[0]
    if shell not in _watchers:
        _watchers[shell] = made = Watcher()
        shell.events.register("post_run_cell", lambda _result: made.settle())
    return _watchers[shell]
