"""What a submit would do, without doing it: `--dry-run` and the pre-flight."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from jupyter_mltrain.core.compute import (
    ContainerCompute,
    ForeseenEnvironment,
    Grant,
    LaunchInputs,
    Mount,
    PreparedEnvironment,
)
from jupyter_mltrain.core.engines import ManyHosts
from jupyter_mltrain.core.spec import RunSpec
from jupyter_mltrain.core.wire_catalog import Plan, PlannedEnvironment
from jupyter_mltrain.errors import EngineError
from jupyter_mltrain.service import resuming
from jupyter_mltrain.service.hosts import HostsPool
from jupyter_mltrain.service.launching import over_hosts
from jupyter_mltrain.service.nodes import together
from jupyter_mltrain.service.submission import check, snapshot
from jupyter_mltrain.service.wire import RunRequest

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service

_UNBUILT = "<python of {name}>"
_UNKNOWN = "<image of {name}>"
_UNFETCHED = "<folder of {name}>"


async def describe_plan(service: Service, request: RunRequest) -> Plan:
    """Plan, environment (built already or not), snapshot and notices for `request`. Raises what a submit would raise."""
    spec = await check(service, request)
    taken = await asyncio.to_thread(snapshot, service, request, store=False)
    given = together(service.pool(spec.target).gives(spec.resources), spec.nodes)
    grant, notices = Grant(tuple(range(given.gpus or 0)), given.cpus, given.memory_gb), list(taken.notices)
    if service.compute(spec.target).capabilities.containers:
        grant, environment, described = await _there(service, spec, grant, notices)
    else:
        environment, described = await _here(service, spec, grant, request.kernel_python)
    mounts = (
        *(Mount(d.name, Path(_UNFETCHED.format(name=d.name)), d.variable, "", d.path_on_compute) for d in spec.data),
        *resuming.planned(spec),
    )
    inputs = LaunchInputs(
        folder=service.layout.run(spec.run_id),
        blobs=service.layout.blobs,
        environment=environment,
        mounts=mounts,
        grant=grant,
    )
    plan = service.compute(spec.target).plan(spec, inputs)
    return {
        "plan": plan.to_json(),
        "environment": described,
        "snapshot": {
            "files": len(taken.files),
            "bytes": taken.bytes,
            "ignored": taken.ignored,
            "secrets": taken.secrets,
            "largest": sorted(taken.files, key=lambda f: -f["size"])[:20],
        },
        "notices": [*notices, *over_hosts(plan)],
    }


async def _here(
    service: Service, spec: RunSpec, grant: Grant, kernel_python: str | None
) -> tuple[PreparedEnvironment, PlannedEnvironment]:
    """The environment as it would be on this machine."""
    state = await asyncio.to_thread(
        service.environments.state, _reference(spec), gpu=bool(grant.gpus), kernel_python=kernel_python
    )
    return PreparedEnvironment(state.name, state.version, state.key, _UNBUILT.format(name=state.name)), {
        "name": state.name,
        "version": state.version,
        "state": state.state,
        "cached": state.state == "ready",
        "key": state.key,
        "place": "",
        "steps": [],
    }


async def _there(
    service: Service, spec: RunSpec, grant: Grant, notices: list[str]
) -> tuple[Grant, PreparedEnvironment, PlannedEnvironment]:
    """The environment as it would be where the target's containers are: of several hosts on the one that would be taken
    now. `notices` gets why that cannot be told."""
    definition = await asyncio.to_thread(service.environments.get, _reference(spec))
    foreseen, state = None, "to build"
    try:
        compute, pool = service.compute(spec.target), service.pool(spec.target)
        if isinstance(pool, HostsPool):
            hosts = await pool.likely(spec.resources, spec.nodes)
            grant = replace(grant, host=hosts[0], hosts=hosts if len(set(hosts)) > 1 else ())
            compute = cast("ManyHosts", compute).on(grant.host)
        foreseen = await _foreseen(service, cast("ContainerCompute", compute), spec, gpu=bool(grant.gpus))
        state = "to resolve" if foreseen is None else "to build" if foreseen.steps else "ready"
    except EngineError as error:
        notices.append(f"What the target has cannot be told now: {error.message}")
    if foreseen is None:
        name, steps = definition.name, ("resolve its packages", "make the environment") if state == "to resolve" else ()
        image, python = _UNKNOWN.format(name=name), _UNBUILT.format(name=name)
        unknown = PreparedEnvironment(name, definition.version, "", python, {}, image, "", definition.docker.arguments)
        foreseen = ForeseenEnvironment(unknown, "", steps)
    return (
        grant,
        foreseen.prepared,
        {
            "name": definition.name,
            "version": definition.version,
            "state": state,
            "cached": state == "ready",
            "key": foreseen.prepared.key,
            "place": foreseen.place,
            "steps": list(foreseen.steps),
        },
    )


async def _foreseen(
    service: Service, compute: ContainerCompute, spec: RunSpec, *, gpu: bool
) -> ForeseenEnvironment | None:
    """None for an environment whose packages were never found out for the platform of the containers."""
    platform = await compute.platform()
    order = await asyncio.to_thread(service.environments.known_order, _reference(spec), platform, gpu=gpu)
    return None if order is None else await compute.foresee(order)


def _reference(spec: RunSpec) -> str:
    return spec.environment if spec.environment_version is None else f"{spec.environment}:{spec.environment_version}"
