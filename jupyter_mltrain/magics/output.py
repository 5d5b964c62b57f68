"""The output of a run under its cell: shown once, updated by the watcher, with `--wait` with the end of its log."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from jupyter_mltrain.api.logs import follow_run
from jupyter_mltrain.commands.follow import Tail
from jupyter_mltrain.commands.lookup import part
from jupyter_mltrain.commands.outcome import check_outcome
from jupyter_mltrain.magics.watch import Watcher
from jupyter_mltrain.widgets.output import bundle

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from jupyter_mltrain.api.run import Run

LOG_LINES = 100
"""Lines of log that `--wait` leaves in the notebook; all of it is in the run."""

_REDRAW = 0.25
"""Least seconds between two updates of the log: a script may print faster than a browser draws."""

_PATIENCE = 2.0
"""Seconds for an answer about a run, beyond those it was asked to wait."""

_watchers: WeakKeyDictionary[InteractiveShell, Watcher] = WeakKeyDictionary()


def show(shell: InteractiveShell, run: Run, variable: str) -> None:
    """Display `run`, with the variable it is bound to, and keep its output up to date until it ends."""
    output = RunOutput(shell, run, variable)
    output.display()
    if _in_kernel(shell):
        watcher(shell).add(run.id, output, run.state)


def wait(shell: InteractiveShell, run: Run, variable: str) -> None:
    """Show the end of the log as it grows and return when the run has ended; raises `RunFailed` unless it completed.

    An interrupt leaves the run alone and raises `Detached`, which says how to get it back.
    """
    try:
        _stream(shell, run)
    except KeyboardInterrupt:
        raise Detached(str(run.state["display_name"]), variable) from None
    state = run.refresh()
    if _in_kernel(shell):
        watcher(shell).settle()
    check_outcome(state)


def watcher(shell: InteractiveShell) -> Watcher:
    """The watcher of this kernel's outputs."""
    if shell not in _watchers:
        _watchers[shell] = made = Watcher()
        shell.events.register("post_run_cell", lambda _result: made.settle())
    return _watchers[shell]


class Detached(KeyboardInterrupt):
    """A wait was interrupted; the run goes on. Ends the cell (and Run All) as an interrupt does, in two lines."""

    def __init__(self, name: str, variable: str) -> None:
        super().__init__(name)
        self.lines = [
            f"Detached: {name} goes on, and `{variable}` holds it.",
            f'After a restart: run = mltrain.run("{name}"). To end it: %mltrain cancel {name}',
        ]

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def _render_traceback_(self) -> list[str]:
        return self.lines


class RunOutput:
    """One display of a run, by its display id."""

    def __init__(self, shell: InteractiveShell, run: Run, variable: str) -> None:
        self._shell, self._run, self._variable = shell, run, variable
        self._id = uuid.uuid4().hex

    def display(self) -> None:
        self._publish(self._run.state, update=False)

    def refresh(self, after: int, wait: float) -> Mapping[str, Any]:
        path = f"/v1/runs/{part(self._run.id)}"
        return self._run.workspace.connection.get(path, timeout=wait + _PATIENCE, after=after, wait=wait)

    def publish(self, state: Mapping[str, Any]) -> None:
        self._publish(state, update=True)

    def _publish(self, state: Mapping[str, Any], *, update: bool) -> None:
        # From the state that is shown: the user's own object stays as it is until the user asks it to refresh.
        shown = bundle(state, self._run.workspace.connection, bound_to=self._variable)
        self._shell.display_pub.publish(shown, transient={"display_id": self._id}, update=update)


def _stream(shell: InteractiveShell, run: Run) -> None:
    """Show what the run writes until it has ended: in a notebook the last lines, in a terminal all of it."""
    live = _in_kernel(shell)
    log, tail, shown, drawn, display_id = "", Tail(LOG_LINES), "", 0.0, uuid.uuid4().hex
    for name, data in follow_run(run.workspace.connection, run.id):
        if not live:
            sys.stdout.write(data.decode(errors="replace"))
            sys.stdout.flush()
            continue
        if name != log:
            # The script's own words take the place of the build's.
            log, tail = name, Tail(LOG_LINES)
        tail.feed(data)
        if tail.text != shown and (not data or time.monotonic() - drawn >= _REDRAW):
            shown, drawn = _draw(shell, tail.text, display_id, update=bool(shown)), time.monotonic()
    if live and tail.text != shown:
        _draw(shell, tail.text, display_id, update=bool(shown))


def _draw(shell: InteractiveShell, text: str, display_id: str, *, update: bool) -> str:
    shell.display_pub.publish({"text/plain": text}, transient={"display_id": display_id}, update=update)
    return text


def _in_kernel(shell: InteractiveShell) -> bool:
    """Whether outputs can be updated: a terminal's IPython would print them again instead."""
    return hasattr(shell, "kernel")
