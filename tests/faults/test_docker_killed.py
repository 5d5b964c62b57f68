"""`kill -9` around runs in containers: of the container, of who looks after it there, of the engine, of the service."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.containers import ContainerWorld, until_ended, until_status
from tests.faults.world import Submitted, eventually, kill, steady

pytestmark = pytest.mark.slow

LONG = steady(1_000_000, 0.01)


def test_what_is_killed_there_has_failed_and_said_all_that_it_said(by_tls: ContainerWorld) -> None:
    world, engine = by_tls, by_tls.host.engine
    blows = {
        "the container": lambda run: engine.docker("kill", "--signal", "KILL", f"mltrain-{run.id}"),
        "the container, removed": lambda run: engine.docker("rm", "--force", f"mltrain-{run.id}"),
        "the engine's shim": lambda run: kill(engine.shim(f"mltrain-{run.id}")),
        "our shim": lambda run: kill(_parent(_training(world, run))),
        "the training": lambda run: kill(_training(world, run)),
    }
    runs = {name: world.submit(LONG) for name in blows}
    for name, run in runs.items():
        world.wait_running(run, 20)
        blows[name](run)
    states = {}
    for name, run in runs.items():
        try:
            states[name] = world.check(run)
        except AssertionError as error:
            error.add_note(f"killed was: {name}")
            raise
    assert {name: state["status"] for name, state in states.items()} == dict.fromkeys(blows, "Failed")
    titles = {name: state["failure"]["title"] for name, state in states.items()}
    assert "SIGKILL" in titles.pop("the training")
    # Nobody saw how the others ended, so nobody says it.
    assert set(titles.values()) == {"Supervisor lost, exit code unknown."}


def test_runs_go_on_while_their_engine_is_dead(by_tls: ContainerWorld) -> None:
    """One comes to its end meanwhile, one is taken up again."""
    short, long = by_tls.submit(until_ended()), by_tls.submit(until_ended())
    for run in (short, long):
        by_tls.wait_running(run, 20)
    by_tls.host.engine.kill()
    for run in (short, long):
        until_status(by_tls, run, "NotResponding")
    by_tls.end(short)
    eventually(lambda: by_tls.exit(short), "the script did not come to its end")
    by_tls.host.engine.start()
    by_tls.end(long)
    for run in (short, long):
        assert by_tls.check(run)["status"] == "Completed"


def test_a_killed_service_leaves_runs_to_the_next_one(by_tls: ContainerWorld) -> None:
    """Killed while it launches one and another runs, and again while that one is brought home."""
    running = by_tls.submit(steady(300, 0.01))
    by_tls.wait_running(running, 20)
    starting, body = by_tls.request(steady(20))
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(by_tls.connection.post, "/v1/runs", body)
        time.sleep(by_tls.random.uniform(0.1, 0.8))
        by_tls.kill_service()
        assert sending.result()["id"] == starting.id
    by_tls.state(running)
    assert by_tls.check(starting)["status"] == "Completed"
    eventually(lambda: by_tls.exit(running), "the script did not come to its end")
    time.sleep(by_tls.random.uniform(0, 0.1))
    by_tls.kill_service()
    assert by_tls.check(running)["status"] == "Completed"


def test_a_container_that_ignores_term_is_gone_when_the_run_is_canceled(by_ssh: ContainerWorld) -> None:
    run = by_ssh.submit("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + LONG)
    by_ssh.wait_running(run)
    assert by_ssh.cancel(run, 0.5)
    assert by_ssh.check(run)["status"] == "Canceled"


def _training(world: ContainerWorld, run: Submitted) -> int:
    [training] = [pid for pid, command in world.processes_of(run) if command.endswith("train.py")]
    return training


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])


def test_a_run_with_a_secret_is_not_lost_with_the_service_that_launched_it(by_tls: ContainerWorld) -> None:
    """The next one cannot launch it again, and need not."""
    run, body = by_tls.request(until_ended(), secrets={"TOKEN": "s3cret"})
    by_tls.connection.post("/v1/runs", body)
    eventually(lambda: by_tls.shim(run), "it was not launched")
    by_tls.kill_service()
    by_tls.wait_running(run)
    by_tls.end(run)
    assert by_tls.check(run)["status"] == "Completed"
