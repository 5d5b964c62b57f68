"""An endpoint's outputs follow it while something is under way, and again when something was done to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_mltrain.errors import WebserviceNotFound
from jupyter_mltrain.widgets import endpoint_live, watch
from jupyter_mltrain.widgets.endpoint_live import EndpointOutput
from jupyter_mltrain.widgets.endpoint_output import MIME
from tests.unit.widgets.test_endpoint_output import ENTRY


class Service:
    """A connection to a service with one endpoint, which a test moves on."""

    def __init__(self) -> None:
        self.entry: dict[str, Any] | None = None
        self.asked = 0

    def stand(self, phase: str, state: str, news: int) -> dict[str, Any]:
        self.entry = {**ENTRY, "phase": phase, "state": state, "step": "", "serving": 1, "news": news}
        return self.entry

    def get(self, path: str, /, **_: Any) -> Any:
        if path.endswith("/latency"):
            return None
        self.asked += 1
        if self.entry is None:
            raise WebserviceNotFound("It is gone.")
        return self.entry

    def bytes(self, path: str, /, **_: Any) -> tuple[bytes, dict[str, str]]:
        return b"", {}


class Shell:
    """A kernel's shell: what it is told to show, by display id."""

    kernel = object()

    def __init__(self) -> None:
        self.said: list[tuple[str, str, bool]] = []
        self.display_pub = SimpleNamespace(publish=self._publish)
        self.events = SimpleNamespace(register=lambda *_: None)

    def _publish(self, data: Any, _metadata: Any, *, transient: Any, update: bool) -> None:
        self.said.append((transient["display_id"], data[MIME]["state"]["state"], update))

    @property
    def states(self) -> list[str]:
        return [state for _, state, _ in self.said]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_QUIET", 0.002)
    monkeypatch.setattr(watch, "_ROUND", 0.02)
    monkeypatch.setattr(endpoint_live, "_shown", {})


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.002)


def test_it_follows_a_deployment_to_its_end_and_whatever_is_done_to_it_later() -> None:
    service, shell = Service(), Shell()
    place = SimpleNamespace(id="uuid", name="w", connection=service)
    entry = service.stand("deploying", "Transitioning", 1)
    EndpointOutput(shell, SimpleNamespace(workspace=place, entry=entry)).display()  # pyright: ignore[reportArgumentType]
    service.stand("running", "Healthy", 2)
    until(lambda: shell.states == ["Transitioning", "Healthy"])
    assert len({display for display, _, _ in shell.said}) == 1
    assert [update for _, _, update in shell.said] == [False, True]
    until(lambda: (asked := service.asked, time.sleep(0.2)) and service.asked == asked)  # not on and on
    asked = service.asked
    service.entry = None
    endpoint_live.changed("uuid", "another")
    assert service.asked == asked
    endpoint_live.changed("uuid", ENTRY["name"])
    until(lambda: shell.states[-1] == "deleted")


def test_one_that_serves_is_shown_and_not_asked_for_again() -> None:
    service, shell = Service(), Shell()
    place = SimpleNamespace(id="uuid", name="w", connection=service)
    entry = service.stand("running", "Healthy", 1)
    EndpointOutput(shell, SimpleNamespace(workspace=place, entry=entry)).display()  # pyright: ignore[reportArgumentType]
    time.sleep(0.05)
    assert (shell.states, service.asked) == (["Healthy"], 0)
