"""The engine `notebook`: runs that a kernel logs itself (`Experiment.start_logging`). Nothing is started here.

The kernel is its own supervisor: it holds the lock that tells a living one, and writes the record of how the run ended
(`api.interactive`). All else is as for any process of this machine.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path

from jupyter_mltrain.computes.local import LocalCompute
from jupyter_mltrain.core.compute import (
    Capabilities,
    Capacity,
    Exit,
    Handle,
    LaunchInputs,
    LaunchPlan,
    Observation,
    Phase,
    RankPlan,
    StopEvidence,
)
from jupyter_mltrain.core.spec import NOTEBOOK, RunSpec
from jupyter_mltrain.errors import EngineError
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import records

_PATIENCE = 20.0
"""Seconds within which the kernel that asked for the run takes it up."""
_MANY = 1_000_000


class NotebookCompute(LocalCompute):
    """Kernels of this machine, as many as there are."""

    name = NOTEBOOK

    def __init__(self) -> None:
        super().__init__()
        self.capabilities = Capabilities(shared_files=True)

    async def capacity(self) -> Capacity:
        whole = await super().capacity()
        return dataclasses.replace(whole, slots=_MANY, gpus=())

    def plan(self, spec: RunSpec, inputs: LaunchInputs) -> LaunchPlan:
        folder = str(inputs.folder)
        ranks = (RankPlan(0, (), {}),)
        return LaunchPlan(spec.run_id, self.name, folder, ranks, record=folder, blobs=str(inputs.blobs))

    async def launch(self, plan: LaunchPlan, secrets: Mapping[str, str]) -> Handle:  # noqa: ARG002 - the kernel has its own
        handle: Handle = {
            "engine": self.name, "run_id": plan.run_id, "root": plan.root, "boot_id": records.boot_id(), "cpus": None,
        }  # fmt: skip
        rank = records.Rank(plan.root, 0)
        await asyncio.to_thread(_prepare, rank, plan)
        # The kernel waits for that record, takes the lock and says that it is there.
        if not await asyncio.to_thread(records.wait_for, lambda: records.launched(rank), _PATIENCE):
            raise EngineError("The notebook that asked for this run did not take it up.", mend="Start it again.")
        return handle

    async def observe(self, handle: Handle) -> Observation:
        # A kernel has no thread that beats: its lock alone tells that it lives.
        seen = dataclasses.replace(await super().observe(handle), beat_age=None)
        if seen.phase is Phase.VANISHED and "machine restarted" not in seen.detail:
            return dataclasses.replace(seen, detail="The kernel that logged this run ended before run.complete().")
        return seen

    async def stop(self, handle: Handle, grace: float) -> StopEvidence:  # noqa: ARG002 - nothing is waited for
        """The kernel is not ours to end: the run is over, the notebook goes on."""
        await asyncio.to_thread(_write_exit, records.Rank(handle["root"], 0))
        return StopEvidence()


def _prepare(rank: records.Rank, plan: LaunchPlan) -> None:
    for name in ("shim", "streams", "work/outputs", "work/logs"):
        Path(plan.root, name).mkdir(parents=True, exist_ok=True, mode=0o700)
    records.write(rank.launch, {"format": 1, "run_id": plan.run_id, "rank": 0})


def _write_exit(rank: records.Rank) -> None:
    if records.read(rank.exit) is None:
        ended = Exit(rank=0, code=0, signal=None, ended=time.time(), stopped="requested")
        records.write(rank.exit, dataclasses.asdict(ended))
