"""Environments and their packages as users hold them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mltrain import DEFAULT_CPU_IMAGE, CondaDependencies, Environment, Workspace
from jupyter_mltrain.core.environment import EnvironmentDefinition, Packages
from jupyter_mltrain.core.spec import Substitution
from jupyter_mltrain.errors import AlreadyThere, BuildFailed, InvalidName, PathNotFound, UsageError, UserErrorException
from tests.unit.api.fake_service import FakeConnection

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
NAME = "AzureML-TensorFlow-2.2-GPU"
LEGACY = EnvironmentDefinition(
    NAME,
    version=1,
    python=">=3.8,<3.12",
    pip=("tensorflow-cpu==2.12.1", "numpy==1.23.5"),
    pip_gpu=("tensorflow==2.12.1", "numpy==1.23.5"),
    imports=("tensorflow",),
    environment_variables={"TF_CPP_MIN_LOG_LEVEL": "1"},
    curated=True,
    substitutions=(Substitution("environment", NAME, "tensorflow-2.12", "of its time"),),
)


@pytest.fixture
def legacy(workspace: Workspace, service: FakeConnection) -> Environment:
    service.answers[f"GET /v1/environments/{NAME}"] = {**LEGACY.to_json(), "state": "", "key": "", "packages": []}
    return Environment.get(workspace=workspace, name=NAME)


def registered(service: FakeConnection) -> None:
    service.answers["POST /v1/environments"] = lambda body: {**body, "version": 4}


def test_a_new_one_has_this_python_and_no_packages() -> None:
    env = Environment("mine")
    assert (env.name, env.version, env.environment_variables) == ("mine", None, {})
    assert env.python.conda_dependencies.conda_packages == [f"python={PYTHON}"]
    assert env.python.conda_dependencies.pip_packages == []
    assert (env.docker.enabled, env.docker.base_image) == (False, DEFAULT_CPU_IMAGE)
    with pytest.raises(InvalidName):
        Environment("a/b")


def test_get_by_version_and_label(workspace: Workspace, service: FakeConnection, legacy: Environment) -> None:
    assert legacy.version == 1
    assert legacy.definition == LEGACY
    assert [one.given for one in legacy.substitutions] == ["tensorflow-2.12"]
    service.answers["GET /v1/environments/mine%3A3"] = EnvironmentDefinition("mine", version=3).to_json()
    assert Environment.get(workspace, "mine", version="3").version == 3
    assert Environment.get(workspace, NAME, label="Latest").version == 1
    with pytest.raises(UsageError, match="no label"):
        Environment.get(workspace, NAME, label="stable")


def test_a_change_is_another_version_still_to_come(legacy: Environment) -> None:
    legacy.python.conda_dependencies.add_pip_package("pandas")
    legacy.environment_variables["A"] = 1
    assert legacy.version is None
    now = legacy.definition
    assert now.pip == ("tensorflow-cpu==2.12.1", "numpy==1.23.5", "pandas")
    assert now.pip_gpu == ("tensorflow==2.12.1", "numpy==1.23.5", "pandas"), "for GPUs too"
    assert now.environment_variables == {"TF_CPP_MIN_LOG_LEVEL": "1", "A": "1"}
    assert [one.kind for one in now.substitutions] == ["environment"]
    legacy.python.conda_dependencies.remove_pip_package("PANDAS")
    legacy.python.conda_dependencies.remove_pip_package("numpy")
    assert legacy.definition.pip_gpu == ("tensorflow==2.12.1",)


def test_what_is_changed_back_is_the_version_that_it_was(legacy: Environment) -> None:
    legacy.docker.enabled = True
    assert legacy.version is None
    legacy.docker.enabled = False
    assert legacy.version == 1


def test_a_clone_is_unregistered_and_of_its_own(legacy: Environment) -> None:
    clone = legacy.clone(new_name="tensorflow-2.2-gpu")
    assert (clone.name, clone.version, clone.definition.curated) == ("tensorflow-2.2-gpu", None, False)
    clone.python.conda_dependencies.add_pip_package("pandas")
    clone.environment_variables["A"] = "b"
    assert legacy.definition == LEGACY
    with pytest.raises(InvalidName):
        legacy.clone("no/name")


def test_registering_sends_what_is_asked_and_takes_what_is_given(workspace: Workspace, service: FakeConnection) -> None:
    given_instead = Packages(python="3.11", pip=("b",))
    because = Substitution("package", "a", "b", "gone")
    service.answers["POST /v1/environments"] = lambda body: {
        **body,
        "version": 4,
        "given": {"python": given_instead.python, "pip": ["b"]},
        "substitutions": [{"kind": "package", "asked": "a", "given": "b", "reason": "gone"}],
    }
    env = Environment("mine")
    env.python.conda_dependencies.add_pip_package("a")
    assert env.register(workspace) is env
    assert (env.version, env.substitutions, env.definition.given) == (4, (because,), given_instead)
    assert env.python.conda_dependencies.pip_packages == ["a"], "what was asked for"
    sent = service.asked[-1][2]
    assert (sent["name"], sent["python"], sent["pip"]) == ("mine", PYTHON, ("a",))
    assert not {"version", "curated", "given", "format"} & set(sent)
    json.dumps(sent)
    env.python.conda_dependencies.add_pip_package("c")
    assert (env.version, env.substitutions, env.definition.given) == (None, (), None), "found out anew"


def test_saved_and_loaded_again(legacy: Environment, service: FakeConnection, tmp_path: Path) -> None:
    folder = tmp_path / NAME
    beside = {"lock.txt": "numpy==1.23.5\n", "modules/a.py": "pass\n"}
    service.answers[f"GET /v1/environments/{NAME}%3A1/dockerfile"] = {"dockerfile": "FROM a\n", "files": beside}
    legacy.save_to_directory(path=folder)
    names = ["Dockerfile", "azureml_environment.json", "conda_dependencies.yml", "lock.txt", "modules"]
    assert sorted(file.name for file in folder.iterdir()) == names
    assert (folder / "Dockerfile").read_text() == "FROM a\n"
    assert (folder / "modules" / "a.py").read_text() == "pass\n"
    again = Environment.load_from_directory(folder)
    assert again.version is None
    assert again.definition.content_key == LEGACY.content_key
    assert Environment.from_conda_specification("mine", folder / "conda_dependencies.yml").definition.pip == LEGACY.pip
    with pytest.raises(AlreadyThere, match="exists already"):
        legacy.save_to_directory(folder)
    with pytest.raises(FileExistsError):
        legacy.save_to_directory(folder)
    legacy.save_to_directory(folder, overwrite=True)
    with pytest.raises(PathNotFound):
        Environment.load_from_directory(tmp_path)


def test_a_dockerfile_of_what_is_in_no_workspace_yet_has_the_packages_by_name(tmp_path: Path) -> None:
    env = Environment("mine")
    env.python.conda_dependencies.add_pip_package("six")
    env.docker.base_image = "mine:1"
    env.environment_variables["A"] = "b"
    env.save_to_directory(tmp_path / "saved")
    lines = (tmp_path / "saved" / "Dockerfile").read_text().splitlines()
    assert lines[1] == "FROM mine:1"
    assert "RUN uv pip install --no-cache --python /opt/environment/bin/python six" in lines
    # A variable that is changed leaves the layer of packages as it is.
    assert lines[-1] == 'ENV A="b"'


def test_constraints_are_saved_beside(tmp_path: Path) -> None:
    (tmp_path / "limits.txt").write_text("numpy<2\n")
    (tmp_path / "requirements.txt").write_text("-c limits.txt\npandas\n")
    env = Environment.from_pip_requirements("mine", tmp_path / "requirements.txt", python="3.11")
    env.save_to_directory(tmp_path / "saved")
    again = Environment.load_from_directory(tmp_path / "saved")
    assert again.definition.content_key == env.definition.content_key
    assert again.definition.constraints == ("numpy<2",)


def test_what_the_sdk_saved_is_loaded(tmp_path: Path) -> None:
    document = {
        "name": "theirs",
        "version": "7",
        "assetId": None,
        "environmentVariables": {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"},
        "python": {"userManagedDependencies": False, "interpreterPath": "python", "condaDependenciesFile": None},
        "docker": {"enabled": True, "baseImage": "mcr.microsoft.com/azureml/base:1", "shmSize": "2g", "arguments": []},
        "spark": {"repositories": []},
        "inferencingStackVersion": "latest",
    }
    (tmp_path / "azureml_environment.json").write_text(json.dumps(document))
    (tmp_path / "conda_dependencies.yml").write_text("dependencies:\n- python=3.8.13\n- pip:\n  - azureml-defaults\n")
    env = Environment.load_from_directory(tmp_path)
    assert (env.name, env.version, env.inferencing_stack_version) == ("theirs", None, "latest")
    assert env.environment_variables == {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"}
    assert (env.docker.enabled, env.docker.shm_size) == (True, "2g")
    assert env.python.conda_dependencies.get_python_version() == "3.8.13"
    assert env.python.conda_dependencies.pip_packages == ["azureml-defaults"]
    for wrong in ("[]", '{"python": 3, "name": "a"}', "{"):
        (tmp_path / "azureml_environment.json").write_text(wrong)
        with pytest.raises(UserErrorException):
            Environment.load_from_directory(tmp_path)


def test_user_managed(tmp_path: Path) -> None:
    env = Environment("own")
    env.python.user_managed_dependencies = True
    env.python.interpreter_path = sys.executable
    assert env.definition.interpreter == sys.executable
    assert Environment.from_existing_interpreter("own", sys.executable).python.user_managed_dependencies
    env.python.interpreter_path = "no-such-python"
    with pytest.raises(UsageError, match="no-such-python"):
        _ = env.definition


def test_images_and_dockerfiles(tmp_path: Path) -> None:
    env = Environment.from_docker_image("mine", "ours/image:1")
    assert (env.docker.enabled, env.definition.docker.base_image) == (True, "ours/image:1")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nRUN a\n")
    for dockerfile in (tmp_path / "Dockerfile", "FROM scratch\nRUN a\n"):
        env = Environment.from_dockerfile("mine", dockerfile)
        assert env.definition.docker.base_dockerfile == "FROM scratch\nRUN a\n"
        assert env.docker.base_image is None
    env.docker.base_image = "ours/image:1"
    assert env.docker.base_dockerfile is None
    with pytest.raises(PathNotFound, match="no Dockerfile"):
        Environment.from_dockerfile("mine", tmp_path / "none")
    (tmp_path / "conda.yml").write_text("dependencies:\n- pip:\n  - six\n")
    env = Environment.from_docker_image("mine", "ours/image:1", conda_specification=tmp_path / "conda.yml")
    assert env.definition.pip == ("six",)
    with pytest.raises(UsageError, match="Both"):
        Environment.from_docker_image("m", "i", conda_specification="a", pip_requirements="b")
    with pytest.raises(UsageError, match="credentials"):
        Environment.from_docker_image("m", "i", container_registry=object())


def test_a_build_is_followed_to_its_end(workspace: Workspace, service: FakeConnection, capsys) -> None:
    registered(service)
    path = "/v1/environments/mine%3A4"
    service.answers[f"POST {path}/build"] = {"state": "building"}
    service.answers[f"GET {path}/build"] = {"state": "ready", "cached": False}
    service.bodies[f"{path}/log"] = b"Resolving\nReady\n"
    build = Environment("mine").build(workspace)
    assert build.wait_for_completion(show_output=True)["state"] == "ready"
    assert capsys.readouterr().out == "Resolving\nReady\n"
    assert build.status == "Succeeded"
    failed = {"code": "environment.build", "message": "No.", "mend": "", "details": {}}
    service.answers[f"GET {path}/build"] = {"state": "failed", "error": failed}
    with pytest.raises(BuildFailed, match=r"No\."):
        build.wait_for_completion(show_output=False)
    assert build.wait_for_completion(show_output=False, raise_on_error=False)["state"] == "failed"
    assert capsys.readouterr().out == ""


# --- CondaDependencies -----------------------------------------------------------------------------------------------------


def test_packages_are_listed_replaced_and_removed() -> None:
    made = CondaDependencies.create(
        pip_packages=["azureml-defaults", "scikit_learn==0.22.1"],
        conda_packages=["numpy=1.18", "pip=20"],
        python_version="3.6.2",
    )
    assert made.get_python_version() == "3.6.2"
    assert made.conda_packages == ["python=3.6.2", "numpy=1.18"]
    made.add_pip_package("scikit-learn==1.5")
    assert made.pip_packages == ["azureml-defaults", "scikit-learn==1.5"]
    made.add_conda_package("numpy>=1.26")
    made.add_conda_package("python=3.11")
    assert made.conda_packages == ["python=3.11", "numpy>=1.26"]
    made.remove_conda_package("numpy")
    made.remove_pip_package("azureml_defaults")
    assert (made.conda_packages, made.pip_packages) == (["python=3.11"], ["scikit-learn==1.5"])
    made.add_channel("conda-forge")
    made.add_channel("conda-forge")
    assert made.conda_channels == ["conda-forge"]
    made.remove_channel("conda-forge")
    assert made.conda_channels == []
    made.add_tensorflow_conda_package()
    made.add_tensorflow_conda_package(core_type="gpu", version="2.2")
    made.add_tensorflow_pip_package("gpu", "2.2.0")
    assert made.conda_packages == ["python=3.11", "tensorflow", "tensorflow-gpu=2.2"]
    assert made.pip_packages[-1] == "tensorflow-gpu==2.2.0"


def test_an_index_comes_before_the_packages() -> None:
    made = CondaDependencies.create(pip_indexurl="https://a.example/simple", pip_packages=["six"])
    assert made.pip_options == ["--index-url https://a.example/simple"]
    assert made.specification.pip == ("--index-url https://a.example/simple", "six")


def test_written_and_read(tmp_path: Path) -> None:
    made = CondaDependencies.create(pip_packages=["six==1.16.0"], conda_packages=["numpy"], python_version="3.11")
    assert made.save_to_file(tmp_path, "env/own.yml") == "env/own.yml"
    assert CondaDependencies(tmp_path / "env" / "own.yml") == made
    assert CondaDependencies(tmp_path / "env" / "own.yml").serialize_to_string() == made.serialize_to_string()
    made.save_to_file(tmp_path)
    assert (tmp_path / "conda_dependencies.yml").exists()
    env = Environment("mine")
    env.python.conda_dependencies_file = tmp_path / "conda_dependencies.yml"
    assert env.python.conda_dependencies == made
    env.python.conda_dependencies = None
    assert env.python.conda_dependencies == CondaDependencies()


def test_mistakes_are_one_line() -> None:
    made = CondaDependencies()
    for wrong in (
        lambda: made.add_pip_package("six >> 1"),
        lambda: made.add_pip_package("-r more.txt"),
        lambda: made.add_conda_package("???"),
        lambda: made.add_conda_package("python=new"),
        lambda: made.set_python_version("new"),
        lambda: made.add_tensorflow_conda_package("tpu"),
    ):
        with pytest.raises(UsageError) as caught:
            wrong()
        assert "\n" not in caught.value.message
    assert made == CondaDependencies()


names = st.from_regex(r"[a-z][a-z0-9]{1,6}", fullmatch=True).filter(lambda name: name not in ("python", "pip"))


@given(st.lists(names, max_size=6), st.lists(names, max_size=6))
def test_any_packages_come_back_from_the_file(pip: list[str], conda: list[str]) -> None:
    made = CondaDependencies.create(pip_packages=pip, conda_packages=conda)
    assert sorted(made.pip_packages) == sorted(set(pip))
    env = Environment("mine")
    env.python.conda_dependencies = made
    assert env.definition.pip == tuple(made.pip_packages)
    assert env.definition.conda == tuple(made.conda_packages[1:])
