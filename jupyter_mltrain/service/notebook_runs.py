"""Runs that a kernel logs itself: made here, and from then on driven like every other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_mltrain.core.environment import CURRENT
from jupyter_mltrain.core.ids import check_experiment, check_run_id
from jupyter_mltrain.core.spec import NOTEBOOK, RunSpec
from jupyter_mltrain.service import git
from jupyter_mltrain.service.snapshot import take
from jupyter_mltrain.service.submission import make
from jupyter_mltrain.service.wire import NotebookRunRequest

if TYPE_CHECKING:
    from jupyter_mltrain.service.record import Record
    from jupyter_mltrain.service.service import Service


async def begin_notebook_run(service: Service, request: NotebookRunRequest) -> Record:
    """Make the run. Raises `InvalidName`, `RunNotFound` (the parent), and what a snapshot may."""
    check_experiment(request.experiment)
    parent = (await service.record(request.parent)).id if request.parent else None
    source = Path(request.source_directory) if request.source_directory else None
    spec = RunSpec(
        run_id=check_run_id(request.run_id),
        experiment=request.experiment,
        display_name=request.display_name or "",
        target=NOTEBOOK,
        environment=CURRENT,
        source_directory=request.source_directory,
        git=await asyncio.to_thread(git.describe, source) if source else {},
        parent=parent,
    )
    async with service.snapshots.shared():
        taken = await asyncio.to_thread(take, service.layout, source, {})
        return await make(service, spec, taken, request.kernel_python, {})
