"""Targets without a service: what is attached, what is there again after a restart, what is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from jupyter_mltrain.core.compute import Capabilities, Capacity, Grant, Health, Leftover
from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.core.spec import Resources
from jupyter_mltrain.core.target import TargetDefinition
from jupyter_mltrain.errors import ComputeTargetException, NotWritable, TargetInUse, TargetNotFound, UsageError
from jupyter_mltrain.service import targets as module
from jupyter_mltrain.service.targets import Targets

HERE = Capacity(slots=2, cpus=4, memory_gb=16.0, gpus=("A",))


class Engine:
    """As much of an engine as a target asks of one."""

    capabilities = Capabilities()

    def __init__(self, name: str, capacity: Capacity, problem: str = "") -> None:
        self.name, self._capacity, self._problem = name, capacity, problem

    async def check(self) -> Health:
        return Health(ok=not self._problem, problem=self._problem, mend="Start it.")

    async def capacity(self) -> Capacity:
        return self._capacity


class Kept(Engine):
    """An engine with something of ours on its host: one thing for each run that was there."""

    def __init__(self) -> None:
        super().__init__("kept", Capacity(3, 8, 64.0))
        self.there = ["a", "b"]

    def belongs_to(self, workspace: str) -> None:
        self.workspace = workspace

    async def leftovers(self, ended: Collection[str]) -> list[Leftover]:
        return [Leftover("volume", name, 5, "its run has ended") for name in self.there if name in ended]

    async def discard(self, leftovers: Sequence[Leftover]) -> list[Leftover]:
        for one in leftovers:
            self.there.remove(one.name)
        return list(leftovers)


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    def load(kind: str, **settings: Any) -> Engine:
        if kind == "local":
            return Engine("local", HERE)
        if kind == "box":
            return Engine("box", Capacity(3, 8, 64.0, ("B", "C")), settings.get("problem", ""))
        if kind == "kept":
            return Kept()
        raise UsageError(f"There is no engine {kind!r}.")

    monkeypatch.setattr(module.computes, "load", load)
    layout = Layout(tmp_path)
    layout.computes.mkdir(parents=True)
    return layout


async def opened(layout: Layout, **config: Any) -> Targets:
    made = Targets(layout, config, lambda _: None)
    await made.open()
    return made


async def test_what_is_attached_has_a_machine_of_its_own_and_is_there_again(layout: Layout) -> None:
    first = await opened(layout)
    await first.attach(TargetDefinition("box", kind="box"))
    again = await opened(layout)
    for targets in (first, again):
        pool = targets.get("box").pool
        assert (pool.scale.max_nodes, pool.machine.capacity.memory_gb) == (3, 64.0)
        assert (await pool.acquire("a", Resources(gpus=2, memory_gb=60.0))).gpus == (0, 1)
        assert (await targets.get("local").pool.acquire("b", Resources(gpus=1, memory_gb=16.0))).gpus == (0,)


async def test_what_cannot_be_attached(layout: Layout) -> None:
    targets = await opened(layout)
    with pytest.raises(ComputeTargetException, match="x: the daemon is away"):
        await targets.attach(TargetDefinition("x", kind="box", settings={"problem": "the daemon is away"}))
    with pytest.raises(UsageError, match="no engine 'slurm'"):
        await targets.attach(TargetDefinition("x", kind="slurm"))
    assert [target.name for target in targets] == ["local"]
    assert list(layout.computes.iterdir()) == []


async def test_what_is_left_on_an_engine_goes_when_no_run_needs_it(layout: Layout) -> None:
    targets = await opened(layout, id="5f0c")
    target = await targets.attach(TargetDefinition("box", kind="kept"))
    assert cast("Kept", target.compute).workspace == "5f0c"
    assert [one.name for one in await targets.prune("box", {"b"}, dry_run=True)] == ["b"]
    assert [one.name for one in await targets.prune("box", {"b"}, dry_run=False)] == ["b"]
    assert [one.name for one in await targets.prune("box", {"a", "b"}, dry_run=True)] == ["a"]
    assert await targets.prune("local", (), dry_run=False) == []


async def test_an_engine_that_is_gone_is_a_problem_of_its_target_alone(layout: Layout) -> None:
    first = await opened(layout)
    await first.attach(TargetDefinition("box", kind="box"))
    text = (layout.computes / "box.json").read_text().replace('"kind": "box"', '"kind": "slurm"')
    (layout.computes / "box.json").write_text(text)
    again = await opened(layout)
    assert [target.name for target in again] == ["local"]
    assert "There is no engine 'slurm'" in again.problems[0]


async def test_runs_of_a_target_that_is_gone_are_kept_and_no_more_come(layout: Layout) -> None:
    targets = await opened(layout)
    targets.keep("old")
    targets.keep("old")
    pool = targets.of_run("old").pool
    pool.restore("r1", Grant((0,), None, 4.0, 1))
    assert targets.get("local").pool.machine.room.memory_gb == 12.0
    with pytest.raises(TargetNotFound):
        await pool.acquire("r2", Resources())
    with pytest.raises(TargetNotFound):
        targets.get("old")
    with pytest.raises(TargetInUse):
        await targets.create(TargetDefinition("old", size="STANDARD_D1_V2"))
    pool.release("r1")
    assert targets.get("local").pool.machine.room.memory_gb == 16.0
    made = await targets.create(TargetDefinition("old", size="STANDARD_D1_V2"))
    assert targets.of_run("old") is made


async def test_two_who_make_the_same_at_once_make_one(layout: Layout) -> None:
    targets = await opened(layout)
    asked = TargetDefinition("a", size="STANDARD_D1_V2")
    one, other = await asyncio.gather(targets.create(asked), targets.create(asked))
    assert one is other
    assert [path.name for path in layout.computes.iterdir()] == ["a.json"]


async def test_what_cannot_be_written_is_not_there(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = await opened(layout)

    def full(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "_replace", full)
    with pytest.raises(NotWritable, match="cannot be written: Permission denied"):
        await targets.create(TargetDefinition("a", size="STANDARD_D1_V2"))
    assert [target.name for target in targets] == ["local"]


async def test_more_nodes_share_the_memory_anew(layout: Layout) -> None:
    targets = await opened(layout)
    made = await targets.create(TargetDefinition("a", size="STANDARD_D3_V2", max_nodes=1))
    assert made.pool.share is not None
    assert (made.pool.share.memory_gb, made.substitutions) == (14, ())
    await targets.change("a", max_nodes=4)
    assert made.pool.share.memory_gb == 4.0
    assert made.substitutions[0].given == "4 CPUs, 4 GB, no GPU"


async def test_it_keeps_as_many_nodes_as_a_waiting_run_asked_for(layout: Layout) -> None:
    targets = await opened(layout)
    made = await targets.create(TargetDefinition("a", size="STANDARD_D1_V2", max_nodes=2))
    await made.pool.acquire("first", Resources())
    waiting = asyncio.create_task(made.pool.acquire("wide", Resources(), nodes=2))
    await asyncio.sleep(0)
    with pytest.raises(TargetInUse, match=r"1 waiting run asked for more than 1 nodes of a at once: wide\."):
        await targets.change("a", max_nodes=1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await targets.change("a", max_nodes=1)
    assert made.pool.scale.max_nodes == 1
