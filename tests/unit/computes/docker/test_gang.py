"""A run over several hosts, with doubles for their engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.computes.docker import gang
from jupyter_mltrain.core.compute import Exit, Frame, Handle, LaunchPlan, Observation, Phase, StopEvidence
from jupyter_mltrain.errors import EngineError, EngineUnreachable

PLAN = LaunchPlan("run", "docker", "/root", (), "", "")


class Host:
    """An engine that has one rank. `away`: it does not answer; `broken`: it cannot start anything."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.away = self.broken = False
        self.seen = Observation(Phase.RUNNING, started=10.0 - rank, beat_age=float(rank), evidence=ranks(rank))
        self.begun = False
        self.told: list[Exit] = []
        self.files: dict[str, str] = {}
        self.frames: list[Frame] = []
        self.cut_after: int | None = None

    def ask(self) -> None:
        if self.away:
            raise EngineUnreachable("No route.", mend="Plug it in.")

    async def launch(self, plan: LaunchPlan, secrets: Mapping[str, str]) -> Handle:
        self.ask()
        if self.broken:
            raise EngineError("No such image.")
        self.begun = True
        return {"here": plan.here}

    async def observe(self, handle: Handle) -> Observation:
        self.ask()
        return self.seen

    async def tell(self, handle: Handle, exits: Sequence[Exit]) -> None:
        self.ask()
        self.told += exits

    async def stream(self, handle: Handle, offsets: Mapping[str, int]) -> AsyncIterator[Frame]:
        self.ask()
        for number, frame in enumerate([one for one in self.frames if one.offset >= offsets.get(one.stream, 0)]):
            if number == self.cut_after:
                self.cut_after = None
                raise EngineUnreachable("Cut.")
            yield frame

    async def collect(self, handle: Handle, into: Path) -> None:
        self.ask()
        for name, text in self.files.items():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            (into / name).write_text(text)

    async def stop(self, handle: Handle, grace: float) -> StopEvidence:
        self.ask()
        self.begun = False
        return StopEvidence(("SIGTERM",), (f"python {self.rank}",), (), 1.0 + self.rank, "the container ended with 143")

    async def remove(self, handle: Handle) -> None:
        self.ask()


def ranks(rank: int) -> dict[str, Any]:
    return {"ranks": {str(rank): {"alive": True}}}


@pytest.fixture
def hosts() -> list[Host]:
    return [Host(0), Host(1), Host(2)]


@pytest.fixture
def parts(hosts: list[Host]) -> list[gang.Part]:
    return [
        gang.Part("abc"[host.rank], host, (host.rank,), {"containers": [{"name": "x", "ranks": [host.rank]}]})  # type: ignore[arg-type]
        for host in hosts
    ]


async def test_what_all_see_is_one(hosts: list[Host], parts: list[gang.Part]) -> None:
    seen = await gang.observe(parts, set())
    assert (seen.phase, seen.started, seen.beat_age) == (Phase.RUNNING, 8.0, 2.0)
    assert set(seen.evidence["ranks"]) == {"0", "1", "2"}
    hosts[1].seen = Observation(Phase.STARTING)
    assert (await gang.observe(parts, set())).phase is Phase.STARTING
    hosts[1].seen = Observation(Phase.ABSENT)
    seen = await gang.observe(parts, set())
    assert (seen.phase, seen.detail) == (Phase.VANISHED, "b: nothing of the run is there")
    for host in hosts:
        host.seen = Observation(Phase.ABSENT)
    assert (await gang.observe(parts, set())).phase is Phase.ABSENT


async def test_an_end_is_told_once_to_those_that_go_on(hosts: list[Host], parts: list[gang.Part]) -> None:
    told: set[tuple[str, int]] = set()
    failed = Exit(1, 3, None, 5.0)
    hosts[1].seen = Observation(Phase.EXITED, (failed,))
    for _ in range(2):
        assert (await gang.observe(parts, told)).exits == (failed,)
    assert [host.told for host in hosts] == [[failed], [], [failed]]


async def test_also_while_a_host_is_away_which_is_no_end(hosts: list[Host], parts: list[gang.Part]) -> None:
    hosts[0].away = True
    hosts[1].seen = Observation(Phase.VANISHED, detail="the container is gone")
    told: set[tuple[str, int]] = set()
    with pytest.raises(EngineUnreachable, match=r"a: No route\.") as caught:
        await gang.observe(parts, told)
    assert caught.value.mend == "Plug it in."
    assert [(one.rank, one.code, one.error) for one in hosts[2].told] == [(1, None, "its supervisor is lost")]
    hosts[0].away = False
    assert (await gang.observe(parts, told)).detail == "b: the container is gone"
    assert [len(host.told) for host in hosts] == [1, 0, 1]


async def test_where_one_cannot_start_nothing_is_left_of_the_others(hosts: list[Host], parts: list[gang.Part]) -> None:
    hosts[2].broken = True
    with pytest.raises(EngineError, match=r"c: No such image\."):
        await gang.launch(parts, lambda _: PLAN, {})
    assert not any(host.begun for host in hosts)


async def test_where_another_does_not_answer_that_is_told_until_it_does(
    hosts: list[Host], parts: list[gang.Part]
) -> None:
    await gang.launch(parts, lambda _: PLAN, {})
    hosts[2].broken = hosts[1].away = True
    with pytest.raises(gang.Refused, match=r"b: No route\. \(c: No such image\.\)") as caught:
        await gang.launch(parts, lambda _: PLAN, {})
    assert [host.begun for host in hosts[:2]] == [False, True], "what is away may go on"
    with pytest.raises(gang.Refused, match=r"b: No route\."):
        await gang.refuse(parts, caught.value.why)
    hosts[1].away = False
    with pytest.raises(EngineError, match=r"^c: No such image\."):
        await gang.refuse(parts, caught.value.why)
    assert not any(host.begun for host in hosts[:2])


async def test_a_launch_goes_on_where_a_host_answers_again(hosts: list[Host], parts: list[gang.Part]) -> None:
    hosts[1].away = True
    with pytest.raises(EngineUnreachable, match=r"b: No route\."):
        await gang.launch(parts, lambda _: PLAN, {})
    assert [host.begun for host in hosts] == [True, False, True]
    hosts[1].away = False
    await gang.launch(parts, lambda _: PLAN, {})
    assert all(host.begun for host in hosts)


async def test_what_cannot_be_undone_now_is_undone_later(
    hosts: list[Host], parts: list[gang.Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gang, "_CLEAN_UP_SECONDS", [0.01] * 1000)
    hosts[0].begun = hosts[0].away = True
    await gang.undo(parts)
    assert hosts[0].begun
    hosts[0].away = False
    async with asyncio.timeout(30):
        while hosts[0].begun:
            await asyncio.sleep(0.01)


async def test_streams_of_a_host_that_is_away_for_a_while_are_not_lost(
    hosts: list[Host], parts: list[gang.Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gang, "_AGAIN_SECONDS", 0.01)
    for host in hosts:
        # What an earlier attempt said lies on all hosts.
        host.frames = [Frame("r0.log" if host.rank else "r1.log", 0, b"old")]
        host.frames += [Frame(f"r{host.rank}.log", at, bytes([at])) for at in range(5)]
    hosts[1].cut_after = 3
    found = [frame async for frame in gang.stream(parts, {"r2.log": 4})]
    by_stream = {name: [one.offset for one in found if one.stream == name] for name in ("r0.log", "r1.log", "r2.log")}
    assert by_stream == {"r0.log": [0, 1, 2, 3, 4], "r1.log": [0, 1, 2, 3, 4], "r2.log": [4]}
    for host in hosts:
        host.away = True
    with pytest.raises(EngineUnreachable):
        [frame async for frame in gang.stream(parts, {})]


async def test_outputs_of_all_hosts_are_the_runs(hosts: list[Host], parts: list[gang.Part], tmp_path: Path) -> None:
    hosts[0].files = {"outputs/model": "zero", "outputs/same": "same", "outputs/folder": "is a file"}
    hosts[1].files = {"outputs/model": "one", "outputs/same": "same", "outputs/folder/a": "a", "logs/one": "1"}
    hosts[2].files = {"outputs/model": "two", "outputs/deep/er": "2"}
    expected = {
        "outputs/model": "zero",
        "outputs/same": "same",
        "outputs/folder": "is a file",
        "outputs/node1/model": "one",
        "outputs/node1/folder/a": "a",
        "logs/one": "1",
        "outputs/node2/model": "two",
        "outputs/deep/er": "2",
    }
    for _ in range(2):
        await gang.collect(parts, tmp_path)
        found = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
        assert found == expected
    assert not (tmp_path / "collecting").exists()
    hosts[2].away = True
    with pytest.raises(EngineUnreachable, match=r"c: No route\."):
        await gang.collect(parts, tmp_path)


async def test_all_are_ended_at_once_and_one_that_is_away_is_told(hosts: list[Host], parts: list[gang.Part]) -> None:
    stopped = await gang.stop(parts, 1.0)
    assert (stopped.signals, stopped.seconds) == (("SIGTERM",), 3.0)
    assert stopped.ended == ("python 0", "python 1", "python 2")
    assert stopped.container.startswith("a: the container ended with 143; b: ")
    for host in hosts:
        host.begun = True
    hosts[0].away = True
    with pytest.raises(EngineUnreachable, match=r"a: No route\."):
        await gang.stop(parts, 1.0)
    assert [host.begun for host in hosts] == [True, False, False]
