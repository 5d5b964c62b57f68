"""A run's launch, which a service may be killed in the middle of: what was begun is found again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jupyter_mltrain.core.compute import Handle, Phase
from jupyter_mltrain.core.engines import Foretelling
from jupyter_mltrain.core.status import Status
from jupyter_mltrain.errors import EngineUnreachable
from jupyter_mltrain.service.again import ON_HOSTS, collect, without_hosts

if TYPE_CHECKING:
    from jupyter_mltrain.core.compute import Compute, LaunchPlan
    from jupyter_mltrain.service.record import Record
    from jupyter_mltrain.service.service import Service

AGAIN_SECONDS = 2.0


async def launched(service: Service, record: Record, compute: Compute, plan: LaunchPlan) -> Handle | None:
    """Launch the run, again and again while the engine cannot be reached: nobody knows then what it has begun, and it
    begins no run twice. A cancel is carried out once it can be.

    None where it needs a secret that is gone, for the service was started anew, and nothing of it runs: one that was
    launched before goes on.
    """
    missing = [name for name in record.spec.secrets if name not in service.secrets(record.id)]
    begun: Handle | None = record.doc.get("launching")
    if missing and begun is None:
        return None
    # Without secrets who launches again finds what was begun; elsewhere it may have to be found without.
    needed = bool(record.spec.secrets) or not compute.capabilities.shared_files
    if isinstance(compute, Foretelling) and begun is None and needed:
        # Saved first: whoever comes after this knows what to look for.
        record.doc["launching"] = compute.foretold(plan)
        record.doc["notices"] = [*without_hosts(record), *over_hosts(plan)]
        await record.save()
    while True:
        try:
            handle = await (
                _found(record, compute, begun)
                if missing and begun
                else compute.launch(plan, service.secrets(record.id))
            )
        except EngineUnreachable as error:
            if record.status is Status.STARTING:
                await record.progress(Status.NOT_RESPONDING, error.message)
            await asyncio.sleep(AGAIN_SECONDS)
        else:
            if record.status is Status.NOT_RESPONDING:
                await record.progress(Status.STARTING)
            return handle


def over_hosts(plan: LaunchPlan) -> list[str]:
    """What is to be known of a run whose nodes are on several hosts."""
    if not plan.hosts:
        return []
    at = dict(zip(plan.hosts, plan.addresses, strict=True))
    where = ", ".join(f"{host} ({address})" for host, address in at.items())
    free = "Horovod and NCCL listen at ports of their own choice"
    return [f"{ON_HOSTS}{where}. Their containers use the networks of these hosts: {free}."]


async def _found(record: Record, compute: Compute, begun: Handle) -> Handle | None:
    """The handle of a run that was launched; where its processes never came to be, what there is of it is removed. What an
    earlier attempt had made went along: where files are shared it was moved, and comes back; elsewhere it was copied, maybe
    not to its end, and the record has it all."""
    while True:
        seen = await compute.observe(begun)
        if seen.phase in {Phase.RUNNING, Phase.EXITED} or seen.started is not None:
            return begun
        if seen.phase is not Phase.STARTING:
            await compute.stop(begun, 0.0)
            if compute.capabilities.shared_files:
                await collect(record, compute, begun)
            await compute.remove(begun)
            return None
        await asyncio.sleep(AGAIN_SECONDS)
