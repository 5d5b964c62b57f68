"""What a submit would do, without doing it: `--dry-run` and the pre-flight."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_mltrain.core.compute import Grant, LaunchInputs, Mount, PreparedEnvironment
from jupyter_mltrain.core.wire_catalog import Plan
from jupyter_mltrain.service.submission import check, snapshot
from jupyter_mltrain.service.wire import RunRequest

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service

_UNBUILT = "<python of {name}>"
_UNFETCHED = "<folder of {name}>"


async def describe_plan(service: Service, request: RunRequest) -> Plan:
    """Plan, environment (built already or not), snapshot and notices for `request`. Raises what a submit would raise."""
    spec = await check(service, request)
    taken = await asyncio.to_thread(snapshot, service, request, store=False)
    reference = (
        spec.environment if spec.environment_version is None else f"{spec.environment}:{spec.environment_version}"
    )
    given = service.pool(spec.target).gives(spec.resources)
    state = await asyncio.to_thread(
        service.environments.state,
        reference,
        gpu=bool(given.gpus),
        kernel_python=request.kernel_python,
        containers=service.compute(spec.target).capabilities.containers,
    )
    mounts = tuple(
        Mount(d.name, Path(_UNFETCHED.format(name=d.name)), d.variable, "", d.path_on_compute) for d in spec.data
    )
    inputs = LaunchInputs(
        folder=service.layout.run(spec.run_id),
        blobs=service.layout.blobs,
        environment=PreparedEnvironment(state.name, state.version, state.key, _UNBUILT.format(name=state.name)),
        mounts=mounts,
        grant=Grant(tuple(range(given.gpus or 0)), given.cpus, given.memory_gb),
    )
    plan = service.compute(spec.target).plan(spec, inputs)
    return {
        "plan": plan.to_json(),
        "environment": {
            "name": state.name,
            "version": state.version,
            "state": state.state,
            "cached": state.state == "ready",
            "key": state.key,
        },
        "snapshot": {
            "files": len(taken.files),
            "bytes": taken.bytes,
            "ignored": taken.ignored,
            "secrets": taken.secrets,
            "largest": sorted(taken.files, key=lambda f: -f["size"])[:20],
        },
        "notices": taken.notices,
    }
