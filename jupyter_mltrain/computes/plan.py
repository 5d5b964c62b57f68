"""From a spec to the processes that would run: argument list and environment, the same rules for every engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from posixpath import join
from typing import Any

from jupyter_mltrain.computes.ranks import LOOPBACK, Rank, ranks
from jupyter_mltrain.core.compute import Grant, LaunchInputs, LaunchPlan
from jupyter_mltrain.core.ranks import JOIN_SECONDS, RankPlan, port_of
from jupyter_mltrain.core.spec import DATA_PLACEHOLDER, RunSpec
from jupyter_mltrain.errors import DatasetNotFound

GRACE = 10.0
"""Seconds between TERM and KILL where nobody says otherwise (time limit)."""

_WITH_PORTS = frozenset(["TF_CONFIG", "HOROVOD_GLOO_RENDEZVOUS_PORT"])


def compose(
    spec: RunSpec,
    inputs: LaunchInputs,
    *,
    engine: str,
    root: str,
    python: str,
    mounts: Mapping[str, str],
    variables: Mapping[str, str] | None = None,
    host: Callable[[int], str] = lambda _: LOOPBACK,
) -> LaunchPlan:
    """The plan of a run. `host`: the address of a node; they are all this machine where nobody says otherwise.

    `root` is the run folder, `python` the environment's interpreter and `mounts` the folder of each dataset, all as the
    run will see them. `variables`: the engine's own, which environment and run may replace. Raises `DatasetNotFound` for a placeholder of a dataset that the run does not read.
    """
    command = [python, spec.script] if spec.script is not None else [*(spec.command or ())]
    argv = [_fill(part, mounts) for part in (*command, *spec.arguments)]
    shape = ranks(spec.distribution, host)
    nodes = 1 + max(one.node for one in shape.each)
    asked = inputs.grant.memory_gb
    if asked is None and spec.resources.memory_gb is not None:
        asked = spec.resources.memory_gb * nodes
    environment = _environment(spec, inputs, root, python, mounts, variables or {})
    return LaunchPlan(
        run_id=spec.run_id,
        engine=engine,
        root=root,
        ranks=tuple(
            RankPlan(
                one.rank,
                tuple(argv),
                _environment_of(one, environment, inputs.grant, nodes),
                one.role,
                one.node,
                one.address,
                one.lingers,
            )
            for one in shape.each
        ),
        record=str(inputs.folder),
        blobs=str(inputs.blobs),
        mounts=inputs.mounts,
        max_run_seconds=spec.resources.max_run_seconds,
        memory_bytes=round(asked * 1e9) if asked is not None else None,
        cpus=inputs.grant.cpus,
        lead=shape.lead,
        ports=shape.ports,
        rendezvous=shape.rendezvous,
        mpirun=shape.mpirun,
        join_seconds=(spec.distribution and spec.distribution.join_seconds) or JOIN_SECONDS,
    )


def launch_record(
    plan: LaunchPlan, rank: int, secrets: Mapping[str, str], cpus: list[int] | None, ports: Sequence[int] = ()
) -> dict[str, Any]:
    """`launch.json` of a rank; holds the names of the secrets, never their values. `ports`: those that were chosen for the
    run, `plan.ports` of them."""
    process = next(one for one in plan.ranks if one.rank == rank)
    streams = f"{plan.root}/streams"
    # A node's memory is shared out among the processes that are on it.
    limit = plan.memory_bytes // len(plan.ranks) if plan.memory_bytes is not None else None
    return {
        "format": 1,
        "run_id": plan.run_id,
        "rank": rank,
        "argv": list(process.argv),
        "cwd": f"{plan.root}/work",
        "env": {name: _with_ports(name, value, ports) for name, value in process.env.items()},
        "secrets": sorted(secrets),
        "log": f"{streams}/r{rank}.log",
        "streams": streams,
        "max_run_seconds": plan.max_run_seconds,
        "memory_bytes": limit,
        "cpus": cpus,
        "grace": GRACE,
        **(_among_others(plan, process, ports) if len(plan.ranks) > 1 else {}),
    }


def _among_others(plan: LaunchPlan, process: RankPlan, ports: Sequence[int]) -> dict[str, Any]:
    """What the shim of one rank of several is told beside. `listens`: the port that is to be free for it; `joining`: of the
    first rank alone, whose shim says who is missing."""
    found: dict[str, Any] = {"ranks": len(plan.ranks), "lead": list(plan.lead)}
    if process.address:
        found["listens"] = int(_placed(process.address, ports).rpartition(":")[2])
        found["others"] = [int(_placed(one.address, ports).rpartition(":")[2]) for one in plan.ranks if one.address]
    if plan.mpirun:
        found["mpirun"] = len(plan.ranks)
    if process.lingers:
        found["lingers"] = process.lingers
    if process.rank:
        return found
    if plan.rendezvous:
        found |= {"listens": ports[0], "rendezvous": {"port": ports[0], "nodes": list(plan.rendezvous)}}
    awaited = plan.ranks if plan.rendezvous else [one for one in plan.ranks if one.address]
    found["joining"] = {
        "seconds": plan.join_seconds,
        "ranks": [
            {"rank": one.rank, "role": one.role, "node": one.node, "address": _placed(one.address, ports)}
            for one in awaited
        ],
    }
    return found


def _with_ports(name: str, value: str, ports: Sequence[int]) -> str:
    return _placed(value, ports) if name in _WITH_PORTS else value


def _placed(text: str, ports: Sequence[int]) -> str:
    for number, port in enumerate(ports):
        text = text.replace(port_of(number), str(port))
    return text


def _environment_of(one: Rank, common: Mapping[str, str], grant: Grant, nodes: int) -> dict[str, str]:
    """What all processes have, with what is this one's own. A node has its share of the GPUs."""
    share = len(grant.gpus) // nodes
    gpus = () if one.serves else grant.gpus[share * one.node : share * (one.node + 1)]
    own = {"MLTRAIN_RANK": str(one.rank), "CUDA_VISIBLE_DEVICES": _visible(gpus), **one.env}
    return dict(sorted({**one.usual, **common, **own}.items()))


def _environment(
    spec: RunSpec,
    inputs: LaunchInputs,
    root: str,
    python: str,
    mounts: Mapping[str, str],
    variables: Mapping[str, str],
) -> dict[str, str]:
    chosen = {**inputs.environment.variables, **spec.environment_variables}
    env = {
        **variables,
        "PYTHONUNBUFFERED": "1",
        "MLFLOW_DISABLE_TELEMETRY": "1",
        "MPLBACKEND": "module://jupyter_mltrain._figures",
    }
    if "MLFLOW_TRACKING_URI" not in chosen:
        # A script that names a server of its own talks to that one, and knows no run of ours there.
        env |= {"MLFLOW_TRACKING_URI": "mltrain://run", "MLFLOW_RUN_ID": spec.run_id}
    env |= chosen
    inject = join(root, "inject")
    env |= {
        "AZUREML_RUN_ID": spec.run_id,
        # So that CUDA counts devices as the driver does, whose numbers a grant has.
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "MLTRAIN_DISPLAY_NAME": spec.display_name,
        "MLTRAIN_EXPERIMENT": spec.experiment,
        "MLTRAIN_PYTHON": python,
        "MLTRAIN_RUN_ID": spec.run_id,
        "MLTRAIN_STREAMS": join(root, "streams"),
        "PYTHONPATH": f"{inject}:{chosen['PYTHONPATH']}" if chosen.get("PYTHONPATH") else inject,
    }
    if inputs.attempt > 1:
        env["MLTRAIN_ATTEMPT"] = str(inputs.attempt)
    if inputs.kept:
        env["MLTRAIN_KEPT"] = join(root, "work", "outputs")
    env |= {mount.variable: mounts[mount.name] for mount in inputs.mounts}
    if inputs.mounts:
        env["MLTRAIN_INPUTS"] = json.dumps({mount.name: mounts[mount.name] for mount in inputs.mounts})
    # As the SDK does it; the name of a ready-made dataset after `-d` is no name of a variable.
    env |= {data.name: mounts[data.name] for data in spec.data if data.dataset}
    # Secrets come another way, and a plan is shown to people.
    return {name: value for name, value in sorted(env.items()) if name not in spec.secrets}


def _visible(gpus: Sequence[int]) -> str:
    # "-1" hides all devices; an empty string would too, but some libraries take it for "not set".
    return ",".join(map(str, gpus)) or "-1"


def _fill(argument: str, mounts: Mapping[str, str]) -> str:
    """`argument` with the placeholder of a dataset (alone, or behind `--option=`) replaced by its folder."""
    before, found, name = argument.partition(DATA_PLACEHOLDER)
    if not found or (before and not before.endswith("=")):
        return argument
    if name not in mounts:
        raise DatasetNotFound.of(name, mounts)
    return before + mounts[name]
