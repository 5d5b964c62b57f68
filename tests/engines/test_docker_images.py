"""Environments that are built into images on real engines, and shared by a real registry that lets in only whom it knows."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import secrets
import socket
import tarfile
from collections.abc import Iterator
from importlib.metadata import version

import pytest
from uv import find_uv_bin

from jupyter_mltrain.computes.docker import DockerCompute
from jupyter_mltrain.core.compute import EnvironmentOrder, ReadyEnvironment
from jupyter_mltrain.core.environment import BUILD, ContainerSettings, EnvironmentDefinition, EnvironmentLock
from jupyter_mltrain.environments import Environments
from jupyter_mltrain.environments.adaptations import KNOWN
from jupyter_mltrain.environments.dockerfile import beside, dockerfile
from jupyter_mltrain.environments.orders import order_of
from jupyter_mltrain.environments.substitutions import Table
from jupyter_mltrain.errors import UsageError
from tests.hosts.daemon import Engine
from tests.hosts.registry import PASSWORD

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

IMPORT = "import six, os; print(six.__version__, six.__file__)"


def order(**docker: str) -> EnvironmentOrder:
    """An order that nobody gave before."""
    settings = ContainerSettings(**{"image": BUILD, **docker})
    definition = EnvironmentDefinition(
        "small", 1, imports=("six",), docker=settings, environment_variables={"COLOUR": "blue"}
    )
    made = order_of(definition, EnvironmentLock("six==1.17.0", "3.11", "linux-x86_64-glibc"), Table.load())
    return dataclasses.replace(made, key=secrets.token_hex(32))


async def prepare(compute: DockerCompute, wanted: EnvironmentOrder) -> tuple[ReadyEnvironment, list[str]]:
    log: list[str] = []
    return await compute.prepare(wanted, log.append, lambda _: None), log


def run(engine: Engine, ready: ReadyEnvironment, code: str = IMPORT) -> str:
    """As a stranger without the volume of environments."""
    given = ["--rm", "--network", "none", "--user", "1000:1000", "--entrypoint", ready.prepared.python]
    return engine.docker("run", *given, ready.prepared.image, "-c", code)


def inspect(engine: Engine, ready: ReadyEnvironment) -> dict:
    return json.loads(engine.docker("inspect", ready.prepared.image))[0]


@pytest.fixture
def clean(docker_engine: Engine) -> Iterator[list[str]]:
    """Images that a test made on this machine's engine."""
    made: list[str] = []
    yield made
    docker_engine.docker("rmi", "--force", *dict.fromkeys(made))


async def test_an_environment_becomes_an_image_where_it_asks_for_one(docker_engine, clean):
    compute = DockerCompute(url=docker_engine.url, base_image=docker_engine.image)
    ready, log = await prepare(compute, wanted := order())
    clean.append(ready.prepared.image)
    assert not ready.cached
    assert " + six==1.17.0" in log
    assert run(docker_engine, ready).startswith("1.17.0 /opt/environment/")
    shown = inspect(docker_engine, ready)
    # The packages are one layer on what was there: an environment on the same base sends and keeps only that.
    base = json.loads(docker_engine.docker("inspect", docker_engine.image))[0]
    assert shown["RootFS"]["Layers"][:-1] == base["RootFS"]["Layers"]
    # What an environment's variables are is no matter of its packages, which others may share.
    assert not any("COLOUR" in one for one in shown["Config"]["Env"])
    again, log = await prepare(compute, wanted)
    assert (again.cached, again.prepared, log) == (True, ready.prepared, [])


async def test_a_target_has_all_environments_become_images(docker_engine, clean):
    compute = DockerCompute(url=docker_engine.url, base_image=docker_engine.image, image=BUILD)
    ready, _ = await prepare(compute, order(image=""))
    clean.append(ready.prepared.image)
    assert ready.prepared.python == "/opt/environment/bin/python"
    with pytest.raises(UsageError, match="image is"):
        DockerCompute(url=docker_engine.url, image="built")


async def test_what_one_host_built_another_one_pulls(
    docker_engine, remote_host, image_registry, clean, tmp_path, monkeypatch
):
    for name, value in image_registry.log_in(tmp_path / "docker").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", str(tmp_path / "docker"), prepend=":")
    text = f"FROM {docker_engine.image}\nRUN echo {secrets.token_hex(8)} > /mark\n"
    wanted, place = order(base_dockerfile=text), f"{image_registry.address}/team"
    here = DockerCompute(url=docker_engine.url, base_image=docker_engine.image, registry=place)
    there = DockerCompute(**remote_host.tls, base_image=remote_host.image, registry=place)

    built, log = await prepare(here, wanted)
    clean += [built.prepared.image, inspect(docker_engine, built)["Parent"]]
    assert [line for line in log if line.startswith("Pushing ")] == [
        f"Pushing {place}/mltrain-base:{_key(docker_engine, built, -2)}",
        f"Pushing {place}/mltrain-environment:{_key(docker_engine, built, -1)}",
    ]
    assert image_registry.tags("team/mltrain-environment") == [_key(docker_engine, built, -1)]
    # On the engine it is called by our name alone, so that `prune` has only one to remove.
    assert [tag.partition(":")[0] for tag in inspect(docker_engine, built)["RepoTags"]] == ["mltrain/environment"]

    pulled, log = await prepare(there, wanted)
    try:
        assert pulled.cached
        assert not any(line.startswith(("Making", "Step", "Building", "Pushing")) for line in log)
        assert sum(line.startswith(f"Pulled {place}/mltrain-") for line in log) == 2
        assert pulled.prepared.image == built.prepared.image
        assert run(remote_host.engine, pulled).startswith("1.17.0 /opt/environment/")
        assert PASSWORD not in "".join(log)
    finally:
        remote_host.engine.docker("rmi", "--force", pulled.prepared.image)
    assert (await prepare(there, wanted))[0].cached
    assert PASSWORD not in (tmp_path / "docker" / "config.json").read_text()


def _key(engine: Engine, ready: ReadyEnvironment, which: int) -> str:
    """The hash of the content of the image, or of its base."""
    image = inspect(engine, ready)
    labels = image["Config"]["Labels"] if which == -1 else inspect_id(engine, image["Parent"])["Config"]["Labels"]
    return labels["org.jupyter-mltrain.key"]


def inspect_id(engine: Engine, name: str) -> dict:
    return json.loads(engine.docker("inspect", name))[0]


async def test_who_is_not_let_in_builds_and_is_told(docker_engine, image_registry, clean, tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    compute = DockerCompute(url=docker_engine.url, base_image=docker_engine.image, registry=image_registry.address)
    wanted = order()
    ready, log = await prepare(compute, wanted)
    clean.append(ready.prepared.image)
    assert run(docker_engine, ready).startswith("1.17.0 ")
    assert any(line.endswith(f"`docker login {image_registry.address}`") for line in log)
    # Once he is let in, what was built is shared.
    for name, value in image_registry.log_in(tmp_path / "docker").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", str(tmp_path / "docker"), prepend=":")
    again, log = await prepare(compute, wanted)
    assert again.cached
    assert len(image_registry.tags("mltrain-environment")) == 1
    assert len(log) == 1


async def test_a_registry_that_is_away_costs_a_line(docker_engine, clean):
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        compute = DockerCompute(url=docker_engine.url, base_image=docker_engine.image, registry=place)
        ready, log = await prepare(compute, wanted := order())
        clean.append(ready.prepared.image)
        assert run(docker_engine, ready).startswith("1.17.0 ")
        assert sum(place in line for line in log) == 1
        again, log = await prepare(compute, wanted)
        assert (again.cached, log) == (True, [])


@pytest.mark.parametrize(
    "place", ["me:hunter2@images.lab:5000", "https://images.lab/team", "images", "images.lab:5000/Team", "a b:1"]
)
def test_what_is_no_registry_is_refused(place):
    with pytest.raises(UsageError) as told:
        DockerCompute(url="unix:///nowhere", registry=place)
    assert "hunter2" not in str(told.value)


async def test_what_would_be_made_is_told_and_nothing_is(docker_engine, clean):
    compute = DockerCompute(url=docker_engine.url, base_image=docker_engine.image)
    volume, built = dataclasses.replace(order(), built=False), order()
    for wanted in (volume, built):
        foreseen = await compute.foresee(wanted)
        [step] = foreseen.steps
        assert "the environment" in step
        there = docker_engine.docker("image", "ls", "--quiet", foreseen.prepared.image)
        assert bool(there) is (foreseen.prepared.image == docker_engine.image)
        ready, _ = await prepare(compute, wanted)
        after = await compute.foresee(wanted)
        assert (after.steps, after.place) == ((), foreseen.place)
        assert after.prepared.python == foreseen.prepared.python == ready.prepared.python
        assert inspect_id(docker_engine, after.prepared.image)["Id"] == ready.prepared.image
        clean += [ready.prepared.image] if wanted is built else []
    nowhere = await compute.foresee(dataclasses.replace(built, image="no.such.host.invalid/image:1"))
    assert nowhere.steps[0] == "pull the image no.such.host.invalid/image:1"
    dockerfile = await compute.foresee(order(base_dockerfile=f"FROM scratch\n# {secrets.token_hex(8)}\n"))
    assert dockerfile.steps[0].startswith("build the image of the Dockerfile as mltrain/base:")


async def test_the_dockerfile_that_is_saved_makes_the_same(docker_engine, clean, tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_MLTRAIN_CACHE", str(tmp_path / "cache"))
    environments = Environments(tmp_path / ".mltrain" / "environments")
    settings = ContainerSettings(base_image=docker_engine.image)
    python = docker_engine.docker("run", "--rm", docker_engine.image, "python3", "-c", _MINOR)
    asked = EnvironmentDefinition("small", python=python, pip=("six==1.17.0",), adaptations=KNOWN, docker=settings)
    stored = await asyncio.to_thread(environments.register, asked, log=lambda _: None)
    lock = environments.lock(stored)
    texts = {"Dockerfile": dockerfile(stored, lock, environments.store.table), **beside(lock)}
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    # What the Dockerfile takes uv from, as far as it is needed.
    source = f"ghcr.io/astral-sh/uv:{version('uv')}"
    with tarfile.open(tmp_path / "uv.tar", "w") as archive:
        archive.add(find_uv_bin(), "uv")
    if not docker_engine.docker("image", "ls", "--quiet", source):
        docker_engine.docker("import", tmp_path / "uv.tar", source)
        clean.append(source)
    (tmp_path / "uv.tar").unlink()
    monkeypatch.setenv("DOCKER_BUILDKIT", "0")  # it looks for `source` at its registry
    clean.append(tag := f"mltrain-test:{secrets.token_hex(8)}")
    docker_engine.docker("build", "--tag", tag, tmp_path, seconds=300)
    said = docker_engine.docker("run", "--rm", "--network", "none", tag, "python", "-c", IMPORT)
    assert said.startswith("1.17.0 /opt/environment/")
    docker_engine.docker("run", "--rm", tag, "python", "-c", f"import mltrain_{KNOWN[0]}")


_MINOR = "import sys; print('%d.%d' % sys.version_info[:2])"
