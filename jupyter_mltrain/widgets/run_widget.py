"""The run card as a widget: composes with other widgets, and what it knows of the run can be observed."""

from __future__ import annotations

import math
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import anywidget
import traitlets

from jupyter_mltrain.core.door import visible
from jupyter_mltrain.core.status import Status
from jupyter_mltrain.errors import UsageError
from jupyter_mltrain.widgets import box_output, front_end
from jupyter_mltrain.widgets.bounds import finite_or_name
from jupyter_mltrain.widgets.comm_door import CommDoor
from jupyter_mltrain.widgets.live_output import WIDGET_PACE, RunLike, RunOutput, ask, kernel_shell, variable_of, watcher
from jupyter_mltrain.widgets.output import bundle, payload
from jupyter_mltrain.widgets.watch import Pace

_RECORD_SECONDS = 4.0
"""Least seconds between two records of the charts' points while the stage is the same."""

_PACE = Pace(figures=0.0, again=10.0)
_NAMES = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class RunWidget(anywidget.AnyWidget):
    """The card of `run`, live, also beside other widgets in an `HBox`.

    `run_id`, `status`, `progress` (`{"label", "value", "total", "eta"}` or None) and `metrics` (name → last value, of the
    lowest rank that logged it) follow the run and cannot be set. `observe` their changes: **handlers run in a thread of
    the package's, also while a cell runs**; one that raises has its traceback printed and is called again next time, one
    that takes long delays the next change. States come every quarter of a second at most. What is saved of the widget
    with a notebook is what a run's output holds: bounded, without paths and secrets.

    Raises `UsageError` for what is no run, `ServiceUnavailable` where the run cannot be asked for its state.
    """

    _esm = front_end.read(front_end.LOADER).decode()

    run_id = traitlets.Unicode(read_only=True).tag(sync=True)
    status = traitlets.Unicode(read_only=True).tag(sync=True)
    progress = traitlets.Dict(allow_none=True, read_only=True).tag(sync=True)
    metrics = traitlets.Dict(read_only=True).tag(sync=True, to_json=lambda value, _: _wire(value))
    _recorded = traitlets.Dict(read_only=True).tag(sync=True)
    _version = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(self, run: Any, **options: Any) -> None:
        if not hasattr(run, "workspace"):
            raise UsageError(
                f"RunWidget shows a Run, not {type(run).__name__}.",
                mend="Give it what `Experiment.submit` returned, or `mltrain.run(NAME)`.",
            )
        self._run: RunLike = run
        self._speaking = threading.Lock()
        self._stage: object = None
        self._noted = -math.inf
        state = run.refresh()
        for name, value in {**_traits(state), "run_id": run.id, "_version": front_end.version()}.items():
            self.set_trait(name, value)
        self._record(state)
        super().__init__(**options)
        self._door = CommDoor(run, self._tell, self._follow)
        self.on_msg(lambda _widget, content, _buffers: self._door.handle(content))
        let_pages_choose_the_thread(self.comm)
        shell = kernel_shell()
        watcher(shell).add(run.id, self, state, _PACE)
        if shell is not None:
            box_output.install(shell)

    def refresh(self, after: int, wait: float) -> Mapping[str, Any]:
        """For the watcher (see `widgets.watch.Shown`)."""
        return ask(self._run, after, wait)

    def publish(self, state: Mapping[str, Any]) -> None:
        """For the watcher: show this state, then tell the handlers."""
        self._say(state)
        self._record(state)
        for name, value in _traits(state).items():
            try:
                self.set_trait(name, value)
            except Exception:  # noqa: BLE001 - a handler of the user's; the others still hear
                traceback.print_exc()
        if Status(state["status"]).terminal:
            # Also when it was sent before: between two cells nbclient hears nothing, and it saves the widget's state.
            self.send_state(["status", "progress", "metrics", "_recorded"])

    def close(self) -> None:
        """Remove it from the page and follow the run no longer; the run goes on."""
        if getattr(self, "_door", None) is not None:
            watcher(kernel_shell()).remove(self.run_id, self)
            self._door.close()
        super().close()

    def __del__(self) -> None:
        # Collected, so nothing follows it; and collecting may begin anywhere, also within the watcher's lock.
        super().close()

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """What a page sends. It lays the widget out; it does not say what became of the run."""
        super().set_state({name: value for name, value in sync_data.items() if name not in _OWN})

    def _record(self, state: Mapping[str, Any]) -> None:
        """Keep what a saved notebook is to hold, with the charts' points: at each stage, and now and then between."""
        stage = state["status"], tuple(one["state"] for one in state.get("stages") or ())
        now = time.monotonic()
        if stage != self._stage or Status(state["status"]).terminal or now - self._noted >= _RECORD_SECONDS:
            self._stage, self._noted = stage, now
            self.set_trait("_recorded", payload(state, self._run.workspace.connection))

    def _say(self, state: Mapping[str, Any]) -> None:
        self._tell({"type": "state", "run": str(state["id"]), "state": visible(dict(state))}, [])

    def _tell(self, message: dict[str, Any], buffers: list[bytes]) -> None:
        with self._speaking:
            self.send(message, buffers)

    def _follow(self, run_id: str) -> None:
        """Tell the pages of a further run: one that was started from the card."""
        view = _Further(run_id, self._run.workspace.connection, self._say)
        watcher(kernel_shell()).add(run_id, view, view.refresh(-1, 0), _PACE)

    def _ipython_display_(self) -> None:
        shell = kernel_shell()
        if shell is None:
            raise NotImplementedError
        data, metadata = self._view()
        variable = variable_of(self._run, shell.user_ns)
        RunOutput(shell, self._run, variable, beside=data, metadata=metadata).display(WIDGET_PACE)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = self._view()
        return {**bundle(self._run.state, self._run.workspace.connection, bound_to=""), **data}, metadata

    def _view(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The widget's own form of the output. After a restart, or elsewhere, the others beside it are shown."""
        data, metadata = super()._repr_mimebundle_() or ({}, {})
        return {kind: value for kind, value in data.items() if kind != "text/plain"}, metadata


_OWN = frozenset({"run_id", "status", "progress", "metrics", "_recorded", "_version", "_esm"})


class _Further:
    """A run that was started from a card, as the watcher sees it."""

    def __init__(self, run_id: str, connection: Any, publish: Callable[[Mapping[str, Any]], None]) -> None:
        self._id, self._connection, self._publish = run_id, connection, publish

    def refresh(self, after: int, wait: float) -> Mapping[str, Any]:
        return self._connection.get(f"/v1/runs/{self._id}", timeout=wait + 30, after=after, wait=wait)

    def publish(self, state: Mapping[str, Any]) -> None:
        self._publish(state)


def _traits(state: Mapping[str, Any]) -> dict[str, Any]:
    last: dict[str, Any] = {}
    for metric in sorted(state.get("metrics") or (), key=lambda one: int(one.get("rank", 0))):
        value: Any = metric.get("last")
        last.setdefault(str(metric["name"]), _NAMES.get(value, value) if isinstance(value, str) else value)
    progress = state.get("progress")
    return {"status": str(state["status"]), "progress": dict(progress) if progress else None, "metrics": last}


def _wire(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name: finite_or_name(value) if isinstance(value, float) else value for name, value in metrics.items()}


def let_pages_choose_the_thread(comm: Any) -> None:
    """ipykernel 7.4 sends a page's messages to the shell that spoke last on the comm, which for ours is the main one: busy
    while a cell runs. Ours are handled by any thread, so they go where the page sent them, as in 7.1 to 7.3."""
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = None  # noqa: SLF001 - there is no public way to say it
