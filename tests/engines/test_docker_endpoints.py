"""Endpoints in containers of real engines: deployed, asked, replaced, hurt, deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_mltrain import ComputeTarget, InferenceConfig, LocalWebservice, Model, Webservice, Workspace
from jupyter_mltrain.api.docker import DockerCompute
from jupyter_mltrain.api.environment import Environment
from tests.faults.world import World
from tests.hosts.daemon import Engine
from tests.integration.endpoints.scoring import Source

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("JUPYTER_MLTRAIN_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("JUPYTER_MLTRAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JUPYTER_MLTRAIN_IDLE_SECONDS", "60")
    with World(tmp_path / "w") as made:
        yield made
        for service in Webservice.list(Workspace(made.root)):
            service.delete()


@pytest.fixture
def workspace(world: World) -> Workspace:
    return Workspace(world.root)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


def attach(workspace: Workspace, engine: Engine, **settings: str) -> None:
    asked = settings or {"url": engine.url}
    ComputeTarget.attach(workspace, "box", DockerCompute.attach_configuration(**asked, base_image=engine.image))
    ready = Environment.from_docker_image("ready", engine.image)
    ready.python.user_managed_dependencies, ready.python.interpreter_path = True, "/usr/bin/python3"
    ready.register(workspace)


def deploy(workspace: Workspace, source: Source, **more: object) -> Webservice:
    config = InferenceConfig("deep/score.py", source_directory=source.folder, environment="ready")
    service = Model.deploy(
        workspace, "scorer", [], config, LocalWebservice.deploy_configuration(**more), deployment_target="box"
    )
    service.wait_for_deployment(show_output=True)
    return service


def ours(engine: Engine) -> list[str]:
    """Names of what is there of endpoints."""
    label = "label=org.jupyter-mltrain.kind=endpoint"
    found = engine.docker("ps", "--all", "--filter", label, "--format", "{{.Names}}").split()
    return found + engine.docker("volume", "ls", "--filter", label, "--format", "{{.Name}}").split()


def test_a_script_answers_from_a_container(docker_engine: Engine, workspace: Workspace, source: Source) -> None:
    attach(workspace, docker_engine)
    service = deploy(workspace, source)
    answer = service.run({})
    assert answer["cwd"] == "/mltrain/endpoint/app"
    service.delete()
    assert ours(docker_engine) == []
