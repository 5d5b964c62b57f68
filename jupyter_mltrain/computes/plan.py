"""From a spec to the processes that would run: argument list and environment, the same rules for every engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from posixpath import join
from typing import Any

from jupyter_mltrain.core.compute import Grant, LaunchInputs, LaunchPlan, RankPlan
from jupyter_mltrain.core.spec import DATA_PLACEHOLDER, RunSpec
from jupyter_mltrain.errors import DatasetNotFound

GRACE = 10.0
"""Seconds between TERM and KILL where nobody says otherwise (time limit)."""


def compose(
    spec: RunSpec,
    inputs: LaunchInputs,
    *,
    engine: str,
    root: str,
    python: str,
    mounts: Mapping[str, str],
    variables: Mapping[str, str] | None = None,
) -> LaunchPlan:
    """The plan of a run with one process.

    `root` is the run folder, `python` the environment's interpreter and `mounts` the folder of each dataset, all as the
    run will see them. `variables`: the engine's own, which environment and run may replace. Raises `DatasetNotFound` for a placeholder of a dataset that the run does not read.
    """
    command = [python, spec.script] if spec.script is not None else [*(spec.command or ())]
    argv = [_fill(part, mounts) for part in (*command, *spec.arguments)]
    asked = inputs.grant.memory_gb if inputs.grant.memory_gb is not None else spec.resources.memory_gb
    return LaunchPlan(
        run_id=spec.run_id,
        engine=engine,
        root=root,
        ranks=(
            RankPlan(rank=0, argv=tuple(argv), env=_environment(spec, inputs, root, python, mounts, variables or {})),
        ),
        record=str(inputs.folder),
        blobs=str(inputs.blobs),
        mounts=inputs.mounts,
        max_run_seconds=spec.resources.max_run_seconds,
        memory_bytes=round(asked * 1e9) if asked is not None else None,
        cpus=inputs.grant.cpus,
    )


def launch_record(plan: LaunchPlan, rank: int, secrets: Mapping[str, str], cpus: list[int] | None) -> dict[str, Any]:
    """`launch.json` of a rank; holds the names of the secrets, never their values."""
    process = next(one for one in plan.ranks if one.rank == rank)
    streams = f"{plan.root}/streams"
    return {
        "format": 1,
        "run_id": plan.run_id,
        "rank": rank,
        "argv": list(process.argv),
        "cwd": f"{plan.root}/work",
        "env": dict(process.env),
        "secrets": sorted(secrets),
        "log": f"{streams}/r{rank}.log",
        "streams": streams,
        "max_run_seconds": plan.max_run_seconds,
        "memory_bytes": plan.memory_bytes,
        "cpus": cpus,
        "grace": GRACE,
    }


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
        "CUDA_VISIBLE_DEVICES": _visible(inputs.grant),
        "MLTRAIN_DISPLAY_NAME": spec.display_name,
        "MLTRAIN_EXPERIMENT": spec.experiment,
        "MLTRAIN_PYTHON": python,
        "MLTRAIN_RANK": "0",
        "MLTRAIN_RUN_ID": spec.run_id,
        "MLTRAIN_STREAMS": join(root, "streams"),
        "PYTHONPATH": f"{inject}:{chosen['PYTHONPATH']}" if chosen.get("PYTHONPATH") else inject,
    }
    env |= {mount.variable: mounts[mount.name] for mount in inputs.mounts}
    if inputs.mounts:
        env["MLTRAIN_INPUTS"] = json.dumps({mount.name: mounts[mount.name] for mount in inputs.mounts})
    # As the SDK does it; the name of a ready-made dataset after `-d` is no name of a variable.
    env |= {data.name: mounts[data.name] for data in spec.data if data.dataset}
    # Secrets come another way, and a plan is shown to people.
    return {name: value for name, value in sorted(env.items()) if name not in spec.secrets}


def _visible(grant: Grant) -> str:
    # "-1" hides all devices; an empty string would too, but some libraries take it for "not set".
    return ",".join(map(str, grant.gpus)) or "-1"


def _fill(argument: str, mounts: Mapping[str, str]) -> str:
    """`argument` with the placeholder of a dataset (alone, or behind `--option=`) replaced by its folder."""
    before, found, name = argument.partition(DATA_PLACEHOLDER)
    if not found or (before and not before.endswith("=")):
        return argument
    if name not in mounts:
        raise DatasetNotFound.of(name, mounts)
    return before + mounts[name]
