"""Which host of a target a run gets, without hosts."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable

import pytest

from jupyter_mltrain.core.compute import Capacity, Grant, Health
from jupyter_mltrain.core.spec import Resources
from jupyter_mltrain.errors import EngineUnreachable, ResourceUnavailable, TargetNotFound
from jupyter_mltrain.service import hosts as module
from jupyter_mltrain.service.hosts import FRESH_SECONDS, HostsPool
from jupyter_mltrain.service.scheduler import NodeState, Scale

SMALL = Capacity(slots=2, cpus=4, memory_gb=16.0)
LARGE = Capacity(slots=4, cpus=16, memory_gb=64.0, gpus=("A", "B"))
NOTHING = Resources()


class Hosts:
    """`away`: hosts that do not answer, and why; `silent`: that do not even say so."""

    def __init__(self, **hosts: Capacity) -> None:
        self.now = 1000.0
        self.away: dict[str, str] = {}
        self.silent: set[str] = set()
        self.asked: list[str] = []
        self.told: list[str] = []
        most = sum(one.slots for one in hosts.values())
        self.pool = HostsPool(
            "boxes", hosts, Scale(most, most), check=self.check, moved=self.told.append, clock=lambda: self.now
        )

    async def check(self, host: str) -> Health:
        self.asked.append(host)
        if host in self.silent:
            await asyncio.Event().wait()
        return Health(ok=host not in self.away, problem=self.away.get(host, ""))

    async def take(self, run: str, nodes: int = 1, **asked: float) -> Grant:
        asked_for = Resources(**asked)  # pyright: ignore[reportArgumentType]
        return await asyncio.wait_for(self.pool.acquire(run, asked_for, nodes=nodes), 10)

    async def waits(
        self, run: str, holds: Callable[[str], object], nodes: int = 1, **asked: float
    ) -> asyncio.Task[Grant]:
        """A run that waits, once what it waits for is told so."""
        asked_for = Resources(**asked)  # pyright: ignore[reportArgumentType]
        task = asyncio.create_task(self.pool.acquire(run, asked_for, nodes=nodes))
        async with asyncio.timeout(10):
            while not (self.pool.position(run) and holds(self.pool.note(run))):
                assert not task.done()
                await asyncio.sleep(0.001)
        return task


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.02)


async def test_runs_go_where_most_room_is_and_each_has_a_node_of_its_own() -> None:
    hosts = Hosts(a=SMALL, b=SMALL)
    grants = [await hosts.take(f"r{i}") for i in range(4)]
    assert sorted(grant.host for grant in grants) == ["a", "a", "b", "b"]
    assert grants[0].host != grants[1].host
    assert [grant.node for grant in grants] == [1, 2, 3, 4]
    waits = await hosts.waits("r4", lambda said: said == "all 4 slots are busy")
    hosts.pool.release("r1")
    assert (await waits).host == grants[1].host
    assert [node.run_id for node in hosts.pool.nodes] == ["r0", "r4", "r2", "r3"]


async def test_what_is_asked_for_has_to_be_free_on_one_host() -> None:
    hosts = Hosts(small=SMALL, large=LARGE)
    assert (await hosts.take("cpus", cpus=12)).host == "large"
    assert (await hosts.take("gpu", gpus=2)).gpus == (0, 1)
    assert (await hosts.take("small", cpus=4)).host == "small"
    waits = await hosts.waits("more", lambda said: said == "no host has 1 GPU free", gpus=1)
    hosts.pool.release("gpu")
    assert (await waits).gpus == (0,)


async def test_what_no_host_has_is_refused() -> None:
    pool = Hosts(small=Capacity(2, 32, 16.0), large=LARGE).pool
    pool.check(Resources(gpus=2, cpus=16))
    with pytest.raises(ResourceUnavailable, match="4 GPUs asked for; a host of target 'boxes' has at most 2"):
        pool.check(Resources(gpus=4))
    with pytest.raises(ResourceUnavailable, match="a run is on one of them"):
        pool.check(Resources(gpus=1, cpus=20))


@pytest.mark.parametrize("how", ["away", "silent"])
async def test_runs_go_to_the_others_while_a_host_does_not_answer(how: str) -> None:
    hosts = Hosts(a=LARGE, b=SMALL)
    if how == "away":
        hosts.away["a"] = "No route."
    else:
        hosts.silent.add("a")
    assert [(await hosts.take(run)).host for run in ("r0", "r1")] == ["b", "b"]
    problem = "No route" if how == "away" else "no answer within"
    waits = await hosts.waits("r2", lambda said: problem in said)
    gpu = await hosts.waits("gpu", lambda said: said.startswith("the host that has what it asks for"), gpus=1)
    assert {node.state for node in hosts.pool.nodes if node.host == "a"} == {NodeState.UNUSABLE}
    # One that waits for a host holds up nobody who does not.
    hosts.pool.release("r0")
    assert (await waits).host == "b"
    hosts.pool.seen({"a": Health(ok=True)})
    assert (await gpu).host == "a"


async def test_a_host_is_asked_again_while_somebody_waits_and_not_before_its_time() -> None:
    hosts = Hosts(a=SMALL)
    await hosts.take("r0")
    await hosts.take("r1")
    assert hosts.asked == ["a"]
    hosts.now += FRESH_SECONDS
    hosts.pool.release("r0")
    hosts.away["a"] = "No route."
    waits = await hosts.waits("r2", lambda said: said == "no host can be used: a: No route")
    assert hosts.asked == ["a", "a"]
    waits.cancel()
    await asyncio.gather(waits, return_exceptions=True)
    assert hosts.pool.runs == ["r1"]


async def test_the_likely_host_is_one_that_answers() -> None:
    hosts = Hosts(a=LARGE, b=SMALL)
    assert await hosts.pool.likely(NOTHING) == ("a",)
    hosts.pool.lost("a", "No route.")
    assert await hosts.pool.likely(NOTHING) == ("b",)
    hosts.pool.lost("b", "No route.")
    with pytest.raises(EngineUnreachable, match="a: No route, b: No route"):
        await hosts.pool.likely(NOTHING)


async def test_where_none_answers_soon_the_first_that_does_is_likely() -> None:
    hosts = Hosts(a=LARGE, b=SMALL)
    hosts.silent |= {"a", "b"}
    likely = asyncio.create_task(hosts.pool.likely(NOTHING))
    while not all(node.state is NodeState.UNUSABLE for node in hosts.pool.nodes):
        await asyncio.sleep(0.001)
    assert not likely.done()
    hosts.pool.seen({"b": Health(ok=True)})
    assert await likely == ("b",)


async def test_a_run_keeps_its_place_over_a_restart() -> None:
    hosts = Hosts(a=SMALL, b=SMALL)
    hosts.pool.restore("r0", Grant(cpus=2, node=3, host="b"))
    assert [(node.number, node.host) for node in hosts.pool.nodes if node.run_id] == [(3, "b")]
    assert await hosts.take("r0") == Grant(cpus=2, node=3, host="b")
    assert (await hosts.take("r1")).host == "a"


async def test_who_waits_for_a_target_that_goes_is_told() -> None:
    hosts = Hosts(a=Capacity(1, 2, 8.0))
    await hosts.take("r0")
    waits = await hosts.waits("r1", lambda said: said == "busy with another run")
    hosts.pool.retire()
    with pytest.raises(TargetNotFound):
        await waits
    assert hosts.told


async def test_a_run_of_several_nodes_is_on_one_host_where_that_has_room_for_all() -> None:
    hosts = Hosts(a=SMALL, b=LARGE)
    grant = await hosts.take("r", 3, gpus=0, cpus=2, memory_gb=4.0)
    assert grant == Grant((), 6, 12.0, node=1, more=(2, 3), host="b")
    assert [(node.number, node.host) for node in hosts.pool.nodes if node.run_id] == [(1, "b"), (2, "b"), (3, "b")]
    assert hosts.pool.hosts["b"][1] == 3


async def test_else_it_is_over_as_few_as_can_be_and_each_host_counts_its_own_gpus() -> None:
    three = Capacity(slots=3, cpus=6, memory_gb=12.0, gpus=("A", "B", "C"))
    hosts = Hosts(a=Capacity(1, 4, 16.0, ("D",)), b=three, c=three)
    assert (await hosts.take("first", gpus=1, cpus=3)).host in ("b", "c")
    grant = await hosts.take("r", 4, gpus=1, cpus=2, memory_gb=2.0)
    full, half = grant.hosts[0], grant.hosts[3]
    assert {full, half} == {"b", "c"}
    assert grant.hosts == (full, full, full, half), "the host with room for most comes first"
    assert grant.gpus == (0, 1, 2, 1), "one of the other host's is taken"
    assert (grant.cpus, grant.memory_gb, grant.host) == (8, 8.0, full)
    assert Grant.from_json(json.loads(json.dumps(dataclasses.asdict(grant)))) == grant
    # Nothing is left that a later run could be given twice.
    assert (await hosts.take("next", gpus=1)).host in ("a", half)
    hosts.pool.release("r")
    assert [count for _, count in hosts.pool.hosts.values()].count(0) >= 1
    assert sorted(hosts.pool.runs) == ["first", "next"]
    again = await hosts.take("again", 3, gpus=1)
    assert again.hosts == ()


async def test_small_runs_do_not_hold_off_one_of_several_nodes_and_it_takes_all_or_none() -> None:
    hosts = Hosts(a=SMALL, b=SMALL)
    await hosts.take("s0")
    await hosts.take("s1")
    gang = await hosts.waits("gang", lambda said: said == "needs 3 nodes at once, and 2 are free", 3)
    # Two places are free, and one that came later does not get them.
    small = await hosts.waits("small", lambda said: said == "runs that came before it are next")
    assert [count for _, count in hosts.pool.hosts.values()] == [1, 1], "it holds nothing while it waits"
    hosts.pool.release("s0")
    assert set((await gang).hosts) == {"a", "b"}
    assert not small.done()
    hosts.pool.release("gang")
    assert (await small).host in ("a", "b")


async def test_one_that_needs_a_host_that_is_away_holds_nobody_up() -> None:
    hosts = Hosts(a=SMALL, b=SMALL)
    hosts.away["b"] = "No route."
    gang = await hosts.waits(
        "gang", lambda said: said.startswith("the hosts that have what it asks for") and "No route" in said, 3
    )
    assert (await hosts.take("small")).host == "a"
    hosts.away.clear()
    hosts.pool.seen({"b": Health(ok=True)})
    assert len((await gang).hosts) == 3


async def test_how_many_nodes_there_can_never_be_is_told() -> None:
    pool = Hosts(a=SMALL, b=LARGE).pool
    pool.check(NOTHING, 6)
    with pytest.raises(ResourceUnavailable, match=r"7 nodes asked for; the hosts of target 'boxes' have room for 6\."):
        pool.check(NOTHING, 7)
    with pytest.raises(ResourceUnavailable, match=r"3 nodes asked for; .* room for 2 with 1 GPU each"):
        pool.check(Resources(gpus=1), 3)
    with pytest.raises(ResourceUnavailable, match="a node is on one of them"):
        Hosts(small=Capacity(2, 32, 16.0), large=LARGE).pool.check(Resources(gpus=1, cpus=20), 2)


async def test_a_run_over_hosts_keeps_its_places_over_a_restart() -> None:
    before, after = (Hosts(a=SMALL, b=SMALL) for _ in range(2))
    grant = await before.take("r", 3, cpus=1, memory_gb=6.0)
    after.pool.restore("r", grant)
    assert [vars(node) for node in after.pool.nodes] == [vars(node) for node in before.pool.nodes]
    assert await after.take("r", 3) == grant
    waits = await after.waits("next", lambda said: said == "no host has 11 GB of memory free", memory_gb=11.0)
    after.pool.release("r")
    await waits


async def test_the_likely_hosts_are_as_many_as_are_needed() -> None:
    hosts = Hosts(a=SMALL, b=SMALL)
    assert set(await hosts.pool.likely(NOTHING, 3)) == {"a", "b"}
    assert len(set(await hosts.pool.likely(NOTHING, 2))) == 1
    hosts.pool.lost("b", "No route.")
    with pytest.raises(EngineUnreachable, match="b: No route"):
        await hosts.pool.likely(NOTHING, 3)
