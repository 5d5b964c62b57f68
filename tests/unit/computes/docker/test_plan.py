"""The request that the engine gets, as data: what a container may use, and what it never gets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from jupyter_mltrain.computes.docker import DockerCompute
from jupyter_mltrain.core.compute import Grant, LaunchInputs, LaunchPlan, Mount, PreparedEnvironment
from jupyter_mltrain.core.spec import DATA_PLACEHOLDER, DataInput, RunSpec

MNIST = DataInput("mnist", argument="--data-folder")


def plan_of(
    grant: Grant | None = None,
    python: str = "/mltrain/environments/envs/k/bin/python",
    shm: str = "",
    arguments: Sequence[str] = (),
    **spec: object,
) -> LaunchPlan:
    values = {"script": "train.py", "data": (MNIST,), "arguments": ("--data", DATA_PLACEHOLDER + "mnist"), **spec}
    run = RunSpec("e_1_aa", "e", "brave-otter-7", "docker", "tensorflow", **values)  # type: ignore[arg-type]
    inputs = LaunchInputs(
        folder=Path("/w/.mltrain/runs/e_1_aa"),
        blobs=Path("/w/.mltrain/blobs"),
        environment=PreparedEnvironment("tensorflow", 3, "k", python, {}, "sha256:1234", shm, arguments),
        mounts=(Mount("mnist", Path("/data/mnist"), MNIST.variable, "d1"),),
        grant=grant or Grant(),
    )
    return DockerCompute(url="unix:///nobody/listens").plan(run, inputs)


def test_snapshot() -> None:
    plan = plan_of(Grant(gpus=(2, 5), cpus=3, memory_gb=4), shm="2g")
    assert plan.container == {
        "Image": "sha256:1234",
        "User": "1000:1000",
        "Entrypoint": [
            "/mltrain/environments/envs/k/bin/python",
            "-I",
            "-S",
            "/mltrain/run/inject/jupyter_mltrain/_shim/__main__.py",
        ],
        "Cmd": ["launch", "/mltrain/run/shim/r0.launch.json", "--wait"],
        "WorkingDir": "/",
        "OpenStdin": False,
        "StdinOnce": False,
        "Labels": {"org.jupyter-mltrain.kind": "run", "org.jupyter-mltrain.run": "e_1_aa"},
        "HostConfig": {
            "Init": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "PidsLimit": 16384,
            "ShmSize": 2 << 30,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
            "Memory": 4_000_000_000,
            "MemorySwap": 4_000_000_000,
            "NanoCpus": 3_000_000_000,
            "DeviceRequests": [
                {"Driver": "", "DeviceIDs": ["2", "5"], "Capabilities": [["gpu", "compute", "utility"]]}
            ],
            "Mounts": [
                mount("mltrain-run-e_1_aa", "/mltrain/run", read_only=False),
                mount("mltrain-environments", "/mltrain/environments"),
                mount("mltrain-data-d1", "/mltrain/data/d1"),
            ],
        },
    }
    (rank,) = plan.ranks
    assert rank.argv == ("/mltrain/environments/envs/k/bin/python", "train.py", "--data", "/mltrain/data/d1/files")
    # GPUs 2 and 5 of the host are all that the container sees, and the first and second there.
    assert rank.env["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert rank.env["HOME"] == "/mltrain/run/home"
    assert plan.root == "/mltrain/run"


def test_nothing_is_limited_or_given_that_was_not_asked_for() -> None:
    host = (plan_of(python="/usr/bin/python3").container or {})["HostConfig"]
    assert not host.keys() & {"Memory", "MemorySwap", "NanoCpus", "DeviceRequests", "Privileged", "Binds", "Devices"}
    assert [one["Target"] for one in host["Mounts"]] == ["/mltrain/run", "/mltrain/data/d1"]
    assert plan_of().ranks[0].env["CUDA_VISIBLE_DEVICES"] == "-1"


def test_what_docker_inspect_would_show_holds_no_variable_and_no_secret() -> None:
    plan = plan_of(environment_variables={"VISIBLE": "no", "TOKEN": "s3cret"}, secrets=("TOKEN",))
    request = json.dumps(plan.container)
    assert "VISIBLE" not in request
    assert "TOKEN" not in request
    assert "docker.sock" not in request
    assert (plan.container or {})["Cmd"][-1] == "--secrets"
    assert (plan.container or {})["OpenStdin"] is True
    assert "s3cret" not in json.dumps(plan.to_json())


def test_a_run_may_have_a_home_of_its_own() -> None:
    assert plan_of(environment_variables={"HOME": "/elsewhere"}).ranks[0].env["HOME"] == "/elsewhere"


def mount(name: str, target: str, *, read_only: bool = True) -> dict[str, object]:
    options = {"NoCopy": True}
    return {"Type": "volume", "Source": name, "Target": target, "ReadOnly": read_only, "VolumeOptions": options}


def test_what_the_environment_asks_for_is_in_the_request_and_never_beyond_the_grant() -> None:
    asked = [
        "--shm-size=3g",
        "--memory=2g",
        "--cpus=8",
        "--pids-limit=99999999",
        "--ulimit=memlock=-1",
        "--hostname=box",
    ]
    plan = plan_of(Grant(cpus=2, memory_gb=4), shm="2g", arguments=[*asked, "--ipc=private", "--network=none"])
    assert plan.container is not None
    host = plan.container["HostConfig"]
    assert (host["ShmSize"], host["Memory"], host["MemorySwap"]) == (3 << 30, 2 << 30, 2 << 30)
    assert (host["NanoCpus"], host["PidsLimit"]) == (2_000_000_000, 16384)
    assert host["Ulimits"] == [{"Name": "memlock", "Soft": -1, "Hard": -1}]
    assert (host["IpcMode"], host["NetworkMode"], plan.container["Hostname"]) == ("private", "none", "box")
    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges"])
