"""What is done about a run that was given up, once its host answers again; with doubles for host and record."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from jupyter_mltrain.core.compute import Capabilities, Exit, Observation, Phase, StopEvidence
from jupyter_mltrain.core.status import Status
from jupyter_mltrain.service.giving_up import GivenUp
from jupyter_mltrain.service.ingest import Ingest


class Engine:
    def __init__(self, seen: Observation, *, shared_files: bool) -> None:
        self.capabilities = Capabilities(shared_files=shared_files)
        self.seen = seen
        self.done: list[str] = []

    async def observe(self, handle: dict[str, Any]) -> Observation:
        return self.seen

    async def stop(self, handle: dict[str, Any], grace: float) -> StopEvidence:
        self.seen = Observation(Phase.EXITED, (Exit(0, 137, None, 1.0),))
        self.done.append("stop")
        return StopEvidence()

    async def collect(self, handle: dict[str, Any], into: Path) -> None:
        self.done.append("collect")

    async def remove(self, handle: dict[str, Any]) -> None:
        self.done.append("remove")


class Nothing(Ingest):
    """Of a host that has no more to say."""

    async def follow(self, *_: object) -> None: ...


class Record:
    def __init__(self, folder: Path, status: Status) -> None:
        self.id, self.folder, self.status = "r1", folder, status
        self.doc: dict[str, Any] = {}
        self.ingest = Nothing(folder)

    async def save(self) -> None: ...

    async def advance(self, status: Status, *_: object) -> None:
        self.status = status


class Bench:
    """A run that was given up, and its note. `end`: what is done as soon as its host answers."""

    def __init__(self, folder: Path, engine: Engine, status: Status, **note: Any) -> None:
        self.record = Record(folder, status)

        async def record(_: str) -> Record:
            return self.record

        async def settle(*_: object) -> None: ...

        service = SimpleNamespace(
            layout=SimpleNamespace(computes=folder),
            record=record,
            compute=lambda _: engine,
            children=SimpleNamespace(settle=settle),
        )
        self.given_up = GivenUp(cast("Any", service))
        self.note = folder / "given-up" / "r1.json"
        self.note.parent.mkdir()
        self.note.write_text(json.dumps({"run": "r1", "target": "box", "handle": {"run_id": "r1"}, **note}))

    async def end(self) -> None:
        await self.given_up._end(self.note)


BEGUN, NEVER = Observation(Phase.RUNNING, started=1.0), Observation(Phase.ABSENT)


@pytest.mark.parametrize(
    ("seen", "shared", "launching", "done"),
    [
        (NEVER, False, True, ["stop", "remove"]),  # a copy of what the record has, maybe half made
        (NEVER, True, True, ["stop", "collect", "remove"]),  # moved there
        (BEGUN, False, True, ["stop", "collect", "remove"]),
        (NEVER, False, False, ["stop", "collect", "remove"]),  # it had run before
    ],
)
async def test_what_it_made_is_fetched_where_it_ever_ran(
    seen: Observation, shared: bool, launching: bool, done: list[str], tmp_path: Path
) -> None:
    engine = Engine(seen, shared_files=shared)
    bench = Bench(tmp_path, engine, Status.FAILED, launching=launching)
    await bench.end()
    assert engine.done == done
    assert not bench.note.exists()


async def test_the_note_of_a_run_that_is_just_given_up_is_kept(tmp_path: Path) -> None:
    engine = Engine(BEGUN, shared_files=False)
    bench = Bench(tmp_path, engine, Status.NOT_RESPONDING)
    bench.given_up._giving.add("r1")
    await bench.end()
    assert bench.note.exists()
    bench.given_up._giving.clear()
    await bench.end()
    assert not bench.note.exists(), "a service was killed between the two: the run goes on"
    assert engine.done == []
