"""Compute targets through the Python API, against a real service: the SDK's words, pools that queue, bad input."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain import AmlCompute, AttachConfiguration, ComputeTarget, ComputeTargetException, Workspace
from jupyter_mltrain.api.compute import LocalTarget
from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.client import starter
from jupyter_mltrain.commands import verbs
from jupyter_mltrain.commands.candidates import candidates
from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.errors import (
    MLTrainError,
    ResourceUnavailable,
    SubstitutionRefused,
    TargetInUse,
    TargetNotFound,
    UsageError,
)
from tests.faults.world import UNTIL_TOLD, World, eventually, steady

SLEEPS = "import time\ntime.sleep(600)\n"


def config(target: object, script: str = "print('done')", **more: Any) -> ScriptRunConfig:
    return ScriptRunConfig(
        script="train.py", files={"train.py": script}, environment="current", compute_target=target, **more
    )


def pool(workspace: Workspace, name: str = "pool", **asked: Any) -> AmlCompute:
    given = AmlCompute.provisioning_configuration(**{"vm_size": "STANDARD_D1_V2", **asked})
    return ComputeTarget.create(workspace, name, given)


def restart(world: World) -> None:
    world.connection.post("/v1/handover")
    starter.wait_until_gone(world.layout)


def test_the_articles_block(experiment: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    ws, cluster_name = experiment.workspace, "gpu-cluster"
    try:
        compute_target = ComputeTarget(workspace=ws, name=cluster_name)
        print("Found existing compute target")
    except ComputeTargetException as error:
        print(error.message)
        compute_config = AmlCompute.provisioning_configuration(vm_size="STANDARD_NC6", max_nodes=4)
        compute_target = ComputeTarget.create(ws, cluster_name, compute_config)
        compute_target.wait_for_completion(show_output=True, min_node_count=None, timeout_in_minutes=20)
    assert capsys.readouterr().out == (
        "ComputeTargetNotFound: Compute Target with name gpu-cluster not found in provided workspace\n"
        "Succeeded\n"
        "AmlCompute wait for completion finished\n\n"
        "Minimum number of nodes requested have been provisioned\n"
    )
    run = experiment.submit(config(compute_target))
    run.wait_for_completion(wait_post_processing=True)
    assert run.get_status() == "Completed"
    assert run.state["target"] == cluster_name
    # A Tesla K80 with 56 GB for each of four nodes: whatever this machine lacks of it is on the run's record.
    assert run.state["substitutions"] == compute_target.substitutions
    assert [one["kind"] for one in run.state["substitutions"]] == ["compute"]
    assert run.state["substitutions"][0]["asked"] == "STANDARD_NC6 (6 CPUs, 56 GB, 1 GPU (Tesla K80))"
    found = ComputeTarget(workspace=ws, name=cluster_name)
    assert type(found) is AmlCompute
    assert (found.type, found.provisioning_state, found.vm_size) == ("AmlCompute", "Succeeded", "STANDARD_NC6")
    assert {name: target.type for name, target in ws.compute_targets.items()} == {
        "local": "local",
        "gpu-cluster": "AmlCompute",
    }
    (node,) = found.list_nodes()
    assert (node["nodeId"], node["nodeState"], node["runId"]) == ("gpu-cluster-1", "idle", None)


def test_status_has_the_sdks_keys(workspace: Workspace) -> None:
    made = pool(workspace, min_nodes="1", max_nodes="2", idle_seconds_before_scaledown="300", vm_priority="LowPriority")
    made.wait_for_completion(min_node_count=1)
    said = made.get_status().serialize()
    times = {name: said.pop(name) for name in list(said) if name.endswith("Time")}
    assert said == {
        "currentNodeCount": 1,
        "targetNodeCount": 1,
        "nodeStateCounts": {
            "preparingNodeCount": 0,
            "runningNodeCount": 0,
            "idleNodeCount": 1,
            "unusableNodeCount": 0,
            "leavingNodeCount": 0,
            "preemptedNodeCount": 0,
        },
        "allocationState": "Steady",
        "errors": None,
        "provisioningState": "Succeeded",
        "scaleSettings": {"minNodeCount": 1, "maxNodeCount": 2, "nodeIdleTimeBeforeScaleDown": "PT300S"},
        "vmPriority": "LowPriority",
        "vmSize": "STANDARD_D1_V2",
    }
    assert set(times) == {
        "allocationStateTransitionTime", "creationTime", "modifiedTime", "provisioningStateTransitionTime",
    }  # fmt: skip
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", moment) for moment in times.values())
    assert not any(one["kind"] == "priority" for one in made.substitutions), "it is given what it asked for"
    made.update(max_nodes=5)
    assert made.scale_settings.maximum_node_count == 5
    assert made.get_status().scale_settings.minimum_node_count == 1
    assert made.serialize()["properties"]["status"]["scaleSettings"]["maxNodeCount"] == 5
    sizes = {size["name"]: size for size in AmlCompute.supported_vmsizes(workspace)}
    assert sizes["STANDARD_NC6"] == {
        "name": "STANDARD_NC6", "vCPUs": 6, "gpus": 1, "memoryGB": 56, "gpuType": "Tesla K80",
    }  # fmt: skip


def test_nodes_that_do_not_come_are_waited_for_as_long_as_was_said(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    made = pool(workspace, max_nodes=2)
    made.wait_for_completion(show_output=True, min_node_count=1, timeout_in_minutes=0.001)
    assert re.fullmatch(
        r"Succeeded\.*\nAmlCompute wait for completion finished\n\nWait timeout has been reached\n"
        r'Current provisioning state of AmlCompute is "Succeeded" and current node count is "0"\n',
        capsys.readouterr().out,
    )
    with pytest.raises(ComputeTargetException, match="3 nodes are waited for; pool has at most 2"):
        made.wait_for_completion(min_node_count=3)


def test_runs_queue_for_a_node_and_say_what_they_wait_for(world: World, experiment: Experiment) -> None:
    made = pool(experiment.workspace, max_nodes=1, idle_seconds_before_scaledown=0)
    first = experiment.submit(config(made, SLEEPS))
    eventually(lambda: first.get_status() == "Running", "it does not run")
    second, third = experiment.submit(config("pool")), experiment.submit(config("pool"))
    eventually(lambda: third.get_status() == "Queued", "it does not get in line")
    assert [(run.refresh(), run.state["queue_position"])[1] for run in (first, second, third)] == [None, 1, 2]
    stage = next(stage for stage in third.state["stages"] if stage["name"] == "Queued")
    assert (stage["state"], stage["note"]) == ("active", "busy with another run")
    assert [node["runId"] for node in made.list_nodes()] == [first.id]
    assert {run.id for run in made.get_active_runs()} == {first.id, second.id, third.id}
    with pytest.raises(TargetInUse, match="pool has 3 live runs: ") as caught:
        made.delete()
    assert first.state["display_name"] in caught.value.message
    first.cancel()
    for run in (first, second, third):
        run.wait_for_completion(wait_post_processing=True, raise_on_error=False)
    assert [run.get_status() for run in (first, second, third)] == ["Canceled", "Completed", "Completed"]
    stage = next(stage for stage in third.state["stages"] if stage["name"] == "Queued")
    assert (stage["state"], stage["note"]) == ("done", "")
    assert made.list_nodes() == [], "an idle node was to go at once"
    made.delete()
    made.wait_for_completion(is_delete_operation=True)
    made.delete()
    assert not (world.layout.computes / "pool.json").exists()
    with pytest.raises(TargetNotFound):
        ComputeTarget(experiment.workspace, "pool")
    with pytest.raises(TargetNotFound):
        third.rerun()


def test_a_run_has_no_more_than_its_node(experiment: Experiment) -> None:
    made = pool(experiment.workspace, "small", max_nodes=2)
    run = experiment.submit(config(made))
    run.wait_for_completion(wait_post_processing=True)
    launched = json.loads((Path(experiment.workspace.root) / f".mltrain/runs/{run.id}/shim/r0.launch.json").read_text())
    assert launched["memory_bytes"] == 3_500_000_000
    assert launched["env"]["CUDA_VISIBLE_DEVICES"] == "-1"
    with pytest.raises(ResourceUnavailable, match="1 GPUs asked for; a node of target 'small' has none"):
        experiment.submit(config(made, gpus=1))
    with pytest.raises(ResourceUnavailable, match=r"4 GB of memory asked for; a node of target 'small' has 3\.5"):
        experiment.submit(config(made, memory_gb=4))


def test_targets_survive_a_restart_and_a_file_that_cannot_be_read(world: World, experiment: Experiment) -> None:
    made = pool(experiment.workspace, max_nodes=3, tags={"team": "a"}, description="for all")
    run = experiment.submit(config(made, SLEEPS))
    eventually(lambda: run.get_status() == "Running", "it does not run")
    (world.layout.computes / "torn.json").write_text('{"name": "torn"', encoding="utf-8")
    (world.layout.computes / "other.json").write_text('{"name": "another", "size": "STANDARD_NC6"}', encoding="utf-8")
    restart(world)
    found = ComputeTarget(experiment.workspace, "pool")
    assert (found.description, found.tags, found.created_on) == ("for all", {"team": "a"}, made.created_on)
    assert [(node["nodeState"], node["runId"]) for node in found.list_nodes()] == [("running", run.id)]
    listing = world.connection.get("/v1/targets")
    assert [target["name"] for target in listing["targets"]] == ["local", "pool"]
    assert len(listing["problems"]) == 2
    problems = [one["problem"] for one in world.connection.get("/v1/doctor", timeout=120)["problems"]]
    assert set(listing["problems"]) <= set(problems)
    run.cancel()
    run.wait_for_completion(wait_post_processing=True, raise_on_error=False)


def test_a_run_whose_target_was_deleted_by_hand_goes_on(world: World, workspace: Workspace) -> None:
    pool(workspace, max_nodes=1)
    run = world.submit(steady(200), target="pool")
    waits = world.submit(steady(1), target="pool")
    world.wait_running(run)
    world.wait(waits, lambda state: state["status"] == "Queued")
    world.kill_service()
    (world.layout.computes / "pool.json").unlink()
    assert world.check(run)["status"] == "Completed"
    state = world.wait(waits)
    assert (state["status"], state["failure"]["title"]) == ("Failed", "There is no compute target 'pool' here.")


def test_strict_refuses_what_would_be_given_instead(world: World, experiment: Experiment) -> None:
    made = pool(experiment.workspace, "huge", vm_size="STANDARD_ND96asr_v4")
    text = world.layout.config.read_text(encoding="utf-8")
    world.layout.config.write_text(text.replace("strict = false", "strict = true"), encoding="utf-8")
    restart(world)
    with pytest.raises(SubstitutionRefused, match=r"STANDARD_ND96ASR_V4 \(96 CPUs, 900 GB, 8 GPUs .* this machine has"):
        pool(experiment.workspace, "again", vm_size="STANDARD_ND96ASR_V4")
    with pytest.raises(SubstitutionRefused):
        experiment.submit(config(made))
    assert set(experiment.workspace.compute_targets) == {"local", "huge"}


def test_a_workspace_can_add_sizes(world: World, workspace: Workspace) -> None:
    world.layout.computes.mkdir()
    own = world.layout.computes / "sizes.toml"
    own.write_text("[tiny]\ncpus = 1\nmemory_gb = 0.5\n", encoding="utf-8")
    made = pool(workspace, vm_size="Tiny", max_nodes=1)
    assert made.substitutions == []
    own.write_text("[tiny]\ncpus = 1\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"sizes\.toml: \[TINY\] is no size"):
        pool(workspace, "other", vm_size="Tiny", max_nodes=1)


def test_the_same_again_and_other_numbers(workspace: Workspace) -> None:
    made = pool(workspace, max_nodes=2)
    assert pool(workspace, max_nodes=2).modified_on == made.modified_on
    again = pool(workspace, max_nodes=3)
    assert (again.scale_settings.maximum_node_count, again.created_on) == (3, made.created_on)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"vm_size": "STANDARD_NC7"}, "There is no size 'STANDARD_NC7'"),
    ({"name": "-x"}, "Compute target name '-x' is not allowed"),
    ({"name": "a" * 25}, "is not allowed"),
    ({"name": "../x"}, "is not allowed"),
    ({"name": "Local"}, "The compute target 'Local' cannot be made"),
    ({"name": "notebook"}, "The compute target 'notebook' cannot be made"),
    ({"min_nodes": 3, "max_nodes": 2}, "min_nodes is 3, max_nodes 2"),
    ({"max_nodes": 0}, "max_nodes is 0"),
    ({"max_nodes": "four"}, "max_nodes is 'four'"),
    ({"max_nodes": 2.5}, "max_nodes is 2.5"),
    ({"max_nodes": True}, "max_nodes is True"),
    ({"idle_seconds_before_scaledown": -1}, "idle_seconds_before_scaledown is -1"),
    ({"idle_seconds_before_scaledown": float("inf")}, "idle_seconds_before_scaledown is inf"),
    ({"vm_priority": "high"}, "vm_priority is 'high'"),
]


def test_what_no_pool_can_be_is_refused_in_one_line(workspace: Workspace) -> None:
    for wrong, said in WRONG:
        with pytest.raises(ComputeTargetException) as caught:
            pool(workspace, **wrong)
        assert said in caught.value.message
        assert "\n" not in caught.value.message
        assert caught.value.mend
    assert list(workspace.compute_targets) == ["local"]


def test_other_things_that_cannot_be(workspace: Workspace) -> None:
    there = pool(workspace)
    refused: list[tuple[Any, type[MLTrainError], str]] = [
        (lambda: pool(workspace, "POOL"), ComputeTargetException, "There is a compute target 'pool' already"),
        (lambda: pool(workspace, vm_size="STANDARD_D2_V2"), ComputeTargetException, r"already \(STANDARD_D1_V2\)"),
        (lambda: there.update(max_nodes="x"), ComputeTargetException, "max_nodes is 'x'"),
        (lambda: there.update(min_nodes=9), ComputeTargetException, "min_nodes is 9, max_nodes 4"),
        (lambda: AmlCompute(workspace, "local"), ComputeTargetException, "is of the type local, not AmlCompute"),
        (lambda: ComputeTarget(workspace, "poll"), TargetNotFound, "name poll not found"),
        (lambda: ComputeTarget(workspace, "notebook"), TargetNotFound, "name notebook not found"),
        (lambda: ComputeTarget(workspace, "local").delete(), ComputeTargetException, "'local' cannot be"),
        (lambda: ComputeTarget.create(workspace, "x", object()), ComputeTargetException, "object is no provisioning"),  # type: ignore[arg-type]
        (lambda: ComputeTarget.attach(workspace, "x", AttachConfiguration("slurm")), UsageError, "no engine 'slurm'"),
        (lambda: ComputeTarget.attach(workspace, "x", AttachConfiguration("local")), ComputeTargetException, "already"),
        (lambda: ComputeTarget.attach(workspace, "x", object()), ComputeTargetException, "no attach configuration"),  # type: ignore[arg-type]
        (
            lambda: Experiment(workspace, "e").submit(config("poll")),
            TargetNotFound,
            "There is no compute target 'poll'",
        ),
    ]
    for attempt, kind, said in refused:
        with pytest.raises(kind, match=said):
            attempt()
    assert isinstance(ComputeTarget(workspace, "local"), LocalTarget)
    assert set(workspace.compute_targets) == {"local", "pool"}


@pytest.mark.slow
def test_twenty_runs_share_three_nodes_in_their_order(world: World, workspace: Workspace) -> None:
    pool(workspace, max_nodes=3)
    runs = [world.submit(UNTIL_TOLD + steady(5), target="pool") for _ in range(20)]
    eventually(lambda: sum(bool(run.starts) for run in runs) == 3, "three nodes do not start three runs")
    world.go_on()
    states = [world.check(run) for run in runs]
    assert [state["status"] for state in states] == ["Completed"] * 20
    placed = [next(c["time"] for c in s["history"] if c["status"] == "Starting") for s in states]
    over = [next(c["time"] for c in s["history"] if c["status"] == "Finalizing") for s in states]
    busy = [sum(a <= moment < b for a, b in zip(placed, over, strict=True)) for moment in placed]
    assert max(busy) == 3
    order = sorted(range(20), key=lambda i: next(c["time"] for c in states[i]["history"] if c["status"] == "Queued"))
    assert sorted(range(20), key=lambda i: placed[i]) == order, "somebody was overtaken"


def test_gpus_go_to_one_run_at_a_time(
    world: World, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "bin" / "nvidia-smi"
    driver.parent.mkdir()
    driver.write_text("#!/bin/sh\necho 'NVIDIA H100'\n", encoding="utf-8")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{driver.parent}:{os.environ['PATH']}")
    made = pool(experiment.workspace, vm_size="STANDARD_NC6", max_nodes=2)

    def told(run: Run) -> str:
        log = world.layout.run(run.id) / "streams" / "r0.log"
        line, ended, _ = log.read_text().partition("\n") if log.exists() else ("", "", "")
        return line if ended else ""

    assert "1 GPU" in made.substitutions[0]["given"]
    script = "import os, time\nprint('GPUs', os.environ['CUDA_VISIBLE_DEVICES'], flush=True)\ntime.sleep(600)\n"
    first, second = experiment.submit(config(made, script)), experiment.submit(config(made, script))
    eventually(lambda: told(first), "it does not run")

    def waits() -> bool:
        second.refresh()
        return any(stage["note"] == "this machine's GPU is in use" for stage in second.state["stages"])

    eventually(waits, "it does not say what it waits for")
    with pytest.raises(ResourceUnavailable, match="2 GPUs asked for; a node of target 'pool' has 1"):
        experiment.submit(config(made, gpus=2))
    without = experiment.submit(config(made, "import os\nprint('GPUs', os.environ['CUDA_VISIBLE_DEVICES'])", gpus=0))
    first.cancel()
    eventually(lambda: told(second), "the GPU was not given on")
    without.wait_for_completion(wait_post_processing=True)
    second.cancel()
    second.wait_for_completion(wait_post_processing=True, raise_on_error=False)
    assert [told(run) for run in (first, second, without)] == ["GPUs 0", "GPUs 0", "GPUs -1"]


def test_the_verb(world: World, workspace: Workspace) -> None:
    context = Context(folder=world.root, say=print)

    def said(line: str) -> str:
        return str(verbs.call(context, "compute", line.split()))

    made = said("create small --size standard_d1_v2 --max-nodes 3 --min-nodes 1 --idle 0")
    assert made.startswith(
        "small  AmlCompute, STANDARD_D1_V2\n  nodes      at most 3, 1 always; an idle one goes after 0.0"
    )
    assert made.endswith("Use it with `-t small`.")
    run = world.submit(steady(10_000), target="small")
    name = world.wait_status(run, "Running")["display_name"]
    shown = said("show small")
    assert re.search(rf"\n  node 1     running {name} for \d", shown), shown
    assert [entry["name"] for entry in verbs.call(context, "compute", [])] == ["local", "small"]
    assert re.search(r"STANDARD_D1_V2  3 nodes +1 running +0  1 CPU, 3\.5 GB, no GPU", said(""))
    assert "at most 5, 1 always; an idle one goes after 1:30" in said("update small --max-nodes 5 --idle 90s")
    assert "STANDARD_NC6 " in said("sizes")
    assert "target small" in repr(verbs.call(context, "doctor", []))
    with pytest.raises(TargetInUse, match=f"small has 1 live run: {name}"):
        said("rm small")
    world.cancel(run)
    world.check(run)
    assert said("rm small") == "small is gone."

    for line, wrong in (
        ("create x", "`compute create` needs the size of a node"),
        ("show", "`compute show` needs the target's name"),
        ("update local --size STANDARD_NC6", "--size belongs to `compute create`"),
        ("update local", "`compute update` needs what to change"),
        ("list --max-nodes 2", "--max-nodes belongs to `compute create`, `compute update`"),
        ("show local --yes", "--yes belongs to `compute prune`"),
        ("show local ssh://me@host", "A URL belongs to `compute attach`: 'ssh://me@host'"),
        ("create x --size STANDARD_NC6 --max-nodes 0", "0 is too few"),
        ("create x --size STANDARD_NC6 --idle soon", "'soon' is not a duration"),
    ):
        with pytest.raises(UsageError, match=wrong):
            said(line)

    def completed(*before: str, word: str = "") -> list[str]:
        return candidates(["compute", *before], word, cell=False, folder=world.root)

    pool(workspace, "pool")
    assert completed("show") == ["local", "pool"]
    assert completed("create", "x", "--size", word="STANDARD_NC6") == [
        n for n in (size["name"] for size in AmlCompute.supported_vmsizes(workspace)) if n.startswith("STANDARD_NC6")
    ]
    assert candidates(["-t"], "po", cell=True, folder=world.root) == ["pool"]
