"""What a run's processes said, in its record for good once they are over: however it ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jupyter_mltrain.service.pruning import measure_outputs
from jupyter_mltrain.service.system import used_words

if TYPE_CHECKING:
    from jupyter_mltrain.service.record import Record
    from jupyter_mltrain.service.service import Service


async def keep(service: Service, record: Record, canceled: str = "") -> None:
    """Take in the rest of the run's streams, end the runs that its script kept below it (`canceled`: why they are canceled,
    not failed), and measure what it made. All that came of the engine is here already."""
    await record.ingest.absorb(flush=True)
    await service.children.settle(record, canceled)
    _, _, extra = await record.ingest.summary()
    for kind in ("tags", "properties"):
        # What the script said; lists are filtered by it.
        said = {key: str(value if value is not None else "") for key, value in extra.get(kind, {}).items()}
        record.doc[kind] = {**said, **record.doc.get(kind, {})}
    record.doc["said"] = True
    record.doc["outputs"] = await asyncio.to_thread(measure_outputs, record.folder)
    record.doc["used"] = await used_words(record.ingest)
