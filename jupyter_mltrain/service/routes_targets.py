"""Routes about compute targets: list, make, change, take away."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, cast

from jupyter_mltrain.core import wire_targets as answers
from jupyter_mltrain.core.target import TargetDefinition
from jupyter_mltrain.service.openapi import Router
from jupyter_mltrain.service.scheduler import NodeState
from jupyter_mltrain.service.targets import Target
from jupyter_mltrain.service.wire_targets import AttachRequest, PoolRequest, TargetChanges

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service


def router(service: Service) -> Router:
    routes = Router(prefix="/v1")

    @routes.get("/targets")
    async def targets() -> answers.TargetList:
        return {"targets": [await _answer(target) for target in service.targets], "problems": service.targets.problems}

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
            await service.targets.delete(name, service.live_on(name))
        return {"removed": name}

    @routes.get("/sizes")
    async def sizes() -> answers.SizeList:
        """The sizes of nodes that a pool can be made of, as they were where their names come from."""
        table = service.targets.sizes
        return {"sizes": [cast("answers.NodeSize", dataclasses.asdict(size)) for size in table.values()]}

    return routes


async def _answer(target: Target) -> answers.Target:
    pool, compute, definition = target.pool, target.compute, target.definition
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
        "health": cast("answers.Health", dataclasses.asdict(await compute.check())),
    }
