"""The widget without a page: what it tells, what it keeps to itself."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import traitlets

from jupyter_mltrain.errors import UsageError
from jupyter_mltrain.widgets import RunDetails, RunWidget, front_end, live_output
from tests.unit.widgets.conftest import base
from tests.unit.widgets.one_run import Run, Service, Told, until


@pytest.fixture
def widget(service: Service) -> Iterator[RunWidget]:
    made = RunWidget(Run(service))
    yield made
    if service.state["status"] != "Completed":
        service.advance(status="Completed")
    until(lambda: not live_output.watcher(None).live)
    made.close()


def test_what_it_knows_of_the_run_can_be_observed_and_not_set(widget: RunWidget, service: Service) -> None:
    assert (widget.run_id, widget.status) == (service.state["id"], "Running")
    assert widget.progress == {"label": "epoch", "value": 12, "total": 20, "eta": 27.0}
    assert set(widget.metrics) == {"val_accuracy", "loss"}
    for name in ("run_id", "status", "progress", "metrics"):
        with pytest.raises(traitlets.TraitError):
            setattr(widget, name, getattr(widget, name))
    heard: list[tuple[str, Any]] = []
    widget.observe(lambda change: heard.append((change["name"], change["new"])), ["status", "progress", "metrics"])
    loss = {**service.state["metrics"][1], "last": "NaN"}
    other = {**loss, "rank": 1, "last": 7.0}
    service.advance(metrics=[other, loss])
    until(lambda: heard)
    assert math.isnan(heard[0][1]["loss"])  # of rank 0, and a number in Python
    assert json.dumps(widget.get_state("metrics"), allow_nan=False) == '{"metrics": {"loss": "NaN"}}'
    service.advance(status="Completed", progress=None)
    until(lambda: len(heard) == 3)
    assert heard[1:] == [("status", "Completed"), ("progress", None)]
    assert threading.current_thread().name == "MainThread"


def test_a_handler_that_raises_is_told_of_and_the_others_go_on(
    widget: RunWidget, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[str] = []

    def broken(change: Any) -> None:
        heard.append(change["new"])
        raise ZeroDivisionError("the user's own")

    widget.observe(broken, "status")
    widget.observe(lambda change: heard.append(str(change["new"])), "progress")
    service.advance(status="Finalizing", progress=None)
    until(lambda: heard == ["Finalizing", "None"])
    service.advance(status="Completed")
    until(lambda: heard[-1] == "Completed")
    assert widget.status == "Completed"
    until(lambda: not live_output.watcher(None).live)
    said = ""

    def told() -> bool:  # the thread prints after it has told
        nonlocal said
        said += capsys.readouterr().err
        return said.count("ZeroDivisionError: the user's own") == 2

    until(told)


def test_one_thread_follows_all_views_of_all_runs(widget: RunWidget, service: Service) -> None:
    others = [RunWidget(Run(service)) for _ in range(5)]
    assert sum(thread.name == "mltrain-outputs" for thread in threading.enumerate()) == 1
    others[0].close()
    service.advance(status="Completed")
    until(lambda: all(one.status == "Completed" for one in [widget, *others[1:]]))
    assert others[0].status == "Running"  # closed: no longer followed


def test_a_page_cannot_say_what_became_of_the_run(widget: RunWidget) -> None:
    widget.set_state({"status": "Failed", "run_id": "x", "_recorded": {}, "_esm": "evil()", "tabbable": True})
    assert (widget.status, widget.tabbable) == ("Running", True)
    assert widget.get_state()["_esm"] != "evil()"
    assert widget.get_state()["_recorded"]["run"] == widget.run_id


def test_what_is_saved_of_it_is_bounded_and_holds_no_path(service: Service) -> None:
    service.state = base(
        "Completed",
        command="python /home/ann/secret/train.py " + "x" * 10_000,
        history=[{"status": "Running", "evidence": ["y" * 10_000]}] * 1000,
        environment_variables={"TOKEN": "hunter2"},
    )
    saved = json.dumps(RunWidget(Run(service)).get_state())
    assert len(saved) < 40_000
    assert "hunter2" not in saved
    assert "/home/ann" not in saved


def test_its_output_holds_what_is_shown_where_there_is_no_widget(widget: RunWidget) -> None:
    data, _ = widget._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    assert data["application/vnd.mltrain.run+json"]["run"] == widget.run_id
    assert 'role="group"' in data["text/html"]
    assert data["text/plain"].startswith("Run(")


def test_what_is_no_run_is_refused() -> None:
    for made in (RunWidget, RunDetails):
        with pytest.raises(UsageError, match="shows a Run, not str"):
            made("brave-otter-7")


def test_run_details_prints_the_run_where_there_is_no_kernel(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(service)
    RunDetails(run).show(widget_settings={"debug": False})
    assert capsys.readouterr().out == f"{run}\n"


def test_the_pages_hear_states_also_unasked(widget: RunWidget, service: Service, monkeypatch: Any) -> None:
    told = Told()
    monkeypatch.setattr(widget, "send", told)
    service.advance(source_directory="/home/ann", metric_points=99)
    until(lambda: told)
    message, _ = told[0]
    assert (message["type"], message["run"], message["state"]["metric_points"]) == ("state", widget.run_id, 99)
    assert "source_directory" not in message["state"]


def test_the_end_is_sent_again_within_a_cell(widget: RunWidget, service: Service, monkeypatch: Any) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(widget, "send_state", lambda key=None: sent.append(key))
    service.advance(status="Completed")
    until(lambda: not live_output.watcher(None).live)
    before = len(sent)
    live_output.watcher(None).settle()
    assert sent[before:] == [["status", "progress", "metrics", "_recorded"]]


def test_the_state_carries_a_loader_and_no_bundle() -> None:
    assert len(front_end.read("loader.js")) < 2000


@pytest.mark.timeout(120)
def test_it_may_be_collected_in_the_midst_of_anything(service: Service) -> None:
    service.advance(status="Completed")
    made = RunWidget(Run(service))
    live_output.watcher(None).settle()
    with live_output.watcher(None)._lock:  # Python collects where it likes, on the thread that holds it too
        made.__del__()
