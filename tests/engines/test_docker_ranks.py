"""Runs of several nodes on one Docker engine, a container each."""

from __future__ import annotations

import dataclasses
import json

import pytest

from jupyter_mltrain.computes.docker import DockerCompute, starting
from jupyter_mltrain.core.compute import Grant, Phase
from jupyter_mltrain.core.ranks import PEER_FAILED
from jupyter_mltrain.core.spec import TENSORFLOW, Distribution, Resources
from jupyter_mltrain.errors import EngineError
from jupyter_mltrain.testing.bench import living
from jupyter_mltrain.testing.ranks_contract import RanksContract, up
from tests.engines.docker_contract import PYTHON, clean, left


@pytest.fixture
def compute(docker_engine):
    return DockerCompute(url=docker_engine.url, base_image=docker_engine.image)


class TestDockerRanks(RanksContract):
    python = PYTHON

    def again(self, compute):
        return DockerCompute(url=compute.connection.address.url, base_image=compute._base_image)

    @pytest.fixture
    async def bench(self, compute, tmp_path):
        async with clean(compute, tmp_path) as bench:
            yield bench


WAITING = "import os, time\nprint('up', os.environ.get('NODE', ''))\ntime.sleep(600)"
TWO = Distribution(TENSORFLOW, 2)


@pytest.fixture
async def bench(compute, tmp_path):
    async with clean(compute, tmp_path) as bench:
        yield bench


async def test_a_container_that_is_killed_ends_the_others_and_is_named(bench, docker_engine):
    """Nobody but the shims watches."""
    handle = await bench.run(WAITING, distribution=TWO)
    first, second = (one["name"] for one in handle["containers"])
    assert docker_engine.docker("inspect", "--format", "{{.HostConfig.NetworkMode}}", first) == handle["network"]
    await up(bench, handle, 2)
    docker_engine.docker("kill", second)
    # One follows through the first, and sees all to the end.
    assert set(await bench.streams(handle)) >= {"r0.log", "r1.log"}
    seen = await bench.until(handle, Phase.VANISHED)
    assert [(one.rank, one.stopped) for one in seen.exits] == [(0, PEER_FAILED)]
    assert seen.detail == "supervisor lost of rank 1, exit code unknown: the container ended with 137"
    assert seen.evidence["ranks"] == {"1": {"container": "the container ended with 137", "alive": False}}
    docker_engine.docker("rm", second)
    assert (await bench.compute.observe(handle)).detail.endswith("rank 1, exit code unknown: the container is gone")
    evidence = await bench.compute.stop(handle, 1)
    assert evidence.remaining == ()
    assert evidence.container.startswith("node 0: the container ended with")


async def test_streams_go_on_where_the_container_they_came_through_ends_first(bench):
    code = (
        "import os, time\nprint('up', flush=True)\n"
        "if os.environ['MLTRAIN_RANK'] == '1':\n"
        "    while not os.path.exists('outputs/go'): time.sleep(0.05)\n"
        "    time.sleep(2); print('last')\n"
    )
    plan = bench.prepare(code + "else: open('outputs/go', 'w').close()", distribution=TWO)
    handle = await bench.launch(plan)
    assert await bench.streams(handle) | {"r0.log": b"up\n", "r1.log": b"up\nlast\n"} == await bench.streams(handle)
    assert [one.code for one in (await bench.until(handle, Phase.EXITED)).exits] == [0, 0]


async def test_each_node_has_its_share_and_no_secret_is_said(bench, compute, docker_engine):
    plan = bench.prepare(
        WAITING, distribution=TWO, secrets=("TOKEN",), grant=Grant(cpus=2, memory_gb=0.8, gpus=(2, 3, 5, 7))
    )
    assert [one.env["CUDA_VISIBLE_DEVICES"] for one in plan.ranks] == ["0,1", "0,1"]
    requests = (plan.container, *plan.more_containers)
    assert [one["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] for one in requests] == [["2", "3"], ["5", "7"]]
    for one in requests:  # there are none here
        del one["HostConfig"]["DeviceRequests"]
    plan = dataclasses.replace(plan, ranks=tuple(
        dataclasses.replace(one, env={**one.env, "CUDA_VISIBLE_DEVICES": "-1"}) for one in plan.ranks
    ))  # fmt: skip
    handle = await bench.launch(plan, {"TOKEN": "s3cret-value"})
    names = [one["name"] for one in handle["containers"]]
    said = docker_engine.docker("inspect", *names) + docker_engine.docker("top", names[1], "-eo", "pid,args")
    assert "s3cret-value" not in said
    found = [json.loads(docker_engine.docker("inspect", "--format", "{{json .HostConfig}}", name)) for name in names]
    assert [one["Memory"] for one in found] == [400_000_000] * 2
    if (await compute.capacity()).cpus > 1:
        own = [one["CpusetCpus"] for one in found]
        assert "" not in own
        assert own[0] != own[1]


async def test_a_node_that_cannot_be_had_leaves_nothing_of_the_others(bench, compute):
    """The second is made from an image that is not there; then, where both can be made, its interpreter is not."""
    plan = bench.prepare(WAITING, distribution=Distribution(TENSORFLOW, 3))
    plan.more_containers[0]["Image"] = "no-such-image:at-all"
    with pytest.raises(EngineError, match="'no-such-image:at-all' is not on the engine"):
        await bench.launch(plan)
    assert left(compute, plan.run_id) == []
    plan = bench.prepare(WAITING, distribution=Distribution(TENSORFLOW, 3))
    plan.more_containers[1]["Entrypoint"][0] = "/no/such/python"
    with pytest.raises(EngineError, match="interpreter"):
        await bench.launch(plan)
    assert left(compute, plan.run_id) == []
    assert not living(plan.run_id)


async def test_a_launch_that_was_cut_between_nodes_is_begun_anew(bench, compute, monkeypatch):
    plan = bench.prepare("print('once')", distribution=TWO)
    monkeypatch.setattr(starting, "_ABANDONED", 0.3)
    monkeypatch.setattr(starting, "_launcher", lambda *_: "")

    def first_alone(client):
        first, _ = starting.take(client, plan, compute.foretold(plan))
        starting.fill(client, plan, first, [])
        client.start(first)

    await compute.connection.call(first_alone)
    handle = await bench.launch(plan)
    streams = await bench.streams(handle)
    assert (streams["r0.log"], streams["r1.log"]) == (b"once\n", b"once\n")


async def test_a_node_that_runs_out_of_memory_is_told_from_the_one_that_is_ended_for_it(bench):
    code = (
        "import os, time\nprint('up')\n"
        "kept = bytearray(600_000_000 if os.environ['MLTRAIN_RANK'] == '1' else 1)\n"
        "kept[::4096] = b'x' * len(kept[::4096])\ntime.sleep(600)"
    )
    handle = await bench.run(code, distribution=TWO, resources=Resources(memory_gb=0.2))
    first, second = sorted((await bench.until(handle, Phase.EXITED)).exits, key=lambda one: one.rank)
    assert (first.stopped, first.oom_kills) == (PEER_FAILED, 0)
    assert second.oom_kills > 0 or second.stopped == "memory limit"
    assert second.limit_bytes == 200_000_000
