"""What an engine with containers is asked for, from what this machine's pip and uv are told."""

import dataclasses
import re

import pytest

from jupyter_mltrain.core.environment import BUILD, CURRENT, ContainerSettings, EnvironmentDefinition, EnvironmentLock
from jupyter_mltrain.environments.conda import tool
from jupyter_mltrain.environments.orders import order_of
from jupyter_mltrain.environments.resolve import resolve
from jupyter_mltrain.environments.substitutions import Table
from jupyter_mltrain.environments.uv import there_failed
from jupyter_mltrain.errors import BuildFailed, DiskFull, ResolveError, Unreachable, UsageError

LOCK = EnvironmentLock("six==1.17.0 \\\n    --hash=sha256:00", "3.11", "linux-x86_64-glibc")


def order(environ=None, lock=LOCK, **definition):
    made = EnvironmentDefinition("e", 3, **definition)
    return order_of(made, lock, Table.load(), environ={"PIP_CONFIG_FILE": "/dev/null", **(environ or {})})


def test_the_lock_goes_whole():
    made = order(environment_variables={"A": "b"}, imports=("six",), docker=ContainerSettings(shm_size="2g"))
    assert (made.name, made.version, made.key, made.python) == ("e", 3, LOCK.key, "3.11")
    assert made.packages == ("six==1.17.0",)
    assert "--hash=sha256:00" in made.lock
    assert (made.image, made.dockerfile, made.interpreter, made.shm_size) == ("", "", "", "2g")
    assert (made.variables, made.imports, made.settings, made.certificates) == ({"A": "b"}, ("six",), {}, "")


def test_what_is_compiled_is_said_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_MLTRAIN_CACHE", str(tmp_path))
    lock = dataclasses.replace(LOCK, requirements=f"{LOCK.requirements}\nhorovod==0.28.1 \\\n    --hash=sha256:11")
    made = order(lock=lock)
    assert made.requirements == "six==1.17.0 \\\n    --hash=sha256:00\n"
    assert [(one.name, one.requirement, one.wheel) for one in made.compiled] == [
        ("horovod", "horovod==0.28.1 \\\n    --hash=sha256:11", "")
    ]
    assert made.packages == ("six==1.17.0", "horovod==0.28.1")
    assert (order().requirements, order().compiled) == ("", ())


def test_an_image_that_was_asked_for_is_named():
    assert order(docker=ContainerSettings(base_image="mine:1")).image == "mine:1"
    assert order(docker=ContainerSettings(base_image=None, base_dockerfile="FROM x\n")).dockerfile == "FROM x\n"


def test_what_the_container_is_to_have_goes_along_and_its_variables_with_those_of_the_environment():
    settings = ContainerSettings(arguments=("--ulimit", "memlock=-1", "-e", "B=c"), image=BUILD)
    made = order(environment_variables={"A": "b", "B": "x"}, docker=settings)
    assert (made.arguments, made.variables, made.built) == (settings.arguments, {"A": "b", "B": "c"}, True)


def test_indexes_and_their_secrets_go_along_and_folders_of_this_machine_do_not(tmp_path):
    authority = tmp_path / "ca.pem"
    authority.write_text("-----BEGIN CERTIFICATE-----\n")
    environ = {
        "PIP_INDEX_URL": "https://me:hunter2@index.example/simple",
        "PIP_EXTRA_INDEX_URL": "file:///opt/simple https://other.example/simple",
        "PIP_FIND_LINKS": "/opt/wheels",
        "PIP_CERT": str(authority),
        "PIP_KEYRING_PROVIDER": "subprocess",
        "UV_INDEX_TEAM_PASSWORD": "hunter3",
        "HTTPS_PROXY": "http://127.0.0.1:3128",
        "HOME": str(tmp_path),
    }
    made = order(environ)
    assert made.settings == {
        "UV_DEFAULT_INDEX": "https://me:hunter2@index.example/simple",
        "UV_INDEX": "https://other.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INDEX_TEAM_PASSWORD": "hunter3",
        "HTTPS_PROXY": "http://127.0.0.1:3128",
    }
    assert made.certificates == "-----BEGIN CERTIFICATE-----\n"
    assert set(made.secrets) == {"hunter2", "hunter3"}
    told = "\n".join(made.notices)
    assert all(
        part in told for part in ("file:///opt/simple", "/opt/wheels", "UV_KEYRING_PROVIDER", "a proxy of this machine")
    )
    assert "hunter" not in told


def test_adaptations_are_files_of_site_packages():
    lock = EnvironmentLock("", "3.11", "linux-x86_64-glibc", adaptations=("keras_optimizers_1",))
    modules = order(lock=lock).modules
    assert modules["mltrain_adaptations.pth"] == "import mltrain_keras_optimizers_1\n"
    assert "def " in modules["mltrain_keras_optimizers_1.py"]


def test_a_ready_image_needs_no_lock():
    made = order(lock=None, interpreter="python3", docker=ContainerSettings(base_image="mine:1"))
    assert (made.interpreter, made.image, made.lock) == ("python3", "mine:1", "")


def test_what_no_container_can_hold_is_refused():
    with pytest.raises(UsageError, match="in no container"):
        order_of(EnvironmentDefinition(CURRENT), None, Table.load())


def test_conda_packages_are_installed_by_the_tool_that_solved_them():
    assert order(lock=EnvironmentLock("", "3.11", "linux-x86_64-glibc", conda="version: 6\n")).conda_tool == tool()
    assert re.fullmatch(r"py-rattler==\d+\.\d+\.\d+", tool())
    assert order().conda_tool == ""


def test_packages_are_resolved_for_the_containers_platform(monkeypatch):
    asked = []

    def run(uv, arguments, log, **_):
        asked.extend(arguments)
        (uv.cwd / "lock.txt").write_text("six==1.17.0\n")
        return 0, ""

    monkeypatch.setattr("jupyter_mltrain.environments.uv.Uv.run", run)
    lock = resolve(EnvironmentDefinition("e", python="3.10", pip=("six",)), print, platform="linux-aarch64-glibc")
    assert (lock.platform, lock.python) == ("linux-aarch64-glibc", "3.10")
    assert asked[asked.index("--python-platform") + 1] == "aarch64-manylinux_2_28"
    assert asked[asked.index("--python-version") + 1] == "3.10"
    with pytest.raises(ResolveError, match="linux-riscv64-glibc"):
        resolve(EnvironmentDefinition("e", pip=("six",)), print, platform="linux-riscv64-glibc")


def test_a_build_elsewhere_fails_in_the_words_of_one_here():
    plain = BuildFailed("made in a container: exit code 1")
    assert there_failed(plain, "", "e") is plain
    assert isinstance(there_failed(plain, "error: No space left on device (os error 28)", "e"), DiskFull)
    refused = "error: Failed to fetch: `https://index.example/six`\n  Caused by: error sending request"
    assert isinstance(there_failed(plain, refused, "e"), Unreachable)
    assert "hash mismatch" in str(there_failed(plain, "error: hash mismatch for six", "e"))
