"""Runs of several nodes over two Docker hosts, this machine's and another: all of them are one run."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path

import pytest

from jupyter_mltrain.computes.docker import DockerCompute, DockerHosts
from jupyter_mltrain.core.compute import Compute, Grant, Handle, LaunchInputs, LaunchPlan, Mount, Phase
from jupyter_mltrain.core.ranks import PEER_FAILED
from jupyter_mltrain.core.spec import MPI, TENSORFLOW, Distribution
from jupyter_mltrain.environments import Environments
from jupyter_mltrain.errors import EngineUnreachable
from jupyter_mltrain.testing import bench as bench_module
from jupyter_mltrain.testing.bench import PATIENCE, Bench
from jupyter_mltrain.testing.ranks_contract import WAITING, RanksContract, by_rank
from tests.engines.docker_contract import PYTHON, left
from tests.engines.python_environment import tensorflow_python
from tests.engines.test_horovod_real import WHERE
from tests.engines.test_ranks_real import MIRRORED
from tests.hosts.daemon import Engine
from tests.hosts.remote import RemoteHost

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HOSTS = ("here", "there")

TWO = Distribution(TENSORFLOW, 2)
LEAVES = """
open("outputs/same", "w").write("of all")
open("outputs/other", "w").write(str(task["index"]))
open(f"outputs/own{task['index']}", "w").write(hashlib.sha256(weights).hexdigest())
"""


class Watched(Bench):
    """Runs are over both hosts, and looked at all the time, as the service does."""

    def inputs(self, run_id: str, python: str, grant: Grant, mounts: tuple[Mount, ...]) -> LaunchInputs:
        return super().inputs(run_id, python, Grant(node=1, more=(2,), host="here", hosts=HOSTS), mounts)

    async def streams(self, handle: Handle, offsets: Mapping[str, int] | None = None) -> dict[str, bytes]:
        async def look() -> None:
            while True:
                with contextlib.suppress(EngineUnreachable):
                    await self.compute.observe(handle)
                await asyncio.sleep(0.2)

        looking = asyncio.create_task(look())
        try:
            return await super().streams(handle, offsets)
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)


def with_python(python: Path, plan: LaunchPlan) -> LaunchPlan:
    """The plan with an environment of this machine in its containers, at the same place, which may be root's own."""
    for request in (plan.container, *plan.more_containers):
        assert request is not None
        request["HostConfig"]["Mounts"] += [
            {"Type": "bind", "Source": str(one), "Target": str(one), "ReadOnly": True}
            for one in (python.resolve().parents[1], python.parents[1])
        ]
    return plan


def both(engine: Engine, other: RemoteHost, user: str = "") -> DockerHosts:
    here = DockerCompute(url=engine.url, base_image=engine.image, user=user)
    return DockerHosts({"here": here, "there": DockerCompute(url=other.ssh_url, base_image=other.image, user=user)})


@pytest.fixture
def compute(docker_engine: Engine, remote_host: RemoteHost) -> DockerHosts:
    return both(docker_engine, remote_host)


@contextlib.asynccontextmanager
async def bench_of(compute: DockerHosts, folder: Path) -> AsyncGenerator[Bench]:
    """Nothing is left on either host in the end."""
    bench = Watched(compute, folder, PYTHON)
    try:
        yield bench
    finally:
        await bench.close()
    for handle in bench.handles:
        for host in HOSTS:
            async with asyncio.timeout(PATIENCE):
                while left(compute.on(host), handle["run_id"]):  # who reads streams may take a last look
                    await asyncio.sleep(0.05)


@pytest.fixture
async def bench(compute: DockerHosts, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_of(compute, tmp_path / "workspace") as bench:
        yield bench


class TestRanksOverHosts(RanksContract):
    @pytest.fixture
    async def bench(self, bench: Bench) -> Bench:
        return bench

    def again(self, compute: Compute) -> Compute:
        assert isinstance(compute, DockerHosts)
        engines = {host: compute.on(host) for host in HOSTS}
        return DockerHosts(
            {
                host: DockerCompute(url=one.connection.address.url, base_image=one._base_image)  # pyright: ignore[reportPrivateUsage]
                for host, one in engines.items()
            }
        )


async def test_each_host_is_told_the_address_by_which_the_others_reach_it(
    bench: Bench, remote_host: RemoteHost
) -> None:
    plan = bench.prepare(WAITING, distribution=TWO)
    assert plan.hosts == HOSTS
    assert plan.addresses == (remote_host.network.here, remote_host.address)
    networks = [one["HostConfig"]["NetworkMode"] for one in (plan.container or {}, *plan.more_containers)]
    assert networks == ["host", "host"]
    assert dataclasses.replace(plan, hosts=()).to_json()["addresses"] == plan.addresses


async def test_a_host_that_is_cut_off_has_not_ended_its_ranks(
    bench: Bench, docker_engine: Engine, remote_host: RemoteHost
) -> None:
    """Nothing is known of the run while one host cannot be asked. What failed elsewhere meanwhile ends its ranks then."""
    code = (
        "import os, time\nprint('up')\n"
        "while os.environ['MLTRAIN_RANK'] == '1' or not os.path.exists('outputs/go'):\n    time.sleep(0.1)\n"
        "raise SystemExit(3)"
    )
    handle = await bench.run(code, distribution=TWO)
    await bench.until(handle, Phase.RUNNING)
    remote_host.cut()
    try:
        docker_engine.docker("exec", handle["container"], "touch", "/mltrain/run/work/outputs/go")
        docker_engine.docker("wait", handle["container"], seconds=PATIENCE)
        with pytest.raises(EngineUnreachable, match=r"^there: "):
            await bench.until(handle, Phase.EXITED, Phase.VANISHED)
        there = ["--filter", f"name={handle['run_id']}", "--format", "{{.State}}"]
        assert remote_host.engine.docker("ps", *there).strip() == "running"
    finally:
        remote_host.network.mend()
    seen = None
    async with asyncio.timeout(PATIENCE):
        while seen is None:
            with contextlib.suppress(EngineUnreachable):
                seen = await bench.until(handle, Phase.EXITED)
    first, second = by_rank(seen.exits)
    assert (first.code, second.stopped) == (3, PEER_FAILED)


async def test_two_workers_on_two_hosts_end_with_the_same_weights_to_the_bit(
    docker_engine: Engine, remote_host: RemoteHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_module, "PATIENCE", 300.0)
    python = tensorflow_python()
    async with bench_of(both(docker_engine, remote_host, user="0:0"), tmp_path) as bench:
        plan = with_python(python, bench.prepare(MIRRORED + LEAVES, python=str(python), distribution=TWO))
        handle = await bench.launch(plan)
        streams = await bench.streams(handle)
        seen = await bench.until(handle, Phase.EXITED)
        said = [streams[f"r{rank}.log"].decode("utf-8", "replace") for rank in (0, 1)]
        assert [exit_.code for exit_ in seen.exits] == [0, 0], "\n".join(said)
        assert "task worker 0 of 2" in said[0]
        assert "task worker 1 of 2" in said[1]
        into = bench.record(plan.run_id)
        for _ in range(2):
            await bench.compute.collect(handle, into)
    outputs = into / "outputs"
    made = {str(one.relative_to(outputs)): one.read_text() for one in outputs.rglob("*") if one.is_file()}
    assert set(made) == {"same", "other", "own0", "own1", "node1/other"}
    assert made["own0"] == made["own1"], "the weights differ"
    assert (made["other"], made["node1/other"]) == ("0", "1")


async def test_horovod_over_two_hosts(
    docker_engine: Engine, remote_host: RemoteHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They speak by the interface that has the address of their host, whatever the hosts call themselves."""
    monkeypatch.setattr(bench_module, "PATIENCE", 300.0)
    python = Path(Environments(tmp_path / "environments").prepare("tensorflow-horovod", log=print).prepared.python)
    async with bench_of(both(docker_engine, remote_host, user="0:0"), tmp_path) as bench:
        plan = with_python(python, bench.prepare(WHERE, python=str(python), distribution=Distribution(MPI, 2)))
        handle = await bench.launch(plan)
        streams = await bench.streams(handle)
        seen = await bench.until(handle, Phase.EXITED)
    assert [(one.code, one.note) for one in by_rank(seen.exits)] == [(0, ""), (0, "")], streams
    said = b"".join(data for name, data in sorted(streams.items()) if name.endswith(".metrics"))
    assert said.count(b"[0,2,0,1,0,2,3]") == said.count(b"[1,2,0,1,1,2,3]") == 1
