"""Where a run runs: on a target of several hosts, the one that it is given; what it needs is made ready there, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_mltrain.core.compute import Grant
from jupyter_mltrain.core.engines import ManyHosts
from jupyter_mltrain.errors import EngineUnreachable
from jupyter_mltrain.service.hosts import HostsPool
from jupyter_mltrain.service.preparation import prepare, prepare_there

if TYPE_CHECKING:
    from jupyter_mltrain.core.compute import Compute
    from jupyter_mltrain.service.record import Record
    from jupyter_mltrain.service.service import Service


async def prepared(service: Service, record: Record) -> None:
    """Make ready what the run needs: of several hosts on the one that would be given to it now. One that turns out to be
    away is not waited for. Raises `EngineUnreachable` where none can be used."""
    pool = service.pool(record.spec.target)
    if not isinstance(pool, HostsPool):
        await prepare(service, record)
        return
    while True:
        host = await pool.likely(record.spec.resources)
        try:
            await prepare(service, record, _on(service, record, host))
        except EngineUnreachable as error:
            pool.lost(host, error.message)
        else:
            record.doc["host"] = host
            return


async def placed(service: Service, record: Record) -> Grant:
    """Wait for the run's place. Where that is on another host than it was prepared on, it is made ready there as well; one
    that does not answer is given back."""
    pool = service.pool(record.spec.target)
    while True:
        spec, preemptions = record.spec, record.doc.get("preemptions", 0)
        grant = await pool.acquire(record.id, spec.resources, preemptions, spec.nodes)
        if not isinstance(pool, HostsPool) or grant.host == record.doc.get("host"):
            return grant
        try:
            await prepare_there(service, record, _on(service, record, grant.host))
        except EngineUnreachable as error:
            pool.lost(grant.host, error.message)
            pool.release(record.id)
        else:
            record.doc["host"] = grant.host
            return grant


def _on(service: Service, record: Record, host: str) -> Compute:
    compute = service.compute(record.spec.target)
    assert isinstance(compute, ManyHosts), "a pool of several hosts is of such an engine"
    return compute.on(host)
