"""The same in containers: a run's volume is rescued, and an earlier run's outputs get there once."""

from __future__ import annotations

from typing import Any

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.core.layout import Layout
from tests.faults.world import eventually
from tests.hosts.daemon import Engine
from tests.integration.test_docker import docker  # noqa: F401 - a fixture
from tests.integration.test_resume import TRAINING, done

TRAINING_THERE = TRAINING + '\nif run.attempt > 1:\n    os.remove("outputs/held-0")\n'


def config(*arguments: str | int, **more: Any) -> ScriptRunConfig:
    files = {"train.py": TRAINING_THERE}
    return ScriptRunConfig(
        script="train.py", files=files, arguments=arguments, environment="ready", compute_target="docker", **more
    )


def test_a_run_goes_on_in_a_new_container(docker: Experiment, docker_engine: Engine) -> None:  # noqa: F811
    """From its own outputs where the container is gone; from another's, which are sent there once."""
    layout = Layout(docker.workspace.root)
    whole = done(docker.submit(config()))
    lost = docker.submit(config("--hold", 5, retries=1))
    eventually(lambda: lost.get_status() == "Running" and "holds" in lost.get_log(), "the script does not get there")
    docker_engine.docker("rm", "--force", f"mltrain-{lost.id}")
    state = done(lost).refresh()
    folder = layout.run(lost.id)
    expected = (layout.run(whole.id) / "outputs" / "checkpoint.json").read_text()
    assert (folder / "outputs" / "checkpoint.json").read_text() == expected
    assert sorted(path.name for path in folder.glob("outputs*")) == ["outputs"]
    assert not (folder / "outputs" / "held-0").exists(), "what the second attempt deleted has not come back"
    assert lost.series("weight")["values"] == whole.series("weight")["values"]
    assert [change["status"] for change in state["history"]].count("Queued") == 2
    assert state["notices"][-1].startswith("Attempt 1 was lost (supervisor lost, exit code unknown: the container")
    log = (folder / "streams" / "r0.log").read_text()
    assert [log.count(said) for said in ("attempt 1 of", "attempt 2 of", "begins again")] == [1, 1, 1]

    before = set(docker_engine.ours()["volumes"])
    half = done(docker.submit(config("--steps", 4)))
    for _ in range(2):
        run = done(docker.submit(config(resume_from=half)))
        assert (layout.run(run.id) / "outputs" / "checkpoint.json").read_text() == expected
        assert run.get_metrics()["weight"] == whole.get_metrics()["weight"][4:]
    assert len(set(docker_engine.ours()["volumes"]) - before) <= 1, (
        "the outputs are there once, or are read where they lie"
    )
