"""A service that died while it launched a run, seen by the next one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from jupyter_mltrain.core.compute import Capabilities, LaunchPlan, Observation, Phase, StopEvidence
from jupyter_mltrain.core.status import Status
from jupyter_mltrain.errors import EngineUnreachable
from jupyter_mltrain.service import launching
from jupyter_mltrain.service.launching import launched

PLAN = LaunchPlan("r1", "box", "/r", (), "/record", "/blobs")
OVER_HOSTS = dataclasses.replace(PLAN, hosts=("box", "other"), addresses=("10.0.0.1", "10.0.0.2"))


class Engine:
    """`phases`: what it sees of the run, look by look; None where it cannot be reached."""

    capabilities = Capabilities(shared_files=True)

    def __init__(self, *phases: Phase | None) -> None:
        self.phases = list(phases)
        self.brings: dict[str, str] = {}
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

    async def collect(self, handle: dict[str, Any], into: Path) -> None:
        self.done.append("collect")
        for name, text in self.brings.items():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            (into / name).write_text(text)

    async def remove(self, handle: dict[str, Any]) -> None:
        self.done.append("remove")


class Record:
    def __init__(self, begun: bool, folder: Path = Path("/record")) -> None:
        self.id, self.folder = "r1", folder
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
    assert engine.done == ["stop", "collect", "remove"]


async def test_what_an_earlier_attempt_made_comes_back_where_it_had_been_moved(tmp_path: Path) -> None:
    engine, record = Engine(Phase.ABSENT), Record(begun=True, folder=tmp_path)
    record.doc["preemptions"] = 1
    engine.brings = {"outputs/kept": "old"}
    assert await launch(engine, record) is None
    assert (tmp_path / "outputs" / "kept").read_text() == "old"


async def test_a_copy_that_may_be_half_made_does_not_take_the_place_of_what_was_copied(tmp_path: Path) -> None:
    engine, record = Engine(Phase.ABSENT), Record(begun=True, folder=tmp_path)
    engine.capabilities = Capabilities(shared_files=False)
    record.doc["preemptions"] = 1
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "model").write_text("whole")
    engine.brings = {"outputs/model": "ha"}
    assert await launch(engine, record) is None
    assert (tmp_path / "outputs" / "model").read_text() == "whole"
    assert engine.done == ["stop", "remove"]


async def test_where_its_nodes_are_is_told_once() -> None:
    engine, record = Engine(), Record(begun=False)
    record.doc["notices"] = ["one of its own", launching.over_hosts(OVER_HOSTS)[0].replace("box", "another")]
    service = SimpleNamespace(secrets=lambda _: {"TOKEN": "t"})
    await launched(cast("Any", service), cast("Any", record), cast("Any", engine), OVER_HOSTS)
    assert record.doc["notices"] == ["one of its own", *launching.over_hosts(OVER_HOSTS)]


async def test_without_its_secret_nothing_is_launched() -> None:
    engine = Engine()
    assert await launch(engine, Record(begun=False)) is None
    assert engine.done == []


async def test_who_has_the_secret_launches_again_and_finds_the_run() -> None:
    engine = Engine()
    assert await launch(engine, Record(begun=True), TOKEN="t")
    assert engine.done == ["launch ['TOKEN']"]
