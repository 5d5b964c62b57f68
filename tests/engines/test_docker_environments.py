"""Environments made in containers of a real engine: once, shared, whole or absent, and nothing else left."""

import asyncio
import dataclasses
import json
import secrets
from collections.abc import Iterator

import pytest

from jupyter_mltrain.computes.docker import DockerCompute
from jupyter_mltrain.computes.docker import image as images
from jupyter_mltrain.core.compute import EnvironmentOrder, ReadyEnvironment
from jupyter_mltrain.core.environment import ContainerSettings, EnvironmentDefinition, EnvironmentLock
from jupyter_mltrain.environments.orders import order_of
from jupyter_mltrain.environments.substitutions import Table
from jupyter_mltrain.errors import BuildFailed, EngineError, EnvironmentError_
from tests.hosts.daemon import Engine

SECRET = "hunter2-hunter2"


@pytest.fixture
def made(docker_engine: Engine) -> Iterator[list[ReadyEnvironment]]:
    """What a test made; removed in the end, and no container is left."""
    found: list[ReadyEnvironment] = []
    ORDERED.clear()
    yield found
    assert at_work(docker_engine) == []
    folders = [one.prepared.python.removesuffix("/bin/python") for one in found]
    inside = [folder for folder in folders if folder.startswith("/mltrain/environments/envs/")]
    if inside:
        volume = ["--volume", "mltrain-environments:/mltrain/environments"]
        docker_engine.docker("run", "--rm", *volume, "--entrypoint", "rm", docker_engine.image, "-rf", *inside)


ORDERED: list[str] = []
"""The keys of what a test ordered: other tests may be at work on the same engine."""


def at_work(engine: Engine) -> list[str]:
    """The containers that make what the test ordered."""
    labels = [("--filter", f"label=org.jupyter-mltrain.key={key}") for key in ORDERED]
    return [name for one in labels for name in engine.docker("ps", "--all", *one, "--format", "{{.Names}}").split()]


@pytest.fixture
def compute(docker_engine: Engine) -> DockerCompute:
    return DockerCompute(url=docker_engine.url, base_image=docker_engine.image)


def order(
    *pip: str, imports: tuple[str, ...] = (), environ: dict[str, str] | None = None, **docker
) -> EnvironmentOrder:
    """An order that nobody gave before."""
    definition = EnvironmentDefinition(
        "small", 1, imports=imports, docker=ContainerSettings(**docker), environment_variables={"COLOUR": "blue"}
    )
    lock = EnvironmentLock("\n".join(pip), "3.11", "linux-x86_64-glibc")
    made = order_of(definition, lock, Table.load(), environ=environ)
    ORDERED.append(secrets.token_hex(32))
    return dataclasses.replace(made, key=ORDERED[-1])


async def prepare(compute: DockerCompute, wanted: EnvironmentOrder, made: list[ReadyEnvironment], log=None):
    ready = await compute.prepare(wanted, (log if log is not None else []).append, lambda _: None)
    made.append(ready)
    return ready


def run(engine: Engine, ready: ReadyEnvironment, code: str) -> str:
    volume = ["--volume", "mltrain-environments:/mltrain/environments:ro", "--user", "1000:1000", "--network", "none"]
    python = ["--entrypoint", ready.prepared.python, ready.prepared.image]
    return engine.docker("run", "--rm", *volume, *python, "-c", code)


async def test_an_environment_is_made_once_and_a_stranger_can_run_it(docker_engine, compute, made):
    log: list[str] = []
    wanted = order("six==1.17.0", imports=("six",))
    ready = await prepare(compute, wanted, made, log)
    assert not ready.cached
    assert ready.packages == ("six==1.17.0",)
    assert ready.prepared.variables == {"COLOUR": "blue"}
    assert "Checking that six can be imported" in log
    assert " + six==1.17.0" in log
    assert "@alive" not in log
    assert run(docker_engine, ready, "import six, sys; print(six.__version__, sys.prefix)").split()[0] == "1.17.0"

    again = await prepare(compute, wanted, made, log := [])
    assert again.cached
    assert again.prepared == ready.prepared
    assert log == []


async def test_what_environments_share_is_there_once(docker_engine, compute, made):
    for _ in range(2):
        await prepare(compute, order("six==1.17.0"), made)
    links = [run(docker_engine, one, "import os, six; print(os.stat(six.__file__).st_ino)") for one in made]
    assert links[0] == links[1]


async def test_two_who_want_the_same_get_one(docker_engine, compute, made):
    wanted = order("six==1.17.0")
    other = DockerCompute(url=docker_engine.url, base_image=docker_engine.image)
    logs: list[list[str]] = [[], []]
    pair = await asyncio.gather(prepare(compute, wanted, made, logs[0]), prepare(other, wanted, made, logs[1]))
    assert sorted(one.cached for one in pair) == [False, True]
    assert pair[0].prepared == pair[1].prepared
    assert sum(line.startswith("Making ") for line in [*logs[0], *logs[1]]) == 1


@pytest.mark.parametrize("door", ["tls", "ssh"])
async def test_an_environment_is_made_on_another_host(remote_host, door):
    settings = remote_host.tls if door == "tls" else {"url": remote_host.ssh_url}
    there = DockerCompute(**settings, base_image=remote_host.engine.image)
    ready = await prepare(there, order("six==1.17.0", imports=("six",)), [], log := [])
    assert not ready.cached
    assert "Checking that six can be imported" in log
    assert run(remote_host.engine, ready, "import six; print(six.__version__)") == "1.17.0"
    assert at_work(remote_host.engine) == []


async def started(engine: Engine) -> str:
    """The name of the container that makes what was ordered last, once it runs."""
    for _ in range(200):
        label = f"label=org.jupyter-mltrain.key={ORDERED[-1]}"
        names = engine.docker("ps", "--filter", label, "--format", "{{.Names}}").split()
        if names:
            return names[0]
        await asyncio.sleep(0.05)
    raise AssertionError("no container makes an environment")


SLOW = {"UV_INDEX_URL": "http://192.0.2.1/simple", "UV_HTTP_TIMEOUT": "60"}
"""An index at an address that never answers (RFC 5737)."""


async def test_a_cancelled_making_leaves_nothing(docker_engine, compute, made):
    wanted = order("six==1.17.0", environ=SLOW)
    task = asyncio.create_task(prepare(compute, wanted, made))
    await started(docker_engine)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert at_work(docker_engine) == []
    # And it is not taken for a whole one.
    assert not (await prepare(compute, dataclasses.replace(wanted, settings={}), made)).cached


async def test_a_killed_making_is_told_and_made_anew(docker_engine, compute, made):
    wanted = order("six==1.17.0", environ=SLOW)
    task = asyncio.create_task(prepare(compute, wanted, made))
    docker_engine.docker("kill", await started(docker_engine))
    with pytest.raises(BuildFailed, match="137"):
        await task
    assert not (await prepare(compute, dataclasses.replace(wanted, settings={}), made)).cached


async def test_a_maker_that_was_killed_before_it_began_is_not_waited_for(docker_engine, compute, made, monkeypatch):
    monkeypatch.setattr("jupyter_mltrain.computes.docker.maker._ABANDONED_SECONDS", 0.5)
    ready = await prepare(compute, wanted := order("six==1.17.0"), made)
    name = f"mltrain-environment-{ready.prepared.python.split('/')[4]}"
    docker_engine.docker(
        "create", "--name", name, "--label", "org.jupyter-mltrain.kind=environment", docker_engine.image
    )
    assert (await prepare(compute, wanted, made)).cached


async def test_what_cannot_be_imported_is_no_environment(docker_engine, compute, made):
    wanted = order("six==1.17.0", imports=("six", "numpy"))
    with pytest.raises(BuildFailed, match="No module named 'numpy'"):
        await prepare(compute, wanted, made)
    assert not (await prepare(compute, dataclasses.replace(wanted, imports=()), made)).cached


async def test_secrets_of_an_index_are_seen_nowhere(docker_engine, compute, made):
    environ = {**SLOW, "UV_INDEX_URL": f"http://me:{SECRET}@192.0.2.1/simple"}
    wanted = order("six==1.17.0", environ=environ)
    assert SECRET in wanted.secrets
    task = asyncio.create_task(prepare(compute, wanted, made, log := []))
    name = await started(docker_engine)
    shown = docker_engine.docker("inspect", name)
    inside = docker_engine.docker("exec", name, "sh", "-c", "grep -rl 192.0.2.1 /mltrain-build || true")
    task.cancel()
    await asyncio.wait({task})
    assert "UV_INDEX_URL" not in shown
    assert SECRET not in shown
    assert inside == ""
    assert SECRET not in "".join(log)


async def test_a_dockerfile_becomes_an_image_with_the_packages_in_it(docker_engine, compute, made):
    text = f"FROM {docker_engine.image}\nRUN echo {secrets.token_hex(8)} > /mark\nUSER 1000\nWORKDIR /tmp\n"
    wanted = order("six==1.17.0", base_dockerfile=text)
    ready = await prepare(compute, wanted, made, log := [])
    try:
        assert any(line.startswith("Step 2/") for line in log)
        said = docker_engine.docker(
            "run",
            "--rm",
            ready.prepared.image,
            "python",
            "-c",
            "import six, os; print(six.__file__, os.getuid(), os.getcwd(), os.listdir('/'))",
        )
        assert said.startswith("/opt/environment/")
        assert " 1000 /tmp " in said
        assert "mltrain-build" not in said
        shown = json.loads(docker_engine.docker("inspect", ready.prepared.image))[0]
        assert shown["Config"]["Labels"]["org.jupyter-mltrain.kind"] == "environment"
        again = await prepare(compute, wanted, made, log := [])
        assert again.cached
        assert again.prepared == ready.prepared
        assert again.python_version == ready.python_version
        assert log == []
    finally:
        docker_engine.docker("rmi", "--force", ready.prepared.image, images.tag("base", text))


async def test_a_dockerfile_that_fails_is_told_with_its_words(docker_engine, compute, made):
    wanted = order(base_dockerfile=f"FROM {docker_engine.image}\nRUN echo so it is >&2; exit 3\n")
    with pytest.raises(BuildFailed, match="non-zero code: 3") as told:
        await prepare(compute, wanted, made)
    assert "so it is" in told.value.details["output"]


async def test_a_ready_image_is_taken_as_it_is(docker_engine, compute, made):
    wanted = dataclasses.replace(order(), interpreter="python3", image=docker_engine.image)
    ready = await prepare(compute, wanted, made)
    assert ready.cached
    assert ready.prepared.python.startswith("/usr/bin/python3")
    assert ready.python_version.startswith("3.")
    with pytest.raises(EnvironmentError_, match="no Python 'pypy' that starts"):
        await prepare(compute, dataclasses.replace(wanted, interpreter="pypy"), made)


async def test_an_image_that_cannot_be_had_is_named(compute, made):
    with pytest.raises(EngineError, match=r"'no\.such\.host\.invalid/image:1' is not on the engine") as told:
        await prepare(compute, dataclasses.replace(order(), image="no.such.host.invalid/image:1"), made)
    assert "docker.base_image" in told.value.mend
