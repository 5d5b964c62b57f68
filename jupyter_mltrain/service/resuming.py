"""A run that goes on from what an earlier one left: that run's outputs, which it reads like data."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.core.mounts import Mount
from jupyter_mltrain.core.spec import DATA_PLACEHOLDER, RESUME, RESUME_ARGUMENT, RunSpec
from jupyter_mltrain.errors import ConflictError, InvalidName, PathNotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_mltrain.service.record import Record
    from jupyter_mltrain.service.service import Service

VARIABLE = "MLTRAIN_RESUME_FROM"
PLACEHOLDER = DATA_PLACEHOLDER + RESUME


async def earlier(service: Service, key: str) -> Record:
    """The run that `key` means, for another to go on from. Raises `RunNotFound`; `ConflictError` for one that has not ended;
    `PathNotFound` for one that left nothing."""
    record = await service.record(key)
    name = record.row["display_name"]
    if not record.status.terminal:
        raise ConflictError(
            f"{name} is {record.status}: there is nothing to go on from before it has ended.",
            mend=f"Wait for it, or stop it and keep what it made: run.cancel(keep=True) of {name}.",
        )
    if not await asyncio.to_thread(_files, _outputs(service, record.id)):
        raise PathNotFound(
            f"{name} left no outputs to go on from.",
            mend="A run keeps what its script writes into the folder outputs/, checkpoints too.",
        )
    return record


async def resumed(service: Service, spec: RunSpec, key: str | None) -> RunSpec:
    """`spec`, going on from the run that `key` means, if any. Raises what `earlier` does; `UsageError` for another
    `--resume-from` among its arguments; `InvalidName` where its data has taken the name."""
    if not key:
        return spec
    return dataclasses.replace(spec, resume_from=(await earlier(service, key)).id, arguments=_arguments(spec))


def _arguments(spec: RunSpec) -> tuple[str, ...]:
    """With the folder as the last one, unless it is among them."""
    given = spec.arguments
    if any(data.name == RESUME for data in spec.data):
        raise InvalidName(f"The outputs of the earlier run are the input {RESUME!r}; a dataset has that name.")
    if any(PLACEHOLDER in part for part in (*given, *(spec.command or ()))):
        return given
    if any(part == RESUME_ARGUMENT or part.startswith(f"{RESUME_ARGUMENT}=") for part in given):
        raise UsageError(
            f"The script's arguments have a `{RESUME_ARGUMENT}` of their own.",
            mend="Leave one of them out: resume_from gives the script its folder.",
        )
    return (*given, RESUME_ARGUMENT, PLACEHOLDER)


async def entries(service: Service, spec: RunSpec) -> list[dict[str, Any]]:
    """What a run says of it among its data: nothing, or one thing."""
    record = await service.find(spec.resume_from) if spec.resume_from else None
    if record is None:
        return []
    return [{"name": f"outputs of {record.row['display_name']}", "version": None, "input": RESUME, "mode": "mount"}]


def planned(spec: RunSpec) -> Sequence[Mount]:
    """As a plan shows it, before anybody looks."""
    return [Mount(RESUME, Path(f"<outputs of {spec.resume_from}>"), VARIABLE, "")] if spec.resume_from else []


async def mounts(service: Service, record: Record) -> Sequence[Mount]:
    """The outputs, to be readable at the run, and said in its `doc`. Raises as `earlier` does: they may be gone by now."""
    key = record.spec.resume_from
    if key is None:
        return []
    source = await earlier(service, key)
    folder = _outputs(service, source.id)
    seen = await asyncio.to_thread(_files, folder)
    for known in record.doc["data"]:
        if known.get("input") == RESUME:
            size = sum(one[1] for one in seen)
            known |= {"key": f"stat:{_digest(seen)}", "files": len(seen), "bytes": size, "source": "this machine"}
    return [Mount(RESUME, folder, VARIABLE, _digest([source.id, *seen]))]


async def settle(service: Service, record: Record) -> None:
    """When the run is over: say so where the outputs that it read are others now."""
    if record.spec.resume_from is None:
        return
    seen = await asyncio.to_thread(_files, _outputs(service, record.spec.resume_from))
    for known in record.doc["data"]:
        if known.get("input") == RESUME and known.get("key") not in (None, f"stat:{_digest(seen)}"):
            notice = f"the {known['name']} changed while the run was there"
            notices = record.doc.setdefault("notices", [])
            if notice not in notices:
                notices.append(notice)


def _outputs(service: Service, run_id: str) -> Path:
    return service.layout.run(run_id) / "outputs"


def _files(folder: Path) -> list[tuple[str, int, int]]:
    """Path, bytes and time of each file, by path."""
    found: list[tuple[str, int, int]] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            about = path.stat()
            found.append((path.relative_to(folder).as_posix(), about.st_size, about.st_mtime_ns))
    return found


def _digest(seen: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(seen).encode("ascii")).hexdigest()
