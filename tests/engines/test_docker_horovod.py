"""Horovod in containers: it comes there, and what it says of itself and trains is what it does on this machine."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jupyter_mltrain.computes.docker import DockerCompute
from jupyter_mltrain.computes.local import LocalCompute
from jupyter_mltrain.core.compute import Exit, Phase
from jupyter_mltrain.core.environment import EnvironmentDefinition, EnvironmentLock
from jupyter_mltrain.core.orders import CompiledPackage, EnvironmentOrder, ReadyEnvironment
from jupyter_mltrain.core.spec import MPI, Distribution
from jupyter_mltrain.environments import Environments
from jupyter_mltrain.environments.orders import order_of
from jupyter_mltrain.environments.substitutions import Table
from jupyter_mltrain.errors import BuildFailed
from jupyter_mltrain.testing import bench as bench_module
from jupyter_mltrain.testing.bench import Bench
from tests.engines.test_horovod_real import KERAS, logged, words
from tests.hosts.daemon import Engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

TRAINED = (
    KERAS
    + """
run.log_list("where", [hvd.rank(), hvd.size(), hvd.local_rank(), hvd.local_size(), hvd.cross_rank(), hvd.cross_size()])
run.tag("speaks", "mpi" if hvd.mpi_enabled() else "gloo")
"""
)


@pytest.fixture(scope="module")
def order(docker_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> EnvironmentOrder:
    environments = Environments(tmp_path_factory.mktemp("environments"))
    compute = DockerCompute(url=docker_engine.url, base_image=docker_engine.image)
    return environments.order("tensorflow-horovod", asyncio.run(compute.platform()), log=print)


@pytest.fixture(scope="module")
def made(docker_engine: Engine, order: EnvironmentOrder) -> tuple[ReadyEnvironment, list[str]]:
    """The curated environment in the engine's volume, and what was said while it was made."""
    log: list[str] = []
    compute = DockerCompute(url=docker_engine.url, base_image=docker_engine.image)
    return asyncio.run(compute.prepare(order, log.append, lambda _: None)), log


@pytest.fixture
async def there(
    docker_engine: Engine, made: tuple[ReadyEnvironment, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bench]:
    monkeypatch.setattr(bench_module, "PATIENCE", 300.0)
    compute = DockerCompute(url=docker_engine.url, base_image=docker_engine.image)
    bench = Bench(compute, tmp_path / "there", made[0].prepared.python)
    yield bench
    await bench.close()


async def ran(bench: Bench, asked: Distribution) -> tuple[tuple[Exit, ...], dict[str, bytes]]:
    handle = await bench.run(TRAINED, distribution=asked)
    streams = await bench.streams(handle)
    return (await bench.until(handle, Phase.EXITED)).exits, streams


def test_the_wheel_of_this_machine_goes_to_the_container(
    made: tuple[ReadyEnvironment, list[str]], order: EnvironmentOrder
) -> None:
    ready, log = made
    (horovod,) = order.compiled
    assert Path(horovod.wheel).name.startswith("horovod-0.28.1-")
    assert ready.cached or "Installed horovod as it was compiled on the machine that asks" in log


async def test_it_trains_as_on_this_machine(there: Bench, tmp_path: Path) -> None:
    python = Environments(tmp_path / "environments").prepare("tensorflow-horovod", log=print).prepared.python
    here = Bench(LocalCompute(), tmp_path / "here", python)
    try:
        _, streams = await ran(here, Distribution(MPI, 1, 2))
    finally:
        await here.close()
    losses, *_ = (one["values"] for one in logged(streams, 0, "list"))
    assert isinstance(losses, list)
    for nodes, local, mpirun in ((1, 2, False), (2, 1, False), (2, 2, False), (1, 2, True)):
        exits, streams = await ran(there, Distribution(MPI, nodes, local, mpirun=mpirun))
        size = nodes * local
        assert [(e.code, e.error, e.note) for e in exits] == [(0, "", "")] * size, words(streams)
        weights: set[object] = set()
        for rank in range(size):
            loss, where = (one["values"] for one in logged(streams, rank, "list"))
            assert where == [rank, size, rank % local, local, rank // local, nodes]
            assert size != 2 or loss == pytest.approx(losses, rel=1e-5)
            told = {str(tag["key"]): tag["value"] for tag in logged(streams, rank, "tag")}
            assert told["speaks"] == ("mpi" if mpirun else "gloo")
            weights.add(told["weights"])
        assert len(weights) == 1


# -- what is compiled, with a package that takes no minutes ---------------------------------------------------------


@pytest.fixture
def small() -> EnvironmentOrder:
    """An environment with a package that is compiled, which no wheel of this machine is of."""
    lock = EnvironmentLock("setuptools==69.5.1\nwheel==0.43.0\nsix==1.17.0", "3.11", "linux-x86_64-glibc")
    package = CompiledPackage("six", "six==1.17.0", secrets.token_hex(10), {"sh": "dash"}, {}, ("six",))
    given = order_of(EnvironmentDefinition("small", 1, imports=("six",)), lock, Table.load())
    rest = "setuptools==69.5.1\nwheel==0.43.0\n"
    return dataclasses.replace(given, key=secrets.token_hex(32), requirements=rest, compiled=(package,))


def again(order: EnvironmentOrder, **changes: object) -> EnvironmentOrder:
    """The same package, in an environment that was never made."""
    package = dataclasses.replace(order.compiled[0], **changes)  # type: ignore[arg-type]
    return dataclasses.replace(order, key=secrets.token_hex(32), compiled=(package,))


async def test_it_is_compiled_once_for_an_image_where_no_wheel_runs(
    docker_engine: Engine, small: EnvironmentOrder, tmp_path: Path
) -> None:
    compute = DockerCompute(url=docker_engine.url, base_image=docker_engine.image)

    async def said(order: EnvironmentOrder) -> list[str]:
        log: list[str] = []
        await compute.prepare(order, log.append, lambda _: None)
        return log

    with pytest.raises(BuildFailed) as told:
        await said(again(small, programs={"no-such-compiler": "g++", "sh": "dash"}))
    assert (
        told.value.message == f"Environment 'small' compiles six, which needs g++ in the image {docker_engine.image}."
    )
    assert "apt-get install -y g++" in str(told.value.mend)
    wheel = tmp_path / "six-1.17.0-py2.py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("six.py", 'raise ImportError("version `GLIBC_2.99\' not found")\n')
        info = "six-1.17.0.dist-info"
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: six\nVersion: 1.17.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py2-none-any\n")
        file.writestr(f"{info}/RECORD", f"six.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    log = await said(again(small, wheel=str(wheel)))
    (line,) = [line for line in log if "does not run in this image" in line]
    assert "GLIBC_2.99" in line
    assert "Compiling six in this image; it takes minutes" in log
    log = await said(again(small, programs={"no-such-compiler": "g++"}))
    assert "Installed six as it was compiled for this image before" in log
