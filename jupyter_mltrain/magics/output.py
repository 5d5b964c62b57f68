"""The output of a run under its cell: shown once, updated by the watcher, with `--wait` with the end of its log."""

from __future__ import annotations

import sys
import time
import uuid
from typing import TYPE_CHECKING

from jupyter_mltrain.api.logs import follow_run
from jupyter_mltrain.commands.follow import Tail
from jupyter_mltrain.commands.outcome import check_outcome
from jupyter_mltrain.widgets.live_output import RunOutput, in_kernel, watcher

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from jupyter_mltrain.api.run import Run

LOG_LINES = 100
"""Lines of log that `--wait` leaves in the notebook; all of it is in the run."""

_REDRAW = 0.25
"""Least seconds between two updates of the log: a script may print faster than a browser draws."""


def show(shell: InteractiveShell, run: Run, variable: str) -> None:
    """Display `run`, with the variable it is bound to, and keep its output up to date until it ends."""
    RunOutput(shell, run, variable).display()


def wait(shell: InteractiveShell, run: Run, variable: str) -> None:
    """Show the end of the log as it grows and return when the run has ended; raises `RunFailed` unless it completed.

    An interrupt leaves the run alone and raises `Detached`, which says how to get it back.
    """
    try:
        _stream(shell, run)
    except KeyboardInterrupt:
        raise Detached(str(run.state["display_name"]), variable) from None
    state = run.refresh()
    if in_kernel(shell):
        watcher(shell).settle()
    check_outcome(state)


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


def _stream(shell: InteractiveShell, run: Run) -> None:
    """Show what the run writes until it has ended: in a notebook the last lines, in a terminal all of it."""
    live = in_kernel(shell)
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
