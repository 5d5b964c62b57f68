"""The watcher on a clock of its own: what it publishes, when, and when it stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from jupyter_mltrain.errors import ServiceUnavailable
from jupyter_mltrain.widgets import watch
from jupyter_mltrain.widgets.watch import Watcher


class Output:
    """A run that a test drives, and what was published of it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.state: dict[str, Any] = {"revision": 1, "status": "NotStarted", "stages": []}
        self.published: list[Mapping[str, Any]] = []
        self.error: Exception | None = None
        self.asked = 0
        self.askers: list[int] = []

    def advance(self, status: str, step: int = 1) -> None:
        with self.changed:
            self.state = {"revision": self.state["revision"] + step, "status": status, "stages": []}
            self.changed.notify_all()

    def refresh(self, after: int, wait: float) -> Mapping[str, Any]:
        with self.changed:
            self.asked += 1
            self.askers.append(threading.get_ident())
            if self.error:
                raise self.error
            self.changed.wait_for(lambda: self.state["revision"] > after, min(wait, 0.01))
            return self.state

    def publish(self, state: Mapping[str, Any]) -> None:
        with self.changed:
            self.published.append(state)
            self.changed.notify_all()

    @property
    def statuses(self) -> list[str]:
        return [str(s["status"]) for s in self.published]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_QUIET", 0.002)
    monkeypatch.setattr(watch, "_ROUND", 0.02)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.001)


def over(watcher: Watcher) -> Callable[[], bool]:
    return lambda: watcher._thread is None


def test_each_stage_and_the_end_are_published_and_the_thread_ends() -> None:
    output, watcher = Output(), Watcher()
    watcher.add("r", output, output.state)
    for status in ("Preparing", "Running", "Finalizing", "Completed"):
        output.advance(status)
        until(lambda status=status: output.statuses[-1:] == [status])
    until(over(watcher))
    assert output.statuses == ["Preparing", "Running", "Finalizing", "Completed"]
    assert watcher.live == 0


def test_figures_alone_are_published_now_and_then() -> None:
    now = [0.0]
    output, watcher = Output(), Watcher(clock=lambda: now[0])
    output.advance("Running")
    watcher.add("r", output, output.state)
    asked = output.asked
    for _ in range(50):
        output.advance("Running")
    until(lambda: output.asked > asked + 5)
    assert output.published == []
    now[0] = 2.5
    output.advance("Running")
    until(lambda: len(output.published) == 1)
    output.advance("Completed")
    until(over(watcher))
    assert output.statuses == ["Running", "Completed"]


def test_the_end_is_sent_once_more_within_a_cell_and_then_never() -> None:
    output, watcher = Output(), Watcher()
    watcher.add("r", output, output.state)
    output.advance("Completed")
    until(over(watcher))
    watcher.settle()
    watcher.settle()
    assert output.statuses == ["Completed", "Completed"]


def test_the_end_of_a_cell_brings_what_the_thread_has_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    output, watcher = Output(), Watcher()
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)  # a thread that never gets its turn
    watcher.add("r", output, output.state)
    output.advance("Running")
    watcher.settle()
    output.advance("Failed")
    watcher.settle()
    watcher.settle()
    assert output.statuses == ["Running", "Failed"]
    assert watcher.live == 0


def test_a_service_that_is_away_is_asked_again_and_holds_up_no_cell_twice() -> None:
    output, watcher = Output(), Watcher()
    output.error = ServiceUnavailable("away")
    watcher.add("r", output, output.state)
    until(lambda: output.asked >= 2)
    until(lambda: not watcher._watched["r"].reachable)
    output.askers.clear()
    watcher.settle()
    assert threading.get_ident() not in output.askers, "the cell waits for it"
    assert output.published == []
    output.error = None
    output.advance("Completed")
    until(over(watcher))
    assert output.statuses == ["Completed"]


def test_many_runs_share_one_thread() -> None:
    outputs, watcher = [Output() for _ in range(20)], Watcher()
    before = sum(t.name == "mltrain-outputs" for t in threading.enumerate())
    for i, output in enumerate(outputs):
        watcher.add(str(i), output, output.state)
    assert sum(t.name == "mltrain-outputs" for t in threading.enumerate()) == before + 1
    for output in outputs:
        output.advance("Completed")
    until(over(watcher))
    assert all(output.statuses == ["Completed"] for output in outputs)


def test_a_run_that_has_ended_already_starts_no_thread() -> None:
    output, watcher = Output(), Watcher()
    output.advance("Completed")
    watcher.add("r", output, output.state)
    assert watcher._thread is None
    watcher.settle()
    assert output.published == []


def test_a_later_run_gets_a_thread_again() -> None:
    first, second, watcher = Output(), Output(), Watcher()
    watcher.add("1", first, first.state)
    first.advance("Completed")
    until(over(watcher))
    watcher.add("2", second, second.state)
    second.advance("Canceled")
    until(over(watcher))
    assert second.statuses == ["Canceled"]


def test_an_older_state_never_follows_a_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    output, watcher = Output(), Watcher()
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    watcher.add("r", output, output.state)
    output.advance("Running", step=5)
    watcher.settle()
    output.state = {"revision": 3, "status": "Preparing", "stages": []}
    watcher.settle()
    assert output.statuses == ["Running"]


def test_a_cell_that_ends_while_outputs_are_collected_stays_for_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    output, watcher = Output(), Watcher()
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    watcher.add("r", output, output.state)
    output.advance("Finalizing")
    collecting = threading.Timer(0.03, output.advance, ["Completed"])
    start(collecting)
    watcher.settle()
    collecting.join()
    assert output.statuses == ["Finalizing", "Completed"]


def test_but_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_FINISH", 0.03)
    output, watcher = Output(), Watcher()
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    watcher.add("r", output, output.state)
    output.advance("Finalizing")
    watcher.settle()
    assert output.statuses == ["Finalizing"]
    output.advance("Completed")
    watcher.settle()
    assert output.statuses == ["Finalizing", "Completed"]
