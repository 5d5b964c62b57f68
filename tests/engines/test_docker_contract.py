"""The engine contract on this machine's Docker engine, and what is an engine of containers' own."""

from __future__ import annotations

import pytest

from tests.engines.docker_contract import DockerContract


class TestDocker(DockerContract):
    @pytest.fixture
    def settings(self, docker_engine):
        return {"url": docker_engine.url, "base_image": docker_engine.image}
