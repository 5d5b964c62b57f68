"""Environments with packages of conda in containers: the real solver here, the real installer there."""

from __future__ import annotations

import asyncio
import functools
import http.server
import threading

import pytest

from jupyter_mltrain.computes.docker import DockerCompute
from jupyter_mltrain.core.environment import BUILD, ContainerSettings, EnvironmentDefinition
from jupyter_mltrain.environments import Environments
from tests.conda_channel import CondaChannel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CODE = "import gamma, six, sys; print(gamma.version, six.__version__, open(sys.prefix + '/share/data.txt').read())"


@pytest.fixture
def channel(docker_engine, tmp_path):
    """A channel in a folder of this machine, whose Python is that of the engine's image."""
    asked = "import os, sys; print(os.path.realpath(sys.executable), '%d.%d' % sys.version_info[:2])"
    there = docker_engine.docker("run", "--rm", "--entrypoint", "/usr/bin/python3", docker_engine.image, "-c", asked)
    made = CondaChannel(tmp_path / "channel", *there.split())
    made.python_package("gamma", "2.1", depends=("python", "data >=1"))
    made.package("data", "1.5", {"share/data.txt": "hello\n"}, noarch="generic")
    return made


@pytest.fixture
def mirrored(docker_engine, channel, tmp_path, monkeypatch):
    """The same channel under a name that leads nowhere, but for a mirror in the user's settings of rattler's tools: at an
    address that containers reach, too."""
    gateway = docker_engine.docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
    serve = functools.partial(http.server.SimpleHTTPRequestHandler, directory=channel.folder)
    with http.server.ThreadingHTTPServer((gateway, 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = tmp_path / "settings" / "rattler"
        settings.mkdir(parents=True)
        name = "https://channel.invalid/team"
        mirror = f'[mirrors]\n"{name}" = ["http://{gateway}:{server.server_port}"]\n'
        (settings / "config.toml").write_text(mirror)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(settings.parent))
        yield name
        server.shutdown()


@pytest.mark.parametrize(("image", "where"), [("", "mirrored"), (BUILD, "channel")])
async def test_conda_packages_and_pip_packages_are_one_environment(
    docker_engine, tmp_path, monkeypatch, image, where, request
):
    monkeypatch.setenv("JUPYTER_MLTRAIN_CACHE", str(tmp_path / "cache"))
    place = request.getfixturevalue(where)
    compute = DockerCompute(url=docker_engine.url, base_image=docker_engine.image)
    environments = Environments(tmp_path / ".mltrain" / "environments")
    definition = EnvironmentDefinition(
        "mixed",
        pip=("six==1.17.0",),
        conda=("gamma=2.1",),
        channels=(place if where == "mirrored" else place.url,),
        imports=("gamma", "six"),
        docker=ContainerSettings(image=image),
    )
    await asyncio.to_thread(environments.register, definition, log=lambda _: None)
    order = environments.order("mixed", await compute.platform(), log=pytest.fail)
    ready = await compute.prepare(order, (log := []).append, lambda _: None)
    folder = ready.prepared.python.removesuffix("/bin/python")
    try:
        assert "Installing 3 conda packages" in log
        assert ready.packages[:2] == ("data==1.5", "gamma==2.1")
        volume = [
            "--volume",
            "mltrain-environments:/mltrain/environments:ro",
            "--user",
            "1000:1000",
            "--network",
            "none",
        ]
        said = docker_engine.docker(
            "run",
            "--rm",
            *(volume if not image else volume[2:]),
            "--entrypoint",
            ready.prepared.python,
            ready.prepared.image,
            "-c",
            CODE,
        )
        assert said == "2.1 1.17.0 hello"
        again = await compute.prepare(order, pytest.fail, lambda _: None)
        assert (again.cached, again.prepared) == (True, ready.prepared)
    finally:
        if image:
            docker_engine.docker("rmi", "--force", ready.prepared.image)
        else:
            volume = ["--volume", "mltrain-environments:/mltrain/environments", "--entrypoint", "rm"]
            docker_engine.docker("run", "--rm", *volume, docker_engine.image, "-rf", folder)
