"""Environments as users give them: a requirements file, an interpreter of their own, a kernel elsewhere than the service."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.environment import Environment
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.commands import verbs
from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.errors import EnvironmentNotFound, PathNotFound, ResolveError, UsageError

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
