import stat
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_mltrain.environments import EnvironmentDefinition, interpreters
from jupyter_mltrain.environments.interpreters import Interpreter, find_interpreter, inspect_interpreter
from jupyter_mltrain.errors import PathNotFound, PythonNotFound, UsageError

OWN = ".".join(map(str, sys.version_info[:3]))


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    return tmp_path / "venv"


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch):
    found = [
        Interpreter("/opt/python3.99", "3.99.1"),
        Interpreter("/opt/python3.98", "3.98.0"),
        Interpreter("/p37", "3.7.16"),
    ]
    monkeypatch.setattr(interpreters, "installed_interpreters", lambda: found)


@pytest.mark.parametrize("wanted", [None, OWN, OWN.rpartition(".")[0], ">=3.8", "<3.98"])
def test_the_services_own_python_comes_first(others, wanted):
    found = find_interpreter(wanted)
    assert found.version == OWN
    said = subprocess.run(
        [found.path, "-c", "import sys; print(sys.prefix == sys.base_prefix)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "True", "a venv of a venv would need both"


@pytest.mark.parametrize(
    ("wanted", "found"), [("3.98", "3.98.0"), (">=3.97", "3.99.1"), ("3.7.16", "3.7.16"), ("<3.8", "3.7.16")]
)
def test_else_the_newest_that_fits(others, wanted, found):
    assert find_interpreter(wanted).version == found


def test_one_that_is_not_there_names_those_that_are(others):
    with pytest.raises(PythonNotFound) as caught:
        find_interpreter("3.2")
    assert caught.value.details["found"] == sorted(
        ["3.99.1", "3.98.0", OWN, "3.7.16"], key=lambda v: [-int(x) for x in v.split(".")]
    )
    assert "3.99.1" in caught.value.message
    with pytest.raises(UsageError, match="no Python version"):
        find_interpreter("latest")


def test_uv_knows_the_python_that_runs_this(machine):
    assert any(sys.version.startswith(one.version) for one in interpreters.installed_interpreters())


def test_the_key_follows_the_distributions(machine, venv):
    before = inspect_interpreter(str(venv / "bin" / "python"))
    assert before.version == OWN
    assert inspect_interpreter(str(venv)).key == before.key
    site = next(venv.glob("lib/python*/site-packages"))
    (site / "alpha-1.0.dist-info").mkdir()
    after = inspect_interpreter(str(venv))
    assert "alpha==1.0" in after.distributions
    assert after.key != before.key
    (site / "alpha-1.0.dist-info").rename(site / "alpha-1.1.dist-info")
    assert inspect_interpreter(str(venv)).key not in {before.key, after.key}
    (site / "alpha-1.1.dist-info").rmdir()
    assert inspect_interpreter(str(venv)).key == before.key


def test_an_interpreter_is_started_only_when_something_changed(machine, venv, monkeypatch):
    inspect_interpreter(str(venv))
    monkeypatch.setattr(interpreters, "_ask", lambda *_: pytest.fail("asked again"))
    inspect_interpreter(str(venv))


def test_current_is_the_kernels_python(environments, venv):
    ready = environments.prepare("current", log=pytest.fail, kernel_python=str(venv / "bin" / "python"))
    assert ready.prepared.python == str(venv / "bin" / "python")
    assert ready.prepared.version is None
    assert environments.state("current", kernel_python=str(venv)).state == "ready"
    with pytest.raises(UsageError, match="no kernel"):
        environments.prepare("current", log=pytest.fail)


def test_an_existing_venv_is_used_as_it_is(environments, venv):
    environments.register(
        EnvironmentDefinition("own", interpreter=str(venv), environment_variables={"A": "b"}), log=pytest.fail
    )
    ready = environments.prepare("own", log=pytest.fail)
    assert ready.prepared.python == str(venv / "bin" / "python")
    assert ready.prepared.variables == {"A": "b"}
    assert ready.lock == ""


def test_no_interpreter_at_the_path(machine, tmp_path):
    for place in (tmp_path / "nowhere", tmp_path, Path(__file__)):
        with pytest.raises(PathNotFound):
            inspect_interpreter(str(place), "own")


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_one_that_does_not_start_says_why(machine, tmp_path):
    broken = script(tmp_path / "python", "echo 'error while loading shared libraries' >&2; exit 127")
    with pytest.raises(UsageError, match="shared libraries"):
        inspect_interpreter(broken)


def test_one_that_is_too_old_is_refused(machine, tmp_path):
    answer = '{"version": "3.7.16", "version_info": [3, 7, 16], "executable": "/p", "path": [], "distributions": []}'
    with pytest.raises(UsageError, match=r"3\.7\.16 .* too old"):
        inspect_interpreter(script(tmp_path / "python", f"echo '{answer}'"))
