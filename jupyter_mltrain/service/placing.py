"""Where a run runs: on a target of several hosts, those that it is given; what it needs is made ready there, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jupyter_mltrain.core.compute import Grant
from jupyter_mltrain.core.engines import ManyHosts
from jupyter_mltrain.service.hosts import HostsPool
from jupyter_mltrain.service.preparation import prepare, prepare_on

if TYPE_CHECKING:
    from jupyter_mltrain.service.record import Record
    from jupyter_mltrain.service.service import Service


async def prepared(service: Service, record: Record) -> None:
    """Make ready what the run needs: of several hosts on those that would be given to it now. One that turns out to be
    away is not waited for. Raises `EngineUnreachable` where too few can be used."""
    pool = service.pool(record.spec.target)
    if not isinstance(pool, HostsPool):
        await prepare(service, record)
        return
    while not await _ready(service, record, pool, await pool.likely(record.spec.resources, record.spec.nodes)):
        pass


async def placed(service: Service, record: Record) -> Grant:
    """Wait for the run's place. Where that is on other hosts than it was prepared on, it is made ready there as well; one
    that does not answer is given back, with all others."""
    pool = service.pool(record.spec.target)
    while True:
        spec, preemptions = record.spec, record.doc.get("preemptions", 0)
        grant = await pool.acquire(record.id, spec.resources, preemptions, spec.nodes)
        if not isinstance(pool, HostsPool) or await _ready(service, record, pool, grant.hosts or (grant.host,)):
            return grant
        pool.release(record.id)


async def _ready(service: Service, record: Record, pool: HostsPool, hosts: Sequence[str]) -> bool:
    """Whether all those hosts are there, with what the run needs made ready on each."""
    compute = service.compute(record.spec.target)
    assert isinstance(compute, ManyHosts), "a pool of several hosts is of such an engine"
    before = record.doc.get("prepared_on", {})
    new = {host: compute.on(host) for host in hosts if host not in before}
    if new:
        away = await prepare_on(service, record, new)
        for host, error in away.items():
            pool.lost(host, error.message)
        if away:
            return False
    first = record.doc["prepared_on"][hosts[0]]
    record.doc["prepared"] = first
    record.doc["environment"]["key"] = first["key"]
    return True
