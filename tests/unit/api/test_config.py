"""ScriptRunConfig in the SDK's ways: objects instead of names, a run_config that is changed between submits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.distributed import MpiConfiguration, TensorflowConfiguration
from jupyter_mltrain.errors import UsageError


class Consumption:
    path_on_compute = None

    def __init__(self, name: str, dataset: str) -> None:
        self.name, self.dataset = name, dataset

    def request(self, _workspace: object) -> dict[str, Any]:
        return {"name": self.name, "dataset": self.dataset, "mode": "mount", "path_on_compute": None, "argument": ""}


class Unregistered:
    name, version = "vision", None

    def register(self, workspace: object) -> SimpleNamespace:
        assert workspace == "ws"
        return SimpleNamespace(name="vision", version=4)


def test_a_run_config_is_the_config() -> None:
    config = ScriptRunConfig(".", "train.py", compute_target="local", environment="tensorflow")
    config.run_config.environment = "tensorflow:2"
    config.run_config.target = SimpleNamespace(name="gpu-cluster")  # type: ignore[assignment]
    request = config.request()
    assert (request["environment"], request["target"]) == ("tensorflow:2", "gpu-cluster")


def test_an_environment_without_a_version_is_registered() -> None:
    request = ScriptRunConfig(script="a.py", environment=Unregistered()).request("ws")  # type: ignore[arg-type]
    assert request["environment"] == "vision:4"
    with pytest.raises(UsageError, match="not registered"):
        ScriptRunConfig(script="a.py", environment=Unregistered()).request()  # type: ignore[arg-type]


def test_a_dataset_among_the_arguments_is_a_placeholder_and_an_input() -> None:
    mnist = Consumption("input__0a1b2c3d", "mnist:3")
    config = ScriptRunConfig(script="a.py", arguments=["--data", mnist, "--again", mnist, "--lr", 0.01])  # type: ignore[list-item]
    request = config.request()
    placeholder = "DatasetConsumptionConfig:input__0a1b2c3d"
    assert request["arguments"] == ["--data", placeholder, "--again", placeholder, "--lr", "0.01"]
    assert [one["dataset"] for one in request["data"]] == ["mnist:3"]


def test_two_datasets_of_one_name_are_told() -> None:
    config = ScriptRunConfig(script="a.py", arguments=[Consumption("x", "a:1"), Consumption("x", "b:1")])  # type: ignore[list-item]
    with pytest.raises(UsageError, match="Two datasets"):
        config.request()


def test_a_raw_dataset_names_the_mend() -> None:
    raw = SimpleNamespace(as_mount=lambda: None)
    with pytest.raises(UsageError, match=r"as_mount"):
        ScriptRunConfig(script="a.py", arguments=[raw]).request()  # type: ignore[list-item]


def test_a_line_is_for_the_shell() -> None:
    assert ScriptRunConfig(command="python a.py && ls").request()["command"] == ["sh", "-c", "python a.py && ls"]


@pytest.mark.parametrize(
    "one",
    [
        MpiConfiguration(),
        MpiConfiguration(node_count="1"),  # type: ignore[arg-type]
        TensorflowConfiguration(worker_count=1, parameter_server_count=0),
    ],
)
def test_one_process_needs_nothing(one: Any) -> None:
    assert ScriptRunConfig(script="a.py", distributed_job_config=one).request().get("distribution") is None


def test_several_processes_are_asked_for_by_their_launcher() -> None:
    horovod = ScriptRunConfig(script="a.py", distributed_job_config=MpiConfiguration(2, 3)).request()["distribution"]
    assert horovod == {
        "launcher": "mpi", "nodes": 3, "processes_per_node": 2, "parameter_servers": 0, "chief": False,
        "evaluator": False, "join_seconds": None, "mpirun": False,
    }  # fmt: skip
    config = TensorflowConfiguration(
        worker_count=2, parameter_server_count=1, chief=True, evaluator=True, join_timeout_seconds=60
    )
    tensorflow = ScriptRunConfig(script="a.py", distributed_job_config=config).request()["distribution"]
    assert tensorflow == {
        "launcher": "tensorflow", "nodes": 3, "processes_per_node": 1, "parameter_servers": 1, "chief": True,
        "evaluator": True, "join_seconds": 60.0, "mpirun": False,
    }  # fmt: skip


def test_more_processes_than_anybody_means_are_refused() -> None:
    with pytest.raises(UsageError, match="at most 256"):
        ScriptRunConfig(script="a.py", distributed_job_config=MpiConfiguration(64, 64)).request()


@pytest.mark.parametrize("wrong", [0, -1, "two", 1.5, True, None])
def test_counts_are_counts(wrong: Any) -> None:
    with pytest.raises(UsageError, match="node_count"):
        MpiConfiguration(node_count=wrong)


@pytest.mark.parametrize("wrong", [0, -1, "soon", True, float("inf")])
def test_patience_is_seconds(wrong: Any) -> None:
    with pytest.raises(UsageError, match="join_timeout_seconds"):
        TensorflowConfiguration(join_timeout_seconds=wrong)
