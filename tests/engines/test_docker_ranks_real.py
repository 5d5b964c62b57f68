"""Several processes that train together, on the real TensorFlow, in containers of one engine, a node in each."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jupyter_mltrain.computes.docker import DockerCompute
from jupyter_mltrain.core.compute import LaunchPlan, Phase
from jupyter_mltrain.core.spec import TENSORFLOW, Distribution
from jupyter_mltrain.service.failure import failed_ranks
from jupyter_mltrain.testing import bench as bench_module
from jupyter_mltrain.testing.bench import Bench
from tests.engines.docker_contract import clean
from tests.engines.python_environment import tensorflow_python
from tests.engines.test_ranks_real import MIRRORED, SERVED, accuracy
from tests.hosts.daemon import Engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

KEPT = 'open(f"outputs/weights{task[\'index\']}", "w").write(hashlib.sha256(weights).hexdigest())\n'


@pytest.fixture
async def bench(docker_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(bench_module, "PATIENCE", 300.0)
    python = tensorflow_python()
    # In the containers at the same places as here, which may be root's own.
    compute = DockerCompute(url=docker_engine.url, base_image=docker_engine.image, user="0:0")
    async with clean(compute, tmp_path, str(python)) as bench:
        yield bench


def with_python(plan: LaunchPlan) -> LaunchPlan:
    """With this machine's interpreter and the environment in each container."""
    python = Path(plan.ranks[0].env["MLTRAIN_PYTHON"])
    for request in (plan.container, *plan.more_containers):
        assert request is not None
        request["HostConfig"]["Mounts"] += [
            {"Type": "bind", "Source": str(one), "Target": str(one), "ReadOnly": True}
            for one in (sys.base_prefix, python.parent.parent)
        ]
    return plan


async def test_two_workers_in_two_containers_end_with_the_same_weights_to_the_bit(bench: Bench) -> None:
    handle = await bench.launch(
        with_python(bench.prepare(MIRRORED + KEPT, distribution=Distribution(TENSORFLOW, 2))),
    )
    streams = await bench.streams(handle)
    seen = await bench.until(handle, Phase.EXITED)
    said = [streams[f"r{rank}.log"].decode("utf-8", "replace") for rank in (0, 1)]
    assert [exit_.code for exit_ in seen.exits] == [0, 0], "\n".join(said)
    assert [f"task worker {rank} of 2" in said[rank] for rank in (0, 1)] == [True, True]
    into = bench.record(handle["run_id"])
    await bench.compute.collect(handle, into)
    first, second = ((into / "outputs" / f"weights{rank}").read_text() for rank in (0, 1))
    assert first == second


async def test_a_chief_with_workers_and_a_parameter_server_in_containers(bench: Bench) -> None:
    """The server is beside the chief, in its container."""
    asked = Distribution(TENSORFLOW, 3, parameter_servers=1, chief=True)
    handle = await bench.launch(with_python(bench.prepare(SERVED, distribution=asked)))
    assert [one["ranks"] for one in handle["containers"]] == [[0, 3], [1], [2]]
    streams = await bench.streams(handle)
    exits = sorted((await bench.until(handle, Phase.EXITED)).exits, key=lambda one: one.rank)
    said = "\n".join(data.decode(errors="replace") for name, data in streams.items() if name.endswith(".log"))
    assert [exit_.stopped for exit_ in exits] == ["", *["the others are done"] * 3], said
    assert failed_ranks(exits) == []
    assert accuracy(streams) > 0.9
