"""The output of a box of widgets with runs in it: beside the widgets' view it holds what a run's own output holds. A kernel
that was restarted knows no widget of a saved notebook; the runs are shown all the same."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from ipywidgets import Box

from jupyter_mltrain.widgets.card_html import card
from jupyter_mltrain.widgets.live_output import WIDGET_PACE, RunLike, ask, watcher
from jupyter_mltrain.widgets.output import MAX_RERUNS, MIME, payload, plain

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

MOST_RUNS = MAX_RERUNS + 1
"""So many of a box's runs are saved with it, the first."""

_known: WeakSet[InteractiveShell] = WeakSet()


def install(shell: InteractiveShell) -> None:
    """From now on, boxes of this kernel that hold runs are displayed so; all others as ever."""
    if shell in _known or shell.display_formatter is None:
        return
    _known.add(shell)

    def show(box: Box) -> None:
        runs = list(_runs(box))[:MOST_RUNS]
        if not runs:
            raise NotImplementedError
        _BoxOutput(shell, box, runs).display()

    shell.display_formatter.ipython_display_formatter.for_type(Box, show)  # pyright: ignore[reportAttributeAccessIssue]


def _runs(box: Box) -> Iterator[RunLike]:
    """The runs of the widgets in the box and in the boxes in it, each once, in their order."""
    seen: set[str] = set()
    for child in box.children:
        found = _runs(child) if isinstance(child, Box) else [run] if (run := getattr(child, "_run", None)) else ()
        for run in found:
            if run.id not in seen:
                seen.add(run.id)
                yield run


class _BoxOutput:
    """One display of a box, by its display id; written again when one of its runs has ended."""

    def __init__(self, shell: InteractiveShell, box: Box, runs: list[RunLike]) -> None:
        self._shell, self._runs = shell, runs
        self._states = {run.id: run.state for run in runs}
        self._view, self._metadata = _view(box)
        self._id = uuid.uuid4().hex

    def display(self) -> None:
        self._publish(update=False)
        for run in self._runs:
            watcher(self._shell).add(run.id, _Part(self, run), run.state, WIDGET_PACE)

    def put(self, run: RunLike, state: Mapping[str, Any]) -> None:
        self._states[run.id] = state
        self._publish(update=True)

    def _publish(self, *, update: bool) -> None:
        connections = [run.workspace.connection for run in self._runs]
        states = list(self._states.values())
        first, *others = [payload(state, one) for state, one in zip(states, connections, strict=True)]
        shown = {
            **self._view,
            MIME: {**first, **({"reruns": others} if others else {}), "beside": True},
            "text/html": "".join(card(one, bound_to="", style=one is first) for one in (first, *others)),
            "text/plain": "\n\n".join(plain(state) for state in states),
        }
        self._shell.display_pub.publish(shown, self._metadata, transient={"display_id": self._id}, update=update)


class _Part:
    """One of a box's runs, as the watcher sees it."""

    def __init__(self, output: _BoxOutput, run: RunLike) -> None:
        self._output, self._run = output, run

    def refresh(self, after: int, wait: float) -> Mapping[str, Any]:
        return ask(self._run, after, wait)

    def publish(self, state: Mapping[str, Any]) -> None:
        self._output.put(self._run, state)


def _view(box: Box) -> tuple[dict[str, Any], dict[str, Any]]:
    found: Any = box._repr_mimebundle_() or {}  # pyright: ignore[reportPrivateUsage] - what IPython calls
    return found if isinstance(found, tuple) else (found, {})
