"""What the service sees of its own surroundings, for `%mltrain doctor`: facts, and what is wrong with a mend."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

from jupyter_mltrain._version import PROTOCOL, __version__
from jupyter_mltrain.cache import cache_root
from jupyter_mltrain.core.wire_catalog import Doctor, Problem
from jupyter_mltrain.service.reachable import package_index

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service

_LITTLE = 5e9


async def examine(service: Service) -> Doctor:
    """What the service sees, and what of it is wrong."""
    disk = await asyncio.to_thread(shutil.disk_usage, service.layout.root)
    problems: list[Problem] = []
    facts: dict[str, Any] = {
        "service": {"version": __version__, "protocol": PROTOCOL, "python": sys.executable, "pid": os.getpid()},
        "workspace": {"root": str(service.layout.root), "id": service.config.id, "free_bytes": disk.free},
        "cache": str(cache_root()),
        "tracking": service.config.raw.get("tracking", {}).get("uri") or "embedded",
        "targets": {},
    }
    if disk.free < _LITTLE:
        problems.append(
            {"problem": f"Only {disk.free / 1e9:.1f} GB are free.", "mend": "A TensorFlow environment takes 2 GB."}
        )
    for target in service.targets:
        health = await target.compute.check()
        have, share = target.pool.machine.capacity, target.pool.share
        facts["targets"][target.name] = {
            "ok": health.ok,
            "slots": target.pool.scale.max_nodes,
            "cpus": share.cpus if share else have.cpus,
            "memory_gb": round(share.memory_gb if share else have.memory_gb, 1),
            "gpus": list(have.gpus[: share.gpus] if share else have.gpus),
            "each": share is not None,
        }
        if not health.ok:
            problems.append({"problem": f"{target.name}: {health.problem}", "mend": health.mend})
    unread: list[Problem] = [{"problem": s, "mend": "Correct it, or delete it."} for s in service.targets.problems]
    problems += unread
    facts["package index"], unanswered = await asyncio.to_thread(package_index)
    if unanswered:
        problems.append(unanswered)
    return {"facts": facts, "problems": problems}
