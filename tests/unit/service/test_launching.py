"""A service that died while it launched a run, seen by the next one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from jupyter_mltrain.core.compute import Capabilities, LaunchPlan, Observation, Phase, StopEvidence
from jupyter_mltrain.core.status import Status
from jupyter_mltrain.errors import EngineUnreachable
from jupyter_mltrain.service import launching
from jupyter_mltrain.service.launching import launched

PLAN = LaunchPlan("r1", "box", "/r", (), "/record", "/blobs")


class Engine:
    """`phases`: what it sees of the run, look by look; None where it cannot be reached."""

    capabilities = Capabilities()

    def __init__(self, *phases: Phase | None) -> None:
        self.phases = list(phases)
        self.done: list[str] = []

    def foretold(self, plan: LaunchPlan) -> dict[str, Any]:
        return {"run_id": plan.run_id}

    async def launch(self, plan: LaunchPlan, secrets: dict[str, str]) -> dict[str, Any]:
        self.done.append(f"launch {sorted(secrets)}")
        return {"run_id": plan.run_id, "more": 1}

    async def observe(self, handle: dict[str, Any]) -> Observation:
        phase = self.phases.pop(0)
        if phase is None:
            raise EngineUnreachable("cut")
        return Observation(phase)

    async def stop(self, handle: dict[str, Any], grace: float) -> StopEvidence:
        self.done.append("stop")
        return StopEvidence()

    async def remove(self, handle: dict[str, Any]) -> None:
        self.done.append("remove")


class Record:
    def __init__(self, begun: bool) -> None:
        self.id = "r1"
        self.spec = SimpleNamespace(secrets=("TOKEN",))
        self.doc: dict[str, Any] = {"launching": {"run_id": "r1"}} if begun else {}
        self.status, self.path, self.saved = Status.STARTING, list[Status](), 0

    async def save(self) -> None:
        self.saved += 1

    async def progress(self, status: Status, *_: object) -> None:
        self.status = status
        self.path.append(status)


async def launch(engine: Engine, record: Record, **secrets: str) -> dict[str, Any] | None:
    service = SimpleNamespace(secrets=lambda _: secrets)
    return await launched(cast("Any", service), cast("Any", record), cast("Any", engine), PLAN)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "AGAIN_SECONDS", 0)


async def test_what_to_look_for_is_saved_before_anything_runs() -> None:
    engine, record = Engine(), Record(begun=False)
    assert await launch(engine, record, TOKEN="t") == {"run_id": "r1", "more": 1}
    assert record.doc["launching"] == {"run_id": "r1"}
    assert record.saved == 1


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.EXITED])
async def test_a_run_that_was_launched_goes_on_though_its_secret_is_gone(phase: Phase) -> None:
    engine, record = Engine(None, Phase.STARTING, phase), Record(begun=True)
    assert await launch(engine, record) == {"run_id": "r1"}
    assert engine.done == []
    assert record.path == [Status.NOT_RESPONDING, Status.STARTING]


@pytest.mark.parametrize("phase", [Phase.ABSENT, Phase.VANISHED])
async def test_of_a_run_whose_processes_never_came_to_be_nothing_is_left(phase: Phase) -> None:
    engine = Engine(phase)
    assert await launch(engine, Record(begun=True)) is None
    assert engine.done == ["stop", "remove"]


async def test_without_its_secret_nothing_is_launched() -> None:
    engine = Engine()
    assert await launch(engine, Record(begun=False)) is None
    assert engine.done == []


async def test_who_has_the_secret_launches_again_and_finds_the_run() -> None:
    engine = Engine()
    assert await launch(engine, Record(begun=True), TOKEN="t")
    assert engine.done == ["launch ['TOKEN']"]
