"""The network to a host of containers is cut: for a moment, and for so long that nobody knows whether it comes back."""

from __future__ import annotations

import time

import pytest

from tests.faults.containers import ContainerWorld, until_status
from tests.faults.world import steady

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_a_cut_of_five_seconds_loses_nothing(by_ssh: ContainerWorld) -> None:
    run = by_ssh.submit(steady(800, 0.01))
    by_ssh.wait_running(run, 50)
    by_ssh.host.cut()
    time.sleep(5)
    by_ssh.host.network.mend()
    state = by_ssh.check(run)
    assert state["status"] == "Completed"
    assert state["metric_points"] == 800


def test_of_a_host_that_is_away_nothing_is_said_that_nobody_knows(by_tls: ContainerWorld) -> None:
    """One run comes to its end meanwhile, one is asked to end; a new service knows no more than the one before."""
    world = by_tls
    ending, canceled = world.submit(steady(400, 0.01)), world.submit(steady(100_000, 0.01))
    for run in (ending, canceled):
        world.wait_running(run, 50)
    world.host.cut()
    world.cancel(canceled)
    state = until_status(world, ending, "NotResponding")
    assert state["history"][-1]["reason"]
    assert world.exit(ending)
    assert world.state(canceled)["status"] == "CancelRequested"
    world.kill_service()
    assert world.state(ending)["status"] == "NotResponding"
    time.sleep(3)
    assert [world.state(run)["status"] for run in (ending, canceled)] == ["NotResponding", "CancelRequested"]
    world.host.network.mend()
    assert world.check(ending)["status"] == "Completed"
    assert world.check(canceled)["status"] == "Canceled"
