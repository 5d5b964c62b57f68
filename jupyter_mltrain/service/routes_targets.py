"""Routes about compute targets: list, make, change, take away."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from jupyter_mltrain.core import wire_targets as answers
from jupyter_mltrain.core.compute import Compute, Health
from jupyter_mltrain.core.engines import ManyHosts, together
from jupyter_mltrain.core.target import TargetDefinition
from jupyter_mltrain.service.hosts import HostsPool
from jupyter_mltrain.service.openapi import Router
from jupyter_mltrain.service.scheduler import NodeState
from jupyter_mltrain.service.targets import Target
from jupyter_mltrain.service.wire_targets import AttachRequest, PoolRequest, TargetChanges, TargetPruneRequest

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service

HEALTH_SECONDS = 5.0
"""How long a person who looks at targets waits for an engine that does not answer."""


def router(service: Service) -> Router:
    routes = Router(prefix="/v1")

    @routes.get("/targets")
    async def targets() -> answers.TargetList:
        # At once: a host that does not answer shall not hold up the others.
        found = await asyncio.gather(*map(_answer, service.targets))
        return {"targets": list(found), "problems": service.targets.problems}

    @routes.post("/targets", status_code=201)
    async def create(request: PoolRequest) -> answers.Target:
        """A pool of nodes of a size. One that has the name and the size already gets these numbers of nodes."""
        return await _answer(await service.targets.create(TargetDefinition(**request.model_dump())))

    @routes.post("/attached-targets", status_code=201)
    async def attach(request: AttachRequest) -> answers.Target:
        """What another engine has, as a target."""
        given = request.model_dump()
        return await _answer(await service.targets.attach(TargetDefinition(kind=given.pop("engine"), **given)))

    @routes.get("/targets/{name}")
    async def target(name: str) -> answers.Target:
        return await _answer(service.targets.get(name))

    @routes.patch("/targets/{name}")
    async def change(name: str, request: TargetChanges) -> answers.Target:
        return await _answer(await service.targets.change(name, **request.model_dump(exclude_none=True)))

    @routes.delete("/targets/{name}")
    async def remove(name: str) -> answers.RemovedTarget:
        """Refused while runs live on it."""
        # A submission that found the target has the lock until its run is in the queue.
        async with service.submitting:
            await service.targets.delete(name, list(service.live_on(name).values()))
        return {"removed": name}

    @routes.post("/targets/{name}/prune")
    async def prune(name: str, request: TargetPruneRequest) -> answers.PrunedTarget:
        """What of ours lies on the target's engine and no live run needs; without `dry_run` it goes."""
        # A run that is being submitted may need what nobody else does.
        async with service.submitting:
            gone = await service.targets.prune(name, await service.ended(), dry_run=request.dry_run)
        leftovers = [cast("answers.Leftover", dataclasses.asdict(one)) for one in gone]
        return {"leftovers": leftovers, "removed": not request.dry_run}

    @routes.get("/sizes")
    async def sizes() -> answers.SizeList:
        """The sizes of nodes that a pool can be made of, as they were where their names come from."""
        table = service.targets.sizes
        return {"sizes": [cast("answers.NodeSize", dataclasses.asdict(size)) for size in table.values()]}

    return routes


async def _health(compute: Compute) -> Health:
    try:
        async with asyncio.timeout(HEALTH_SECONDS):
            return await compute.check()
    except TimeoutError:
        return Health(ok=False, problem=f"no answer within {HEALTH_SECONDS:g} s", mend="Is its host up?")


def _told(seen: Health) -> answers.Health:
    return {"ok": seen.ok, "problem": seen.problem, "mend": seen.mend, "steps": list(seen.steps)}


async def _answer(target: Target) -> answers.Target:
    pool, compute, definition = target.pool, target.compute, target.definition
    seen: Mapping[str, Health] = {}
    if isinstance(pool, HostsPool) and isinstance(compute, ManyHosts):
        seen = await compute.checks(HEALTH_SECONDS)
        pool.seen(seen)
        health = together(seen)
    else:
        health = await _health(compute)
    nodes = pool.nodes
    wanted = [node for node in nodes if node.state is not NodeState.LEAVING]
    return {
        "name": target.name,
        "kind": definition.kind if definition else compute.name,
        "engine": compute.name,
        "definition": definition.to_json() if definition else None,
        "node": cast("answers.NodeSize", dataclasses.asdict(pool.share)) if pool.share else None,
        "substitutions": [
            {"kind": s.kind, "asked": s.asked, "given": s.given, "reason": s.reason} for s in target.substitutions
        ],
        "nodes": [
            {
                "number": node.number,
                "state": node.state.value,
                "since": node.since,
                "run": node.run_id or None,
                "problem": node.problem,
                "host": node.host,
            }
            for node in nodes
        ],
        "target_nodes": len(wanted),
        "max_nodes": pool.scale.max_nodes,
        "queued": pool.queued,
        "steady": all(node.state in {NodeState.IDLE, NodeState.RUNNING} for node in nodes),
        "changed": pool.changed,
        "capabilities": cast("answers.Capabilities", dataclasses.asdict(compute.capabilities)),
        "capacity": cast("answers.Capacity", dataclasses.asdict(pool.machine.capacity)),
        "health": _told(health),
        "hosts": [
            {
                "name": name,
                "capacity": cast("answers.Capacity", dataclasses.asdict(capacity)),
                "runs": runs,
                "health": _told(seen.get(name, Health(ok=False, problem="it is named no more"))),
            }
            for name, (capacity, runs) in (pool.hosts if isinstance(pool, HostsPool) else {}).items()
        ],
    }
