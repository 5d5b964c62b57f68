"""Several engines as one target, through the real service: this machine's and another host's."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.api.dataset import Dataset
from jupyter_mltrain.api.docker import DockerCompute
from jupyter_mltrain.api.environment import Environment
from jupyter_mltrain.api.target import ComputeTarget
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.commands import verbs
from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.errors import ComputeTargetException, PathNotFound
from jupyter_mltrain.testing.bench import living
from tests.faults.world import Submitted, World, eventually, steady
from tests.hosts.daemon import Engine
from tests.hosts.remote import RemoteHost

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

READS = """
from pathlib import Path
place = Path(os.environ["MLTRAIN_DATA_WORDS"])
print([file.read_text() for file in ([place] if place.is_file() else place.iterdir())], flush=True)
"""
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


def log(world: World, run: Submitted) -> bytes:
    try:
        return world.connection.bytes(f"/v1/runs/{run.id}/log", name="user_logs/std_log.txt", limit=1000)[0]
    except PathNotFound:
        return b""


def health(world: World) -> dict[str, bool]:
    return {host["name"]: host["health"]["ok"] for host in world.connection.get("/v1/targets/boxes")["hosts"]}


def stands(world: World, run: Submitted, status: str) -> dict[str, Any]:
    """The run's state once it has that status."""
    return world.wait(run, lambda state: state["status"] == status)


def running(world: World, *runs: Submitted) -> list[str]:
    """Once they all run: on which hosts."""
    for run in runs:
        stands(world, run, "Running")
    nodes = {node["run"]: node["host"] for node in world.connection.get("/v1/targets/boxes")["nodes"]}
    return [nodes[run.id] for run in runs]


def test_runs_are_spread_and_a_fifth_one_waits(
    world: World, boxes: DockerCompute, remote_host: RemoteHost, tmp_path: Path
) -> None:
    words = tmp_path / "words.txt"
    words.write_text("on every host")
    Dataset.File.from_files(str(words)).register(boxes.workspace, "words")
    runs = [submit(world, READS + LONG, data=[{"name": "words"}]) for _ in range(4)]
    places = running(world, *runs)
    assert sorted(places) == ["here", "here", "there", "there"]
    there = [run for run, place in zip(runs, places, strict=True) if place == "there"]
    names = remote_host.engine.ours()["containers"]
    assert all(f"mltrain-{run.id}" in names for run in there)
    for run in runs:
        eventually(lambda run=run: log(world, run).startswith(b"['on every host']"), "it did not read its data")
    waits = submit(world, "print('after')")
    world.wait(waits, lambda state: "all 4 slots are busy" in str(state["stages"]))
    world.cancel(there[0])
    state = world.wait(waits)
    assert state["status"] == "Completed"
    assert [change["reason"] for change in state["history"] if change["status"] == "Starting"] == ["on there"]
    for run in runs:
        if run is not there[0]:
            world.cancel(run)
    for run in runs:
        assert world.wait(run)["status"] == "Canceled"
    assert {node["host"] for node in boxes.list_nodes()} == {"here", "there"}


def test_a_run_over_both_hosts_lives_and_ends_as_one(
    world: World, boxes: DockerCompute, docker_engine: Engine, remote_host: RemoteHost
) -> None:
    """Three nodes, where each host has room for two. One host is cut off; a rank is killed; another run is given up."""

    def nothing_is_left(run: Submitted) -> None:
        def there() -> list[str]:
            return [str(one) for engine in (docker_engine, remote_host.engine) for one in ours(engine, run)]

        eventually(lambda: not there(), "the run left {}", there)
        assert not living(run.id)

    script = "print('rank', os.environ['MLTRAIN_RANK'], flush=True)\n" + LONG
    run = submit(world, script, distribution={"launcher": "tensorflow", "nodes": 3})
    stands(world, run, "Running")
    nodes = world.connection.get("/v1/targets/boxes")["nodes"]
    first, second, third = (node["host"] for node in nodes if node["run"] == run.id)
    assert first == second != third
    remote_host.cut()
    stands(world, run, "NotResponding")
    remote_host.network.mend()
    stands(world, run, "Running")
    os.kill(process_of(run, 2), signal.SIGKILL)
    state = world.wait(run)
    assert state["status"] == "Failed"
    assert state["failure"]["title"].startswith("The process was ended by SIGKILL on rank 2"), state["failure"]
    assert state["failure"]["evidence"][-1] == "ended for it: rank 0, rank 1"
    ends = [one["ended"] for one in exits(state)]
    print(f"the others ended {max(ends) - min(ends):.1f} s after the one that was killed")
    nothing_is_left(run)
    outputs = world.layout.run(run.id) / "outputs"
    told = {path.relative_to(outputs).as_posix() for path in outputs.rglob("told")}
    assert told == {"told", "node2/told"}, "a file of that name is on each host"

    lost = submit(world, script, distribution={"launcher": "tensorflow", "nodes": 3})
    stands(world, lost, "Running")
    remote_host.cut()
    stands(world, lost, "NotResponding")
    given_up = world.connection.post(f"/v1/runs/{lost.id}/cancel", {"give_up": True}, timeout=120)
    assert "Given up: its host there has not answered since" in given_up["failure"]["title"]
    assert not living_here(docker_engine, lost), "its ranks on the host that answers go on"
    assert remote_host.engine.docker("ps", "--quiet", "--filter", f"name={lost.id}")
    remote_host.network.mend()
    nothing_is_left(lost)


def exits(state: dict[str, Any]) -> list[dict[str, Any]]:
    return next(change["evidence"]["exits"] for change in state["history"] if "exits" in change["evidence"])


def ours(engine: Engine, run: Submitted) -> list[str]:
    """Containers and volumes of the run there."""
    return [name for names in engine.ours().values() for name in names if run.id in name]


def living_here(engine: Engine, run: Submitted) -> str:
    return engine.docker("ps", "--quiet", "--filter", f"name={run.id}")


def process_of(run: Submitted, rank: int) -> int:
    """The process that trains as that rank, on whichever host."""
    for pid in (int(one.split()[0]) for one in living(run.id)):
        with contextlib.suppress(OSError):
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if (
                f"MLTRAIN_RANK={rank}".encode() in variables
                and b"train.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
            ):
                return pid
    raise AssertionError(f"rank {rank} is not there")


def test_a_target_of_several_urls_is_attached_in_one_line(
    world: World, docker_engine: Engine, remote_host: RemoteHost
) -> None:
    context, urls = Context(folder=world.root), [docker_engine.url, remote_host.ssh_url]
    said = str(verbs.call(context, "compute", ["attach", "two", *urls, "--max-nodes", "3"])).splitlines()
    assert "3 runs at once" in said[1]
    # Whether they answer at this moment is the machine's business; that they did is why it is attached.
    assert [line[4:].split(":")[0] for line in said if " runs, " in line] == ["this machine", remote_host.address]
    with pytest.raises(ComputeTargetException, match="three, "):
        verbs.call(context, "compute", ["attach", "three", *urls, "ssh://127.0.0.1:9"])


def test_one_host_is_down_and_the_others_go_on(world: World, boxes: DockerCompute, remote_host: RemoteHost) -> None:
    """Runs there do not respond, new ones go elsewhere, and who looks is told; afterwards all is whole."""
    runs = [submit(world, LONG) for _ in range(2)]
    places = dict(zip(running(world, *runs), runs, strict=True))
    assert sorted(places) == ["here", "there"]
    remote_host.cut()
    stands(world, places["there"], "NotResponding")
    after = submit(world, steady(5))
    assert world.wait(after)["status"] == "Completed"
    assert world.state(places["here"])["status"] == "Running"
    expected = {"here": True, "there": False}
    eventually(lambda: health(world) == expected, "it is not told which host is away", lambda: health(world))
    shown = str(verbs.call(Context(folder=world.root), "compute", ["show", "boxes"]))
    assert "here: 1 of 2 runs" in shown
    assert "✗ there: 1 of 2 runs" in shown
    assert {one["host"] for one in boxes.leftovers()} <= {"here"}
    remote_host.network.mend()
    stands(world, places["there"], "Running")
    for run in runs:
        world.cancel(run)
    for run in runs:
        assert world.wait(run)["status"] == "Canceled"
    assert set(boxes.hosts) == {"here", "there"}
