"""A run of several nodes in containers, through the real service: it takes as many places, and one that is killed ends all."""

from __future__ import annotations

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.distributed import TensorflowConfiguration
from jupyter_mltrain.api.experiment import Experiment
from tests.faults.world import eventually
from tests.hosts.daemon import Engine
from tests.integration.test_docker import docker  # noqa: F401 - a fixture

WAITS = "import os, time\nprint('up', os.environ['MLTRAIN_RANK'], flush=True)\ntime.sleep(600)"


def asked(workers: int) -> ScriptRunConfig:
    return ScriptRunConfig(
        script="train.py",
        files={"train.py": WAITS},
        environment="ready",
        compute_target="docker",
        distributed_job_config=TensorflowConfiguration(workers),
    )


def test_a_node_that_is_killed_ends_the_run_which_names_it_and_leaves_nothing(
    docker: Experiment,  # noqa: F811
    docker_engine: Engine,
) -> None:
    run = docker.submit(asked(2))
    eventually(lambda: run.get_status() in {"Running", "Failed"}, "it does not start: {}", lambda: run.state["failure"])
    label = f"label=org.jupyter-mltrain.run={run.id}"
    names = docker_engine.docker("ps", "--filter", label, "--format", "{{.Names}}").split()
    assert sorted(names) == [f"mltrain-{run.id}", f"mltrain-{run.id}-node1"]
    docker_engine.docker("kill", "--signal", "KILL", f"mltrain-{run.id}-node1")
    eventually(lambda: run.get_status() == "Failed", "it does not end: {}", run.get_status)
    told = run.refresh()["failure"]
    assert told is not None
    assert told["title"] == "Supervisor lost on rank 1, exit code unknown."
    assert "the container ended with 137" in told["evidence"][0]
    eventually(
        lambda: (
            not docker_engine.docker("ps", "--all", "--filter", label, "--quiet").split()
            and not docker_engine.docker("network", "ls", "--filter", label, "--quiet").split()
            and not docker_engine.docker("volume", "ls", "--filter", label, "--quiet").split()
        ),
        "something of the run is left",
    )
