"""The processes of a run that has several, and what each is told."""

from __future__ import annotations

import json
from pathlib import Path

from jupyter_mltrain.computes.plan import compose, launch_record
from jupyter_mltrain.computes.ranks import ranks
from jupyter_mltrain.core.compute import Grant, LaunchInputs, LaunchPlan, PreparedEnvironment
from jupyter_mltrain.core.spec import MPI, TENSORFLOW, Distribution, Resources, RunSpec


def host(node: int) -> str:
    return f"host{node}"


def plan_of(distribution: Distribution, grant: Grant | None = None, resources: Resources | None = None) -> LaunchPlan:
    spec = RunSpec(
        "e_1_aa", "e", "x", "local", "e", script="a.py", distribution=distribution, resources=resources or Resources()
    )
    inputs = LaunchInputs(Path("/r"), Path("/b"), PreparedEnvironment("e", 1, "k", "/p"), (), grant or Grant())
    return compose(spec, inputs, engine="local", root="/r", python="/p", mounts={})


def test_tf_config_is_the_article_s() -> None:
    shape = ranks(Distribution(TENSORFLOW, nodes=2), host)
    assert [json.loads(one.env["TF_CONFIG"]) for one in shape.each] == [
        {
            "cluster": {"worker": ["host0:<port 0>", "host1:<port 1>"]},
            "task": {"type": "worker", "index": index},
            "environment": "cloud",
        }
        for index in (0, 1)
    ]
    assert shape.lead == (0, 1)


def test_parameter_servers_are_beside_workers_and_do_not_lead() -> None:
    shape = ranks(Distribution(TENSORFLOW, nodes=3, parameter_servers=2, chief=True), host)
    assert [(one.role, one.node) for one in shape.each] == [
        ("chief 0", 0), ("worker 0", 1), ("worker 1", 2), ("ps 0", 0), ("ps 1", 1),
    ]  # fmt: skip
    cluster = json.loads(shape.each[4].env["TF_CONFIG"])["cluster"]
    assert cluster == {
        "chief": ["host0:<port 0>"],
        "worker": ["host1:<port 1>", "host2:<port 2>"],
        "ps": ["host0:<port 3>", "host1:<port 4>"],
    }
    assert shape.lead == (0,)
    assert ranks(Distribution(TENSORFLOW, nodes=2, parameter_servers=1)).lead == (0, 1)
    assert ranks(Distribution(TENSORFLOW, nodes=2, chief=True)).lead == (0, 1), "without servers all come to an end"


def test_an_evaluator_knows_of_the_others_and_is_none_of_them() -> None:
    asked = Distribution(TENSORFLOW, nodes=2, chief=True, evaluator=True)
    plan = plan_of(asked, Grant(gpus=(0, 1)))
    evaluator = plan.ranks[2]
    config = json.loads(evaluator.env["TF_CONFIG"])
    assert config == {
        "cluster": {"chief": ["127.0.0.1:<port 0>"], "worker": ["127.0.0.1:<port 1>"]},
        "task": {"type": "evaluator", "index": 0},
        "environment": "cloud",
    }
    assert (evaluator.role, evaluator.node, evaluator.env["CUDA_VISIBLE_DEVICES"]) == ("evaluator 0", 0, "-1")
    assert (plan.lead, plan.ports, asked.processes) == ((0, 1), 2, 3)
    launch = launch_record(plan, 2, {}, None, [21000, 21001])
    assert launch["lingers"] == 60
    assert "listens" not in launch
    assert [one["rank"] for one in launch_record(plan, 0, {}, None, [21000, 21001])["joining"]["ranks"]] == [0, 1]


def test_who_waits_for_whom_and_how_long() -> None:
    plan = plan_of(Distribution(TENSORFLOW, 2, parameter_servers=1, join_seconds=7))
    first, second = (launch_record(plan, rank, {}, None, [21000, 21001, 21002]) for rank in (0, 1))
    assert first["joining"]["seconds"] == 7
    assert [(one["role"], one["node"], one["address"]) for one in first["joining"]["ranks"]] == [
        ("worker 0", 0, "127.0.0.1:21000"), ("worker 1", 1, "127.0.0.1:21001"), ("ps 0", 0, "127.0.0.1:21002"),
    ]  # fmt: skip
    assert (second["listens"], second["others"], "joining" in second) == (21001, [21000, 21001, 21002], False)
    horovod = plan_of(Distribution(MPI, 2, 1))
    assert [rank.env["HOROVOD_GLOO_TIMEOUT_SECONDS"] for rank in horovod.ranks] == ["360", "360"], "later than we"
    launch = launch_record(horovod, 0, {}, None, [21000])
    assert (launch["listens"], launch["joining"]["seconds"], len(launch["joining"]["ranks"])) == (21000, 300, 2)


def test_horovod_s_numbers() -> None:
    for nodes, local in ((1, 2), (2, 1), (2, 2)):
        shape = ranks(Distribution(MPI, nodes, local), host)
        names = ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE", "CROSS_RANK", "CROSS_SIZE")
        assert [tuple(int(one.env[f"HOROVOD_{name}"]) for name in names) for one in shape.each] == [
            (rank, nodes * local, rank % local, local, rank // local, nodes) for rank in range(nodes * local)
        ]
        assert {one.env["HOROVOD_GLOO_RENDEZVOUS_ADDR"] for one in shape.each} == {"host0"}
        assert shape.rendezvous == (local,) * nodes


def test_mpirun_has_no_rendezvous() -> None:
    plan = plan_of(Distribution(MPI, 1, 2, mpirun=True))
    assert [(rank.node, rank.env["HOROVOD_CONTROLLER"]) for rank in plan.ranks] == [(0, "mpi")] * 2
    first, second = (launch_record(plan, rank, {}, None) for rank in (0, 1))
    assert (first["mpirun"], second["mpirun"], plan.ports) == (2, 2, 0)
    assert ("rendezvous" in first, first["joining"]["ranks"]) == (False, [])


def test_a_node_has_its_share() -> None:
    plan = plan_of(Distribution(TENSORFLOW, 2, parameter_servers=1), Grant(gpus=(0, 1, 2, 3), memory_gb=6))
    assert [rank.env["CUDA_VISIBLE_DEVICES"] for rank in plan.ranks] == ["0,1", "2,3", "-1"]
    assert [launch_record(plan, n, {}, None, [1, 2, 3])["memory_bytes"] for n in range(3)] == [2_000_000_000] * 3
    asked = plan_of(Distribution(MPI, 2, 2), resources=Resources(memory_gb=2))
    assert asked.memory_bytes == 4_000_000_000, "what is asked for is for a node"


def test_ports_are_put_in_at_launch_and_nowhere_else() -> None:
    plan = plan_of(Distribution(TENSORFLOW, 2))
    launch = launch_record(plan, 1, {}, None, [21000, 21001])
    assert json.loads(launch["env"]["TF_CONFIG"])["cluster"] == {"worker": ["127.0.0.1:21000", "127.0.0.1:21001"]}
    assert (launch["ranks"], launch["lead"], launch["env"]["MLTRAIN_RANK"]) == (2, [0, 1], "1")
    assert "rendezvous" not in launch
    horovod = launch_record(plan_of(Distribution(MPI, 2, 1)), 0, {}, None, [21000])
    assert horovod["env"]["HOROVOD_GLOO_RENDEZVOUS_PORT"] == "21000"
    assert horovod["rendezvous"] == {"port": 21000, "nodes": [1, 1]}
