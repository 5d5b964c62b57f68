"""Who may begin again, and what becomes of what an earlier attempt left."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from jupyter_mltrain.core.compute import FROM_OUTSIDE, Capabilities, Exit, Observation, Phase, StopEvidence
from jupyter_mltrain.core.spec import RunSpec
from jupyter_mltrain.core.status import Status
from jupyter_mltrain.service import lost
from jupyter_mltrain.service.again import collect


class Engine:
    """Shares no files; `brings`: the files that it collects."""

    capabilities = Capabilities()

    def __init__(self, left: tuple[str, ...] = (), brings: tuple[str, ...] = ()) -> None:
        self.stop_evidence = StopEvidence(remaining=left)
        self.brings = brings

    async def rewind(self, handle: Any, into: Path, note: str) -> None: ...

    async def collect(self, handle: Any, into: Path) -> None:
        for name in self.brings:
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            (into / name).touch()

    async def stop(self, handle: Any, grace: float) -> StopEvidence:
        return self.stop_evidence


GONE = Observation(Phase.VANISHED, detail="machine restarted")


@pytest.mark.parametrize(
    ("seen", "retries", "doc", "low", "status", "begins"),
    [
        (GONE, 0, {}, False, Status.RUNNING, False),
        (GONE, 1, {}, False, Status.RUNNING, True),
        (GONE, 1, {}, False, Status.NOT_RESPONDING, True),
        (GONE, 1, {}, False, Status.CANCEL_REQUESTED, False),
        (GONE, 1, {"losses": 1, "preemptions": 1}, False, Status.RUNNING, False),
        # In a pool of low priority as often as it may be made to give way; what was asked for comes on top.
        (GONE, 0, {"preemptions": 2}, True, Status.RUNNING, True),
        (GONE, 0, {"preemptions": 3}, True, Status.RUNNING, False),
        (GONE, 1, {"preemptions": 3}, True, Status.RUNNING, True),
        (Observation(Phase.ABSENT), 1, {}, False, Status.STARTING, True),
        (Observation(Phase.EXITED, (Exit(0, 1, None, 0.0),)), 1, {}, False, Status.RUNNING, False),
        (Observation(Phase.EXITED, (Exit(0, 0, None, 0.0, stopped=FROM_OUTSIDE),)), 1, {}, False, Status.RUNNING, True),
        (Observation(Phase.UNREACHABLE), 1, {}, False, Status.RUNNING, False),
    ],
)
def test_who_begins_again(
    monkeypatch: pytest.MonkeyPatch,
    seen: Observation, retries: int, doc: dict[str, int], low: bool, status: Status, begins: bool,
) -> None:  # fmt: skip
    queued: list[str] = []

    async def queue(_service: Any, _record: Any, reason: str, *_: Any, **counts: int) -> bool:
        queued.append(f"{reason} {counts}")
        return True

    async def save() -> None: ...

    monkeypatch.setattr(lost, "queue_again", queue)
    spec = RunSpec("e_1", "e", "d", "t", "env", script="a.py", retries=retries)
    record: Any = SimpleNamespace(spec=spec, doc={"handle": {}, **doc}, status=status, save=save)
    service: Any = SimpleNamespace(pool=lambda _: SimpleNamespace(low_priority=low))

    async def ask(engine: Engine) -> bool:
        return await lost.begins_again(service, record, cast("Any", engine), seen, cast("Any", None))

    assert asyncio.run(ask(Engine())) is begins
    assert len(queued) == begins
    if begins:
        assert queued[0].endswith(f"{{'losses': {doc.get('losses', 0) + 1}}}")
        assert not asyncio.run(ask(Engine(("4711 python",)))), "something of it goes on"


def left(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


async def test_what_was_there_stays_where_the_rest_cannot_be_brought(tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "checkpoint").touch()
    begun, late = asyncio.Event(), list[Path]()

    class Slow(Engine):
        async def collect(self, handle: Any, into: Path) -> None:
            late.append(into / "outputs" / "part")
            begun.set()
            await asyncio.Event().wait()

    bringing = asyncio.create_task(bring(tmp_path, Slow()))
    await begun.wait()
    bringing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bringing
    # A thread that nobody waits for any more goes on.
    late[0].parent.mkdir(parents=True)
    late[0].touch()
    await bring(tmp_path, Engine())
    assert left(tmp_path) == ["outputs/checkpoint"]


async def test_what_is_brought_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    class Cut(Engine):
        async def collect(self, handle: Any, into: Path) -> None:
            await super().collect(handle, into)
            raise OSError

    await bring(tmp_path, Engine(brings=("outputs/a", "logs/x")))
    assert left(tmp_path) == ["logs/x", "outputs/a"]
    await bring(tmp_path, Engine())
    assert left(tmp_path) == ["logs/x", "outputs/a"], "nothing was left to be brought"
    with pytest.raises(OSError):  # noqa: PT011 - the one above
        await bring(tmp_path, Cut(brings=("outputs/b",)))
    assert left(tmp_path) == ["logs/x", "outputs/a"]
    await bring(tmp_path, Engine(brings=("outputs/b",)))
    assert left(tmp_path) == ["logs/x", "outputs/b"]


async def test_who_was_killed_while_it_took_over_what_was_brought_has_lost_nothing(tmp_path: Path) -> None:
    (tmp_path / "outputs.before").mkdir()
    (tmp_path / "outputs.before" / "checkpoint").touch()
    await bring(tmp_path, Engine())
    assert left(tmp_path) == ["outputs/checkpoint"]


async def bring(folder: Path, engine: Engine) -> None:
    record: Any = SimpleNamespace(folder=folder, doc={"preemptions": 1})
    await collect(record, cast("Any", engine), {})
