"""The engine of runs that a run's script keeps below its own. Nothing is started: the script says it all in files among
the streams of its own run (`runclient.injected.jupyter_mltrain._children`), and those come here with its streams.

So it does not matter where the script runs: what is read here is the record of its run, and is as far as that has come.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from jupyter_mltrain.computes import workfolder
from jupyter_mltrain.core import records as stream
from jupyter_mltrain.core.compute import (
    Capabilities,
    Capacity,
    Exit,
    Frame,
    Handle,
    Health,
    LaunchInputs,
    LaunchPlan,
    Observation,
    Phase,
    RankPlan,
    StopEvidence,
)
from jupyter_mltrain.core.spec import WITHIN, RunSpec
from jupyter_mltrain.core.status import Status
from jupyter_mltrain.runclient.injected.jupyter_mltrain import _children as told
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import records

_CHUNK = 1 << 18
_MANY = 1_000_000
_LOOK_SECONDS = 2.0
"""Between two looks where nobody rings; the end of the script's run is noticed so."""
_NOT_COMPLETED = "The script ended before it completed this run."


class WithinCompute:
    """Runs inside of runs, as many as there are. `ring` says that something may have come for those in a run's folder."""

    name = WITHIN
    capabilities = Capabilities()

    def __init__(self) -> None:
        self._bells: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def check(self) -> Health:
        return Health(ok=True)

    async def capacity(self) -> Capacity:
        return Capacity(_MANY, 0, 0.0)

    def plan(self, spec: RunSpec, inputs: LaunchInputs) -> LaunchPlan:
        folder = str(inputs.folder)
        return LaunchPlan(spec.run_id, self.name, folder, (RankPlan(0, (), {}),), folder, str(inputs.blobs))

    async def launch(self, plan: LaunchPlan, secrets: Mapping[str, str]) -> Handle:  # noqa: ARG002 - the script has its own
        spec = json.loads(await asyncio.to_thread(Path(plan.record, "spec.json").read_text, "utf-8"))
        await asyncio.to_thread(Path(plan.root, "shim").mkdir, mode=0o700, exist_ok=True)
        within = str(Path(plan.root).parent / spec["within"])
        return {"engine": self.name, "run_id": plan.run_id, "root": plan.root, "within": within}

    async def observe(self, handle: Handle) -> Observation:
        return await asyncio.to_thread(_observe, handle)

    async def stream(self, handle: Handle, offsets: Mapping[str, int]) -> AsyncIterator[Frame]:
        at = dict(offsets)
        while True:
            bell = self._bells[handle["within"]]
            # Asked first: what was written before the end is then all there to be read.
            over = (await self.observe(handle)).phase is not Phase.RUNNING
            while pieces := await asyncio.to_thread(_pieces, handle, at):
                for frame in pieces:
                    at[frame.stream] = frame.offset + len(frame.data)
                    yield frame
            if over:
                return
            try:
                await asyncio.wait_for(bell.wait(), _LOOK_SECONDS)
            except TimeoutError:
                continue

    def ring(self, within: Path) -> None:
        """Wake who reads runs that are kept in the run of that folder."""
        bell = self._bells.pop(str(within), None)
        if bell is not None:
            bell.set()

    async def collect(self, handle: Handle, into: Path) -> None:
        await asyncio.to_thread(bring_files, Path(handle["within"]), handle["run_id"], into)

    async def stop(self, handle: Handle, grace: float) -> StopEvidence:  # noqa: ARG002 - nothing is waited for
        """The script is not ours to end for this: the run is over, and what it says further is not read."""
        await asyncio.to_thread(_write_exit, records.Rank(handle["root"], 0))
        self.ring(Path(handle["within"]))
        return StopEvidence()

    async def remove(self, handle: Handle) -> None:
        """Nothing is kept beside the record."""


@dataclasses.dataclass(frozen=True)
class Begun:
    """What the file `<child id>.begin` says."""

    name: str
    run_id: str
    display_name: str
    parent: str
    time: float


def begun(within: Path) -> list[Begun]:
    """The runs that the script of the run in that folder began, as far as its streams have come. Blocking."""
    folder = within / "streams"
    found: list[Begun] = []
    for path in sorted(folder.glob("*" + told.BEGIN)) if folder.is_dir() else []:
        said = _line(path)
        if said is not None:
            run_id = path.name.removesuffix(told.BEGIN)
            found.append(
                Begun(path.name, run_id, str(said.get("name") or ""), str(said.get("parent")), _time(said) or 0)
            )
    return found


def bring_files(within: Path, run_id: str, into: Path) -> None:
    """Move what a run below the one in the folder `within` kept to its own record, as far as it is there. Blocking."""
    for base in (within / "work", within):
        workfolder.collect(base.joinpath(*told.FILES.split("/"), run_id), into)


def _observe(handle: Handle) -> Observation:
    within, run_id = Path(handle["within"]), handle["run_id"]
    start = _line(within / "streams" / (run_id + told.BEGIN))
    started = _time(start)
    stopped = records.read(records.Rank(handle["root"], 0).exit)
    if stopped is not None:
        return Observation(Phase.EXITED, (Exit.from_json(stopped),), started)
    end = _line(within / "streams" / (run_id + told.END))
    if end is not None and _is_all_there(within, end):
        code, stopped_by = end.get("code"), str(end.get("stopped", ""))
        exit_ = Exit(0, code if isinstance(code, int) else 1, None, _time(end) or time.time(), stopped=stopped_by)
        return Observation(Phase.EXITED, (exit_,), started)
    if _is_over(within):
        return Observation(Phase.VANISHED, started=started, detail=_NOT_COMPLETED)
    return Observation(Phase.RUNNING, started=started)


def _is_all_there(within: Path, end: Mapping[str, Any]) -> bool:
    """Whether the streams have come as far as they were when the run was ended."""
    sizes = end.get("sizes")
    for name, size in sizes.items() if isinstance(sizes, dict) else ():
        path = within / "streams" / Path(str(name)).name
        if not path.is_file() or not isinstance(size, int) or path.stat().st_size < size:
            return _is_over(within)  # a process of the script lost what it could not write
    return True


def _is_over(within: Path) -> bool:
    """Whether nothing more of that run's streams will come: they are drained, or nobody is there to read them."""
    try:
        row = json.loads((within / "state.json").read_text("utf-8"))
    except FileNotFoundError:
        return True
    return bool(row["doc"].get("drained")) or Status(row["status"]).terminal


def _pieces(handle: Handle, at: Mapping[str, int]) -> list[Frame]:
    """What is new, a chunk of each stream."""
    folder, start = Path(handle["within"], "streams"), handle["run_id"] + "."
    found: list[Frame] = []
    for path in sorted(folder.glob("*.metrics")):
        name = path.name.removeprefix(start)
        if name == path.name or stream.file_rank(name) is None:
            continue
        offset = at.get(name, 0)
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(_CHUNK)
        if data:
            found.append(Frame(name, offset, data))
    end = _line(folder / (handle["run_id"] + told.END))
    why = str(end.get("why", "")).encode() if end is not None else b""
    if len(why) > (offset := at.get("r0.log", 0)):
        found.append(Frame("r0.log", offset, why[offset:]))
    return found


def _line(path: Path) -> dict[str, Any] | None:
    """The object in the first line of a file; None while it is not there, or not whole."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except ValueError:
        return None  # nothing that the run client wrote
    line, ended, _ = text.partition("\n")
    try:
        said: Any = json.loads(line) if ended else None
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def _time(said: Mapping[str, Any] | None) -> float | None:
    when = said.get("t") if said is not None else None
    return float(when) if isinstance(when, int | float) else None


def _write_exit(rank: records.Rank) -> None:
    if records.read(rank.exit) is None:
        ended = Exit(rank=0, code=0, signal=None, ended=time.time(), stopped="requested")
        records.write(rank.exit, dataclasses.asdict(ended))
