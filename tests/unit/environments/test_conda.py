"""Conda packages: the real solver and installer, on a channel in a folder."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jupyter_mltrain.cache import Stopped
from jupyter_mltrain.core.conda import CondaSpecification
from jupyter_mltrain.core.environment import EnvironmentDefinition, EnvironmentLock
from jupyter_mltrain.environments.build import folder_of
from jupyter_mltrain.errors import BuildFailed, EnvironmentError_, PythonNotFound, ResolveError, Unreachable, UsageError
from tests.conda_channel import PYTHON, CondaChannel

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the channel here has a Python for Linux alone")


@pytest.fixture
def channel(tmp_path):
    return CondaChannel(tmp_path / "channel")


def asked(channel, *conda: str, pip=(), python: str | None = PYTHON, name: str = "mixed") -> EnvironmentDefinition:
    return EnvironmentDefinition(name, python=python, pip=pip, conda=conda, channels=(channel.url,))


def said_by(python: str, code: str) -> str:
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, cwd="/").stdout.strip()


def test_conda_packages_and_pip_packages_become_one_interpreter(channel, index, environments):
    channel.python_package("gamma", "2.1", depends=("python", "data >=1"))
    channel.package("data", "1.5", {"share/data.txt": "hello\n"}, noarch="generic")
    index.wheel("alpha", "1.0", requires=("gamma>=2",))
    index.wheel("gamma", "3.0")  # newer, but conda's is there
    index.wheel("gamma", "2.1")
    text = f"channels:\n- {channel.url}\ndependencies:\n- python={PYTHON}\n- gamma=2.1\n- pip\n- pip:\n  - alpha\n"
    definition = CondaSpecification.loads(text).definition("mixed")
    log: list[str] = []
    stored = environments.register(definition, log=log.append)
    ready = environments.prepare("mixed", log=log.append)
    assert ready.packages[:3] == ("data==1.5", "gamma==2.1", f"python=={PYTHON}.99")
    code = "import alpha, gamma, sys; print(alpha.version, gamma.version, open(sys.prefix + '/share/data.txt').read())"
    assert said_by(ready.prepared.python, code) == "1.0 2.1 hello"
    folder = str(folder_of(ready.prepared.key))
    assert said_by(ready.prepared.python, "import gamma; print(gamma.__file__)").startswith(folder)
    lock = environments.lock(stored)
    assert lock is not None
    assert EnvironmentLock.loads(lock.dumps()) == lock
    assert lock.key == ready.prepared.key
    assert lock.conda.count("sha256: ") == 3
    assert "--hash=sha256:" in lock.requirements
    # Ready is ready: nothing is asked again.
    for path in channel.folder.glob("*/*"):
        path.unlink()
    assert environments.prepare("mixed", log=pytest.fail).prepared == ready.prepared


def test_one_environment_cannot_change_another(channel, index, environments):
    channel.python_package("gamma")
    channel.python_package("delta")
    first = environments.prepare(register(environments, asked(channel, "gamma", name="one")), log=lambda _: None)
    file = Path(said_by(first.prepared.python, "import gamma; print(gamma.__file__)"))
    assert file.stat().st_nlink == 1
    file.write_text("version = 'edited'\n")
    second = register(environments, asked(channel, "gamma", "delta", name="two"))
    ready = environments.prepare(second, log=lambda _: None)
    assert said_by(ready.prepared.python, "import gamma; print(gamma.version)") == "1.0"


def register(environments, definition) -> str:
    stored = environments.register(definition, log=lambda _: None)
    return f"{stored.name}:{stored.version}"


def test_a_version_that_is_not_there_is_said_in_the_solvers_words(channel, index, environments):
    channel.python_package("gamma", "1.0")
    with pytest.raises(ResolveError, match=r"No candidates were found for gamma >=2"):
        register(environments, asked(channel, "gamma >=2"))


def test_a_channel_that_is_not_there(channel, index, environments, tmp_path):
    definition = EnvironmentDefinition("mixed", conda=("gamma",), channels=(str(tmp_path / "none"),))
    with pytest.raises(UsageError, match="There is no conda channel"):
        register(environments, definition)
    unreachable = EnvironmentDefinition("mixed", conda=("gamma",), channels=("http://127.0.0.1:9/none",))
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        register(environments, unreachable)


def test_a_dependency_that_is_none(channel, index, environments):
    with pytest.raises(UsageError, match="gamma"):
        register(environments, asked(channel, "gamma >>= 2"))


def test_a_python_that_runs_do_not_work_in(channel, index, environments):
    channel.package("python", "3.4.1", {"bin/python": ""}, subdir="linux-64")
    channel.python_package("gamma")
    with pytest.raises(PythonNotFound, match=r"3\.4\.1"):
        register(environments, asked(channel, "gamma", python="3.4"))


def test_an_old_python_becomes_one_of_the_channel_that_runs_work_in(channel, index, environments):
    channel.package("python", "3.6.2", {"bin/python": ""}, subdir="linux-64")
    channel.python_package("gamma")
    stored = environments.register(asked(channel, "gamma", python="3.6.2"), log=lambda _: None)
    assert [one.asked for one in stored.substitutions] == ["3.6.2"]
    assert environments.prepare("mixed", log=lambda _: None).python_version.startswith(PYTHON)


def test_a_package_that_came_torn_is_not_installed(channel, index, environments):
    package = channel.python_package("gamma")
    reference = register(environments, asked(channel, "gamma"))
    package.write_bytes(package.read_bytes()[:-20])
    with pytest.raises(BuildFailed) as caught:
        environments.prepare(reference, log=lambda _: None)
    assert "gamma" in str(caught.value.details["output"])
    assert environments.state(reference).state == "to build"


def test_without_the_extra_the_mend_names_it(channel, index, environments, monkeypatch):
    monkeypatch.setitem(sys.modules, "rattler", None)
    with pytest.raises(EnvironmentError_) as caught:
        register(environments, asked(channel, "gamma"))
    assert "jupyter-mltrain[conda]" in caught.value.mend


def test_solving_can_be_stopped(channel, index, environments):
    cancelled = threading.Event()
    cancelled.set()
    channel.python_package("gamma")
    with pytest.raises(Stopped):
        environments.register(asked(channel, "gamma"), log=lambda _: None, cancelled=cancelled)
