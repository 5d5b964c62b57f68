"""The target `docker`, there by itself: from a cell's words to outputs in the record, through a real service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_mltrain import ComputeTarget, Workspace
from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.environment import Environment
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.errors import ComputeTargetException, ResourceUnavailable, RunFailed
from tests.faults.world import World
from tests.hosts.daemon import Engine

SCRIPT = """
import os, sys
from jupyter_mltrain import Run
run = Run.get_context()
for i in range(3):
    run.log("loss", 1 / (i + 1), step=i)
open("outputs/who", "w").write(f"{os.getuid()} {os.path.exists('/.dockerenv')}")
print("said in a container", os.environ["TOKEN"] == "s3cret")
"""


def in_docker(world: World, url: str, image: str = "none") -> None:
    """What `docker` means in the world, in place of what the docker command would talk to."""
    settings = f'\n[targets.docker]\nurl = "{url}"\nbase_image = "{image}"\n'
    config = world.layout.config
    config.write_text(config.read_text("utf-8") + settings, "utf-8")


@pytest.fixture
def docker(tmp_path: Path, own_folders: None, docker_engine: Engine) -> Iterator[Experiment]:
    with World(tmp_path / "w") as world:
        in_docker(world, docker_engine.url, docker_engine.image)
        workspace = Workspace(world.root)
        ready = Environment.from_docker_image("ready", docker_engine.image)
        ready.python.user_managed_dependencies, ready.python.interpreter_path = True, "/usr/bin/python3"
        ready.register(workspace)
        yield Experiment(workspace, "tests")


def config(code: str, **more: object) -> ScriptRunConfig:
    files = {"train.py": code}
    return ScriptRunConfig(script="train.py", files=files, environment="ready", compute_target="docker", **more)


def test_a_script_runs_in_a_container_of_this_machines_engine(docker: Experiment, docker_engine: Engine) -> None:
    run = docker.submit(config(SCRIPT, secrets={"TOKEN": "s3cret"}))
    done = run.wait_for_completion(show_output=False, wait_post_processing=True)
    assert done["status"] == "Completed"
    assert run.get_metrics()["loss"] == [1, 1 / 2, 1 / 3]
    folder = Layout(docker.workspace.root).run(run.id)
    assert (folder / "outputs" / "who").read_text() == "1000 True"
    assert "said in a container True" in (folder / "streams" / "r0.log").read_text()
    assert "s3cret" not in json.dumps(done)
    ours = docker_engine.ours()
    assert [name for name in (*ours["containers"], *ours["volumes"]) if run.id in name] == []
    assert ComputeTarget(docker.workspace, "docker").name == "docker"  # attached, and found again after a restart


def test_its_failures_are_told_as_anywhere(docker: Experiment) -> None:
    run = docker.submit(config("raise ValueError('of the script')"))
    with pytest.raises(RunFailed, match="ValueError: of the script"):
        run.wait_for_completion(show_output=False, wait_post_processing=True)
    cancelled: Run = docker.submit(config("import time; print('up', flush=True); time.sleep(600)"))
    cancelled.cancel()
    assert (
        cancelled.wait_for_completion(show_output=False, wait_post_processing=True, raise_on_error=False)["status"]
        == "Canceled"
    )


def test_no_gpu_is_one_clear_line_before_anything_runs(docker: Experiment, docker_engine: Engine) -> None:
    before = docker_engine.ours()
    with pytest.raises(ResourceUnavailable, match="1 GPUs asked for; target 'docker' has none"):
        docker.submit(config("pass", gpus=1))
    assert list(docker.get_runs()) == []
    assert docker_engine.ours() == before


def test_no_engine_is_one_clear_line_before_anything_runs(tmp_path: Path, own_folders: None) -> None:
    with World(tmp_path / "w") as world:
        in_docker(world, f"unix://{tmp_path}/docker.sock")
        experiment = Experiment(Workspace(world.root), "tests")
        with pytest.raises(ComputeTargetException, match="There is no Docker engine at") as caught:
            experiment.submit(config("pass"))
        assert "systemctl start docker" in caught.value.mend
        assert list(experiment.get_runs()) == []
