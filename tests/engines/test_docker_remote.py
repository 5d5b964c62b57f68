"""The engine contract on another host's engine, over both ways to it."""

from __future__ import annotations

import pytest

from tests.engines.docker_contract import DockerContract

THE_WAY = {
    "test_a_line_of_100_mb_in_bounded_memory",
    "test_a_restarted_service_finds_the_run",
    "test_a_run_without_its_shim_goes_on_and_can_be_ended",
    "test_any_bytes_pass_the_log",
    "test_collects_all_that_the_run_made",
    "test_data_of_every_form_stands_where_it_was_asked_for",
    "test_is_there_and_has_something_to_give",
    "test_resumes_anywhere_with_the_same_bytes",
    "test_runs_and_streams_to_the_end",
    "test_stop_lets_the_script_save",
    "test_the_script_is_where_the_contract_says",
}
"""What depends on the way to an engine: connecting, files both ways, streams, secrets, an end, a loss. All else is the same
engine's, which is held to the whole contract by ssh."""


class TestTls(DockerContract):
    @pytest.fixture
    def settings(self, remote_host):
        return {**remote_host.tls, "base_image": remote_host.image}


class TestSsh(DockerContract):
    @pytest.fixture
    def settings(self, remote_host):
        return {"url": remote_host.ssh_url, "base_image": remote_host.image}


assert all(callable(getattr(TestTls, name)) for name in THE_WAY)
for name in {name for name in dir(TestTls) if name.startswith("test_")} - THE_WAY:
    setattr(TestTls, name, None)
