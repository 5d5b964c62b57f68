"""Plans as data: what a spec becomes, and whose variables win."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jupyter_mltrain.computes.plan import compose
from jupyter_mltrain.core.compute import Grant, LaunchInputs, LaunchPlan, Mount, PreparedEnvironment
from jupyter_mltrain.core.spec import DATA_PLACEHOLDER, DataInput, Resources, RunSpec
from jupyter_mltrain.errors import DatasetNotFound

MNIST = DataInput("mnist", argument="--data-folder")


def plan_of(grant: Grant | None = None, variables: dict[str, str] | None = None, **spec: object) -> LaunchPlan:
    values = {"script": "train.py", "data": (MNIST,), **spec}
    run = RunSpec("e_1_aa", "e", "brave-otter-7", "local", "tensorflow", **values)  # type: ignore[arg-type]
    inputs = LaunchInputs(
        folder=Path("/w/.mltrain/runs/e_1_aa"),
        blobs=Path("/w/.mltrain/blobs"),
        environment=PreparedEnvironment("tensorflow", 3, "k", "/envs/k/bin/python", variables or {}),
        mounts=(Mount("mnist", Path("/data/mnist"), MNIST.variable, "d1"),),
        grant=grant or Grant(),
    )
    return compose(
        run,
        inputs,
        engine="local",
        root=str(inputs.folder),
        python="/envs/k/bin/python",
        mounts={"mnist": "/data/mnist"},
    )


def test_snapshot() -> None:
    plan = plan_of(
        arguments=("--data-folder", DATA_PLACEHOLDER + "mnist", "--lr", "0.1"),
        environment_variables={"A": "1"},
        secrets=("TOKEN",),
        resources=Resources(max_run_seconds=60),
        grant=Grant(gpus=(0,), cpus=2, memory_gb=1.5),
    )
    assert json.loads(json.dumps(plan.to_json())) == {
        "run_id": "e_1_aa",
        "engine": "local",
        "root": "/w/.mltrain/runs/e_1_aa",
        "ranks": [
            {
                "rank": 0,
                "argv": ["/envs/k/bin/python", "train.py", "--data-folder", "/data/mnist", "--lr", "0.1"],
                "env": {
                    "A": "1",
                    "AZUREML_RUN_ID": "e_1_aa",
                    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
                    "CUDA_VISIBLE_DEVICES": "0",
                    "MLFLOW_DISABLE_TELEMETRY": "1",
                    "MLFLOW_RUN_ID": "e_1_aa",
                    "MLFLOW_TRACKING_URI": "mltrain://run",
                    "MLTRAIN_DATA_MNIST": "/data/mnist",
                    "MLTRAIN_DISPLAY_NAME": "brave-otter-7",
                    "MLTRAIN_EXPERIMENT": "e",
                    "MLTRAIN_INPUTS": '{"mnist": "/data/mnist"}',
                    "MLTRAIN_PYTHON": "/envs/k/bin/python",
                    "MLTRAIN_RANK": "0",
                    "MLTRAIN_RUN_ID": "e_1_aa",
                    "MLTRAIN_STREAMS": "/w/.mltrain/runs/e_1_aa/streams",
                    "MPLBACKEND": "module://jupyter_mltrain._figures",
                    "PYTHONPATH": "/w/.mltrain/runs/e_1_aa/inject",
                    "PYTHONUNBUFFERED": "1",
                },
                "role": "",
                "node": 0,
                "address": "",
                "lingers": 0.0,
            }
        ],
        "lead": [],
        "ports": 0,
        "rendezvous": None,
        "join_seconds": 300.0,
        "mpirun": False,
        "addresses": [],
        "here": [],
        "more_containers": [],
        "hosts": [],
        "record": "/w/.mltrain/runs/e_1_aa",
        "blobs": "/w/.mltrain/blobs",
        "mounts": [
            {"name": "mnist", "path": "/data/mnist", "variable": "MLTRAIN_DATA_MNIST", "key": "d1", "place": ""}
        ],
        "max_run_seconds": 60,
        "memory_bytes": 1_500_000_000,
        "cpus": 2,
        "container": None,
        "host": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("argument", "becomes"),
    [
        (DATA_PLACEHOLDER + "mnist", "/data/mnist"),
        (f"--data={DATA_PLACEHOLDER}mnist", "--data=/data/mnist"),
        (f"text about {DATA_PLACEHOLDER}mnist", f"text about {DATA_PLACEHOLDER}mnist"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_placeholders(argument: str, becomes: str) -> None:
    assert plan_of(arguments=(argument,)).ranks[0].argv[-1] == becomes


def test_a_placeholder_names_what_is_near() -> None:
    with pytest.raises(DatasetNotFound, match="mnist"):
        plan_of(arguments=(DATA_PLACEHOLDER + "mnits",))


def test_a_command_runs_as_it_is() -> None:
    assert plan_of(script=None, command=("mpirun", "-n", "2"), arguments=("x",)).ranks[0].argv == (
        "mpirun",
        "-n",
        "2",
        "x",
    )


def test_the_runs_variables_beat_the_environments_and_nobody_beats_ours() -> None:
    env = plan_of(
        variables={"A": "environment", "B": "environment", "PYTHONPATH": "/old"},
        environment_variables={"B": "run", "MLTRAIN_RUN_ID": "forged", "CUDA_VISIBLE_DEVICES": "0,1,2"},
    ).ranks[0].env  # fmt: skip
    assert (env["A"], env["B"]) == ("environment", "run")
    assert env["PYTHONPATH"] == "/w/.mltrain/runs/e_1_aa/inject:/old"
    assert env["MLTRAIN_RUN_ID"] == "e_1_aa"
    assert env["CUDA_VISIBLE_DEVICES"] == "-1"


def test_a_tracking_server_of_the_users_own_is_left_to_them() -> None:
    env = plan_of(environment_variables={"MLFLOW_TRACKING_URI": "http://team"}).ranks[0].env
    assert env["MLFLOW_TRACKING_URI"] == "http://team"
    assert "MLFLOW_RUN_ID" not in env


def test_a_secret_is_never_in_a_plan() -> None:
    plan = plan_of(secrets=("TOKEN", "A"), environment_variables={"A": "value"}, variables={"TOKEN": "value"})
    assert "value" not in str(plan.to_json())
