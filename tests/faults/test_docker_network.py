"""The network to a host of containers is cut: for a moment, and for so long that nobody knows whether it comes back."""

from __future__ import annotations

import os
import time

import pytest

from jupyter_mltrain.errors import ConflictError
from tests.faults.containers import ContainerWorld, until_ended, until_status
from tests.faults.world import eventually

CUT = float(os.environ.get("JUPYTER_MLTRAIN_CUT_SECONDS", "5"))
"""How long the network is away in a run; 60 is worth a try before a release."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 + 2 * CUT)]


def test_a_cut_in_the_middle_of_a_run_loses_nothing(by_ssh: ContainerWorld) -> None:
    run = by_ssh.submit(until_ended())
    by_ssh.wait_running(run, 50)
    by_ssh.host.cut()
    time.sleep(CUT)
    by_ssh.host.network.mend()
    before = run.acknowledged
    eventually(lambda: run.acknowledged > before, "it does not go on")
    by_ssh.end(run)
    state = by_ssh.check(run)
    assert state["status"] == "Completed"
    assert state["metric_points"] == run.acknowledged


def test_of_a_host_that_is_away_nothing_is_said_that_nobody_knows(by_tls: ContainerWorld) -> None:
    """One run comes to its end meanwhile, one is asked to end; a new service knows no more than the one before."""
    world = by_tls
    ending, canceled = world.submit(until_ended()), world.submit(until_ended())
    for run in (ending, canceled):
        world.wait_running(run, 50)
    world.host.cut()
    world.end(ending)
    world.cancel(canceled)
    state = until_status(world, ending, "NotResponding")
    assert state["history"][-1]["reason"]
    eventually(lambda: world.exit(ending), "the script did not come to its end")
    assert world.state(canceled)["status"] == "CancelRequested"
    world.kill_service()
    assert world.state(ending)["status"] == "NotResponding"
    time.sleep(3)
    assert [world.state(run)["status"] for run in (ending, canceled)] == ["NotResponding", "CancelRequested"]
    world.host.network.mend()
    assert world.check(ending)["status"] == "Completed"
    assert world.check(canceled)["status"] == "Canceled"


def test_a_run_whose_host_never_returns_is_given_up(by_tls: ContainerWorld) -> None:
    """Nobody says that it is canceled: it may go on. When its host answers after all, it is ended, and what it made fetched."""
    world = by_tls
    run = world.submit("open('outputs/made', 'w').write('all')\n" + until_ended())
    world.wait_running(run, 20)
    with pytest.raises(ConflictError, match="answers"):
        world.connection.post(f"/v1/runs/{run.id}/cancel", {"give_up": True})
    world.host.cut()
    until_status(world, run, "NotResponding")
    state = world.connection.post(f"/v1/runs/{run.id}/cancel", {"give_up": True}, timeout=120)
    assert state["status"] == "Failed"
    assert "Given up: its host has not answered since" in state["failure"]["title"]
    assert f"the container mltrain-{run.id} may still run there" in " ".join(state["failure"]["evidence"])
    evidence = state["history"][-1]["evidence"]["given_up"]
    unreachable = next(change for change in state["history"] if change["status"] == "NotResponding")
    assert evidence["unreachable_since"] == unreachable["time"]
    assert world.left_of(run)
    world.kill_service()
    assert world.state(run)["status"] == "Failed"
    world.host.network.mend()
    eventually(lambda: not world.left_of(run), "what was left of it is not ended")
    state = eventually(lambda: (now := world.state(run))["notices"] and now, "nobody says what became of it")
    assert "its host answered again" in state["notices"][-1]
    assert state["status"] == "Failed"
    assert (world.layout.run(run.id) / "outputs" / "made").read_text() == "all"
