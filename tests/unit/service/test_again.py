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
from jupyter_mltrain.service.again import replacing


class Engine:
    """Shares no files; `brings` is what it collects: path → text."""

    capabilities = Capabilities()

    def __init__(self, left: tuple[str, ...] = ()) -> None:
        self.stop_evidence = StopEvidence(remaining=left)

    async def rewind(self, handle: Any, into: Path, note: str) -> None: ...

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


def test_what_was_there_stays_where_the_rest_cannot_be_brought(tmp_path: Path) -> None:
    record: Any = SimpleNamespace(folder=tmp_path, doc={"preemptions": 1})
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "checkpoint").touch()

    async def collect() -> None:
        async with replacing(record, cast("Any", Engine())):
            (tmp_path / "outputs").mkdir()
            (tmp_path / "outputs" / "part").touch()
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(collect())
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["outputs", "outputs/checkpoint"]


def test_what_is_brought_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    record: Any = SimpleNamespace(folder=tmp_path, doc={"preemptions": 1})

    async def collect(*names: str, cut: bool = False) -> None:
        async with replacing(record, cast("Any", Engine())):
            for name in names:
                (tmp_path / name).parent.mkdir(exist_ok=True)
                (tmp_path / name).touch()
            if cut:
                raise OSError

    async def all_of_it() -> list[list[str]]:
        seen: list[list[str]] = []
        for names, cut in (
            (("outputs/a", "logs/x"), False),
            ((), False),
            (("outputs/b",), True),
            (("outputs/c",), False),
        ):
            try:
                await collect(*names, cut=cut)
            except OSError:
                await collect(*names)  # as who waits for the engine does
            seen.append(sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()))
        return seen

    assert asyncio.run(all_of_it()) == [
        ["logs/x", "outputs/a"],
        ["logs/x", "outputs/a"],  # nothing was left to be brought
        ["logs/x", "outputs/b"],
        ["logs/x", "outputs/c"],
    ]
