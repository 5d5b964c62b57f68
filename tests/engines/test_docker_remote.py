"""The engine contract on another host's engine, over both ways to it."""

from __future__ import annotations

import pytest

from tests.engines.docker_contract import DockerContract


class TestTls(DockerContract):
    @pytest.fixture
    def settings(self, remote_host):
        return {**remote_host.tls, "base_image": remote_host.image}


class TestSsh(DockerContract):
    @pytest.fixture
    def settings(self, remote_host):
        return {"url": remote_host.ssh_url, "base_image": remote_host.image}
