"""A box of widgets is displayed with the runs in it; boxes without any are displayed as ever."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter
from ipywidgets import HBox, Label, VBox

from jupyter_mltrain.widgets import RunWidget, box_output, live_output, watch
from jupyter_mltrain.widgets.output import MIME
from tests.unit.widgets.one_run import Run, Service, until

VIEW = "application/vnd.jupyter.widget-view+json"


class Shell:
    """A kernel's shell: what is published in it."""

    kernel = object()

    def __init__(self) -> None:
        self.published: list[tuple[dict[str, Any], bool]] = []
        self.display_formatter = DisplayFormatter()
        self.display_pub = SimpleNamespace(publish=self._publish)
        self.events = SimpleNamespace(register=lambda *_: None)

    def _publish(self, data: Any, _metadata: Any, *, transient: Any, update: bool) -> None:
        self.published.append((data, update))


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr(watch, "_QUIET", 0.002)
    monkeypatch.setattr(watch, "_ROUND", 0.02)
    made = Shell()
    box_output.install(made)  # pyright: ignore[reportArgumentType]
    return made


def test_a_box_holds_what_the_outputs_of_its_runs_hold(shell: Shell) -> None:
    left, right = Service(), Service()
    right.state = {**right.state, "id": "right_1795416000_0a1b2c3d", "display_name": "right"}
    widgets = [RunWidget(Run(service)) for service in (left, right)]
    # One of them twice: its run is held once.
    box = VBox([HBox([Label("runs"), *widgets]), widgets[0]])
    assert shell.display_formatter.format(box) == ({}, {})
    ((data, update),) = shell.published
    assert not update
    assert data[VIEW]["model_id"] == box.model_id
    assert [one["run"] for one in (data[MIME], *data[MIME]["reruns"])] == [left.state["id"], right.state["id"]]
    assert data[MIME]["beside"]
    assert (data["text/html"].count('class="mlt-card"'), data["text/html"].count("<style>")) == (2, 1)
    assert data["text/plain"].count("Status: Running") == 2
    right.advance(status="Completed")
    until(lambda: len(shell.published) == 2)
    data, update = shell.published[-1]
    assert update
    assert [one["state"]["status"] for one in (data[MIME], *data[MIME]["reruns"])] == ["Running", "Completed"]
    left.advance(status="Completed")
    until(lambda: not live_output.watcher(shell).live and not live_output.watcher(None).live)  # pyright: ignore[reportArgumentType]
    for widget in widgets:
        widget.close()


def test_other_boxes_are_displayed_as_ever(shell: Shell) -> None:
    box = HBox([Label("no run")])
    data, _ = shell.display_formatter.format(box)
    assert (list(data), shell.published) == (["text/plain", VIEW], [])
