"""Several engines as one target, through the real service: this machine's and another host's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.api.docker import DockerCompute
from jupyter_mltrain.api.environment import Environment
from jupyter_mltrain.api.target import ComputeTarget
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.commands.verbs.compute import compute
from tests.faults.world import Submitted, World, eventually, steady
from tests.hosts.daemon import Engine
from tests.hosts.remote import RemoteHost

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LONG = steady(100_000, 0.02)


@pytest.fixture
def world(tmp_path: Path, own_folders: None) -> Iterator[World]:
    with World(tmp_path / "w") as made:
        yield made


@pytest.fixture
def boxes(world: World, docker_engine: Engine, remote_host: RemoteHost) -> Iterator[DockerCompute]:
    """A target of two hosts, `here` and `there`, two runs on each."""
    workspace = Workspace(world.root)
    ready = Environment.from_docker_image("ready", docker_engine.image)
    ready.python.user_managed_dependencies, ready.python.interpreter_path = True, "/usr/bin/python3"
    ready.register(workspace)
    asked = DockerCompute.attach_configuration(
        hosts=[
            {"name": "here", "url": docker_engine.url, "max_nodes": 2},
            {"name": "there", "url": remote_host.ssh_url, "max_nodes": 2},
        ]
    )
    target = ComputeTarget.attach(workspace, "boxes", asked)
    assert isinstance(target, DockerCompute)
    yield target
    remote_host.whole()


def submit(world: World, script: str, **more: Any) -> Submitted:
    run, body = world.request(script, environment="ready", target="boxes", **more)
    body["environment_variables"]["FAULT_TOLD"] = "outputs/told"
    world.connection.post("/v1/runs", body)
    return run


def running(world: World, *runs: Submitted) -> list[str]:
    """Once they all run: on which hosts."""
    for run in runs:
        eventually(lambda run=run: world.state(run)["status"] == "Running", f"{run.id} does not run")
    nodes = {node["run"]: node["host"] for node in world.connection.get("/v1/targets/boxes")["nodes"]}
    return [nodes[run.id] for run in runs]


def test_runs_are_spread_and_a_fifth_one_waits(world: World, boxes: DockerCompute, remote_host: RemoteHost) -> None:
    runs = [submit(world, LONG) for _ in range(4)]
    places = running(world, *runs)
    assert sorted(places) == ["here", "here", "there", "there"]
    there = [run for run, place in zip(runs, places, strict=True) if place == "there"]
    names = remote_host.engine.ours()["containers"]
    assert all(f"mltrain-{run.id}" in names for run in there)
    waits = submit(world, "print('after')")
    eventually(lambda: world.state(waits)["status"] == "Queued", "it does not wait")
    assert "all 4 slots are busy" in str(world.state(waits)["stages"])
    world.cancel(there[0])
    eventually(lambda: world.state(waits)["status"] == "Completed", "the fifth did not get its place")
    assert [change["reason"] for change in world.state(waits)["history"] if change["status"] == "Starting"] == [
        "on there"
    ]
    for run in runs:
        if run is not there[0]:
            world.cancel(run)
    for run in runs:
        eventually(lambda run=run: world.state(run)["status"] == "Canceled", "it was not canceled")
    assert {node["host"] for node in boxes.list_nodes()} == {"here", "there"}


def test_one_host_is_down_and_the_others_go_on(world: World, boxes: DockerCompute, remote_host: RemoteHost) -> None:
    """Runs there do not respond, new ones go elsewhere, and who looks is told; afterwards all is whole."""
    runs = [submit(world, LONG) for _ in range(2)]
    places = dict(zip(running(world, *runs), runs, strict=True))
    assert sorted(places) == ["here", "there"]
    remote_host.cut()
    eventually(lambda: world.state(places["there"])["status"] == "NotResponding", "nobody noticed")
    after = submit(world, steady(5))
    assert world.wait(after)["status"] == "Completed"
    assert world.state(places["here"])["status"] == "Running"
    target = world.connection.get("/v1/targets/boxes")
    assert {host["name"]: host["health"]["ok"] for host in target["hosts"]} == {"here": True, "there": False}
    assert target["health"]["ok"]
    assert "there: " in target["health"]["problem"]
    shown = str(compute(Context(folder=world.root), action="show", name="boxes"))
    assert "✓ here: 1 of 2 runs" in shown
    assert "✗ there: 1 of 2 runs" in shown
    assert {one["host"] for one in boxes.leftovers()} <= {"here"}
    remote_host.network.mend()
    eventually(lambda: world.state(places["there"])["status"] == "Running", "it did not come back")
    for run in runs:
        world.cancel(run)
    for run in runs:
        eventually(lambda run=run: world.state(run)["status"] == "Canceled", "it was not canceled")
    assert set(boxes.hosts) == {"here", "there"}
