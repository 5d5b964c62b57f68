"""Work that is repeated until the machine lets it be done: nothing that a run made is given up for a full disk."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.errors import EngineUnreachable

if TYPE_CHECKING:
    from jupyter_mltrain.service.record import Record


async def patiently(record: Record, work: Any, what: str = "collect outputs") -> None:
    """Repeat `work` while the disk is full or the engine cannot be reached: nothing that a run made is given up, and
    nothing is left where it ran. `what`: for the notice of a run that waits."""
    told = False
    while True:
        try:
            await work()
        except (EngineUnreachable, OSError) as error:
            if isinstance(error, OSError) and error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            if not told:
                told = True
                record.doc.setdefault("notices", []).append(f"waits to {what}: {error}")
                await record.save()
            await asyncio.sleep(5)
        else:
            return
