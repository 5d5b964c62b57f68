"""Environments as users give them: a requirements file, an interpreter of their own, a kernel elsewhere than the service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.environment import Environment
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.commands import verbs
from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.errors import (
    EnvironmentNotFound,
    MLTrainError,
    PathNotFound,
    ResolveError,
    SubstitutionRefused,
    UsageError,
    UserErrorException,
)
from tests.conda_channel import PYTHON, CondaChannel
from tests.faults.world import World

WHERE = """
import json, sys
try:
    import six
    version = six.__version__
except ImportError:
    version = None
json.dump({"prefix": sys.prefix, "six": version}, open("outputs/where.json", "w"))
"""


def where(experiment: Experiment, environment: str, into: Path) -> dict[str, str | None]:
    """Run in an environment; what the script saw of it."""
    run = experiment.submit(ScriptRunConfig(script="where.py", files={"where.py": WHERE}, environment=environment))
    run.wait_for_completion(wait_post_processing=True)
    run.download_file("outputs/where.json", into / f"{run.id}.json")
    return json.loads((into / f"{run.id}.json").read_text())


@pytest.fixture
def other_python(tmp_path: Path) -> Path:
    """Another environment, that has the same packages on its path."""
    folder = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    (site / "same.pth").write_text(sysconfig.get_path("purelib") + "\n" + str(Path(__file__).parents[2]) + "\n")
    return folder / "bin" / "python"


@pytest.mark.slow
def test_a_requirements_file_becomes_an_environment(
    workspace: Workspace, experiment: Experiment, tmp_path: Path
) -> None:
    (tmp_path / "requirements.txt").write_text("six==1.16.0  # small and without needs\n")
    made = Environment.from_pip_requirements("small", tmp_path / "requirements.txt")
    assert made.version is None
    first = made.register(workspace)
    assert first.definition.pip == ("six==1.16.0",)
    assert (first.name, first.version) == ("small", 1)
    assert made.register(workspace).version == 1
    seen = where(experiment, "small", tmp_path)
    assert seen["six"] == "1.16.0"
    assert str(tmp_path / "cache") in str(seen["prefix"])
    (tmp_path / "requirements.txt").write_text("six==1.17.0\n")
    context = Context(folder=workspace.root)
    assert "small:2" in repr(verbs.call(context, "env", ["add", "small", "-r", str(tmp_path / "requirements.txt")]))
    # A version never changes; the newest is what a name means.
    assert where(experiment, "small:1", tmp_path)["six"] == "1.16.0"
    assert where(experiment, "small", tmp_path)["six"] == "1.17.0"
    assert Environment.get(workspace, "small").version == 2
    assert set(Environment.list(workspace)) >= {"small", "tensorflow", "current"}


def test_an_interpreter_of_ones_own(
    workspace: Workspace, experiment: Experiment, other_python: Path, tmp_path: Path
) -> None:
    context = Context(folder=workspace.root)
    said = repr(verbs.call(context, "env", ["add", "mine", "--interpreter", str(other_python)]))
    assert "mine:1" in said
    assert where(experiment, "mine", tmp_path)["prefix"] == str(other_python.parents[1])


def test_mistakes_are_one_clear_line(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(PathNotFound):
        Environment.from_pip_requirements("x", tmp_path / "none.txt")
    (tmp_path / "r.txt").write_text("six >> 1\n")
    with pytest.raises(UsageError, match=r"r\.txt"):
        Environment.from_pip_requirements("x", tmp_path / "r.txt")
    with pytest.raises(EnvironmentNotFound, match="tensorflow"):
        Environment.get(workspace, "tensorfow")
    with pytest.raises(UsageError, match="make it from"):
        verbs.call(Context(folder=workspace.root), "env", ["add", "x"])
    (tmp_path / "r.txt").write_text("six==99.0\n")
    with pytest.raises(ResolveError) as raised:
        Environment.from_pip_requirements("x", tmp_path / "r.txt").register(workspace)
    assert "six" in str(raised.value)


CONDA = """
import gamma, json, six, sys
from azureml.core import Run
from azureml.core.run import Run as same
assert Run is same
run = Run.get_context()
run.log("accuracy", 0.5)
json.dump({"prefix": sys.prefix, "gamma": gamma.version, "six": six.__version__}, open("outputs/where.json", "w"))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the channel here has a Python for Linux alone")
def test_conda_and_pip_packages_in_one_run(workspace: Workspace, experiment: Experiment, tmp_path: Path) -> None:
    """From the conda file to a run whose script knows only the SDK, and back to nothing."""
    channel = CondaChannel(tmp_path / "channel")
    channel.python_package("gamma", "2.1")
    text = (
        f"channels: ['{channel.url}']\ndependencies:\n- python={PYTHON}\n- gamma\n- pip:\n  - six\n  - azureml-core\n"
    )
    (tmp_path / "conda_dependencies.yml").write_text(text)
    environment = Environment.from_conda_specification("mixed", tmp_path / "conda_dependencies.yml")
    environment.docker.enabled = True
    environment.docker.base_image = "ours/image:1"
    config = ScriptRunConfig(script="run.py", files={"run.py": CONDA}, environment=environment)
    run = experiment.submit(config)
    run.wait_for_completion(wait_post_processing=True)
    run.download_file("outputs/where.json", tmp_path / "where.json")
    seen = json.loads((tmp_path / "where.json").read_text())
    assert seen["gamma"] == "2.1"
    assert str(tmp_path / "cache") in seen["prefix"]
    assert run.get_metrics() == {"accuracy": 0.5}
    instead = {(one["asked"], one["given"]) for one in run.state["substitutions"]}
    assert instead == {("azureml-core", "left out"), ("ours/image:1", "not used")}
    context = Context(folder=workspace.root)
    shown = str(verbs.call(context, "env", ["show", "mixed"]))
    for fact in ("gamma==2.1", f"channels   {channel.url}", "azureml-core → left out", "base image ours/image:1"):
        assert fact in shown
    assert "micromamba create" in str(verbs.call(context, "env", ["show", "mixed", "--dockerfile"]))
    assert "mixed:1" in str(verbs.call(context, "env", ["rm", "mixed"]))
    with pytest.raises(EnvironmentNotFound):
        Environment.get(workspace, "mixed")
    # Built a moment ago: it stays, whatever was asked.
    assert "Nothing to remove" in str(verbs.call(context, "env", ["prune", "--unused-days", "0"]))
    long_ago = time.time() - 86400
    (ready,) = (tmp_path / "cache" / "envs").glob("*/ready.json")
    os.utime(ready, (long_ago, long_ago))
    assert "Removed 1" in str(verbs.call(context, "env", ["prune", "--unused-days", "0"]))
    assert not ready.parent.exists()


def test_curated_names_and_what_is_reserved(workspace: Workspace) -> None:
    name = "AzureML-Minimal"
    found = Environment.get(workspace, name.lower())
    assert (found.name, found.version) == (name.lower(), 1)
    assert [one.given for one in found.substitutions] == ["minimal"]
    found.python.conda_dependencies.add_pip_package("six")
    with pytest.raises(UserErrorException, match="reserved") as raised:
        found.register(workspace)
    assert "clone" in raised.value.mend
    with pytest.raises(EnvironmentNotFound, match="AzureML-PyTorch"):
        Environment.get(workspace, "AzureML-PyTorch-1.6-GPU")
    table = workspace.root / ".mltrain" / "substitutions.toml"
    table.write_text('[[environment]]\nname = "AzureML-PyTorch-*"\ngiven = "minimal"\nreason = "ours"\n')
    assert [one.reason for one in Environment.get(workspace, "AzureML-PyTorch-1.6-GPU").substitutions] == ["ours"]
    table.write_text("[[environments]]\n")
    with pytest.raises(UserErrorException, match=r"substitutions\.toml"):
        Environment.get(workspace, "AzureML-Tutorial")
    listed = Environment.list(workspace)
    assert {"tensorflow", "tensorflow-2.12", "AzureML-PyTorch-1.6-GPU"} <= set(listed)
    curated = workspace.connection.get("/v1/environments", curated=True)["environments"]
    assert all(one["curated"] for one in curated)


def test_a_preview_stores_nothing(workspace: Workspace) -> None:
    text = "dependencies:\n- pip:\n  - six==1.16.0\n  - azureml-defaults\n"
    asked = {"name": "mine", "specification": text, "environment_variables": {"A": "b"}}
    found = workspace.connection.post("/v1/environments/preview", asked, timeout=60)
    assert found["packages"] == ["six==1.16.0"]
    assert "--hash=sha256:" in found["lock"]
    assert found["given"]["pip"] == ["six==1.16.0"]
    assert [one["asked"] for one in found["substitutions"]] == ["azureml-defaults"]
    assert found["dockerfile"].startswith("# Environment mine\n# azureml-defaults -> left out")
    with pytest.raises(EnvironmentNotFound):
        Environment.get(workspace, "mine")
    for wrong, said in (
        ({"name": "mine", "specification": "dependencies:\n- six >> 1\n"}, "six >> 1"),
        ({"name": "mine", "specification": "dependencies:\n- python=new\n"}, "line 2"),
        ({"name": "AzureML-mine", "pip": ["six"]}, "reserved"),
        ({"name": "mine", "pip": ["six==99"]}, "six"),
        ({"name": "mine", "python": "3.2"}, r"no Python 3\.2"),
        ({"name": "mine", "specification": "dependencies: []", "pip": ["six"]}, "Give one of them"),
        ({"name": "mine", "packages": ["six"]}, "packages"),
    ):
        with pytest.raises(MLTrainError, match=said):
            workspace.connection.post("/v1/environments/preview", wrong, timeout=60)


def test_strict_refuses_at_submission(world: World, workspace: Workspace, experiment: Experiment) -> None:
    config = world.layout.config
    config.write_text(config.read_text().replace("strict = false", "strict = true"))
    with pytest.raises(SubstitutionRefused, match="AzureML-Minimal"):
        experiment.submit(ScriptRunConfig(command=["true"], environment="AzureML-Minimal"))
    image = Environment.from_docker_image("mine", "ours/image:1")
    with pytest.raises(SubstitutionRefused, match="ours/image:1"):
        experiment.submit(ScriptRunConfig(command=["true"], environment=image))


def test_kernel_and_service_in_different_environments(
    workspace: Workspace, experiment: Experiment, other_python: Path, tmp_path: Path
) -> None:
    starter = (
        "import sys; from jupyter_mltrain.api.workspace import Workspace;"
        "print(Workspace(sys.argv[1]).connection.get('/v1/hello')['python'])"
    )
    started = subprocess.run(
        [str(other_python), "-c", starter, str(workspace.root)], check=True, capture_output=True, text=True
    )
    assert started.stdout.strip() == str(other_python)
    assert workspace.connection.get("/v1/hello")["python"] == str(other_python)
    # `current` is the kernel's interpreter: this one, not the service's.
    assert where(experiment, "current", tmp_path)["prefix"] == sys.prefix
