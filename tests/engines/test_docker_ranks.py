"""Runs of several nodes on one Docker engine, a container each."""

from __future__ import annotations

import pytest

from jupyter_mltrain.computes.docker import DockerCompute
from jupyter_mltrain.testing.bench import Bench
from jupyter_mltrain.testing.ranks_contract import RanksContract
from tests.engines.docker_contract import PYTHON, left


@pytest.fixture
def compute(docker_engine):
    return DockerCompute(url=docker_engine.url, base_image=docker_engine.image)


class TestDockerRanks(RanksContract):
    python = PYTHON

    def again(self, compute):
        return DockerCompute(url=compute.connection.address.url, base_image=compute._base_image)

    @pytest.fixture
    async def bench(self, compute, tmp_path):
        bench = Bench(compute, tmp_path, PYTHON)
        yield bench
        await bench.close()
        for handle in bench.handles:
            assert left(compute, handle["run_id"]) == []
