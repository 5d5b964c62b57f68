"""The engine contract on Podman's service, which speaks Docker's API: what of it an engine can answer otherwise.

`JUPYTER_MLTRAIN_TEST_PODMAN=all` runs the whole of it.
"""

from __future__ import annotations

import os

import pytest

from jupyter_mltrain.core.compute import Phase
from jupyter_mltrain.core.spec import TENSORFLOW, Distribution
from jupyter_mltrain.errors import EngineError
from tests.engines.docker_contract import DockerContract, left

CHOSEN = {
    "test_a_look_at_a_run_that_is_released_leaves_nothing",
    "test_a_vanished_run_is_an_observation",
    "test_a_run_of_several_nodes_is_refused_in_one_line",
    "test_collects_all_that_the_run_made",
    "test_data_of_every_form_stands_where_it_was_asked_for",
    "test_double_launch_is_one_run",
    "test_exit_code_and_signal_are_told_apart",
    "test_is_there_and_has_something_to_give",
    "test_memory_limit",
    "test_resumes_anywhere_with_the_same_bytes",
    "test_stop_is_idempotent_and_an_exit_stays_what_it_was",
}
"""Each request of the engine's API once, and each state of a container."""


class TestPodman(DockerContract):
    @pytest.fixture
    def settings(self, podman_engine):
        return {"url": podman_engine.url, "base_image": podman_engine.image}

    async def test_is_there_and_has_something_to_give(self, compute):
        await super().test_is_there_and_has_something_to_give(compute)
        assert (await compute.check()).steps[1].startswith("Podman ")

    async def test_a_run_of_several_nodes_is_refused_in_one_line(self, bench, compute):
        """One node may have several processes."""
        plan = bench.prepare("pass", distribution=Distribution(TENSORFLOW, 2))
        with pytest.raises(EngineError, match="has 2 nodes, and on Podman runs have one") as told:
            await bench.launch(plan)
        assert "\n" not in told.value.message
        assert left(compute, plan.run_id) == []
        handle = await bench.run("print('up')", distribution=Distribution(TENSORFLOW, 1, parameter_servers=1))
        assert [streams for name, streams in (await bench.streams(handle)).items() if name.endswith(".log")]
        assert (await bench.until(handle, Phase.EXITED)).exits[0].code == 0


assert all(callable(getattr(TestPodman, name)) for name in CHOSEN)
if os.environ.get("JUPYTER_MLTRAIN_TEST_PODMAN") != "all":
    for name in {name for name in dir(TestPodman) if name.startswith("test_")} - CHOSEN:
        setattr(TestPodman, name, None)
