"""Old runs make room: which may go, and what goes with them. What somebody chose to keep stays."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.service.wire import PruneRequest

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service
    from jupyter_mltrain.service.store import Row

REMOVED = ".removed-"
"""How the folder of a run begins that is on its way out: no run's id begins like that."""
_AT_ONCE = 100_000


async def prune(service: Service, request: PruneRequest) -> dict[str, Any]:
    """Remove the runs that ended more than `older_than` seconds ago, but for the newest `keep`, pinned ones, those that a
    registered model came from, those that a live one goes on from, and those above or below a run that stays. With `dry_run`
    only say which.

    Contents of snapshots that no run has any more go too.
    """
    rows, _ = await service.store.call(service.store.list, service.store.everything, "-created", _AT_ONCE, 0)
    going = [
        row
        for row in _going(rows, request.keep, time.time() - request.older_than)
        if not service.publication.holds(row["id"])  # its copy in MLflow is still being made
    ]
    sizes = await asyncio.to_thread(lambda: [bytes_below(service.layout.run(row["id"])) for row in going])
    snapshots = 0
    if not request.dry_run:
        for row in going:
            await _remove(service, row["id"])
        async with service.snapshots.alone():
            snapshots = await asyncio.to_thread(_sweep, service.layout)
    return {
        "runs": [
            {
                "id": row["id"],
                "display_name": row["display_name"],
                "experiment": row["experiment"],
                "status": row["status"],
                "ended": row["ended"],
                "bytes": size,
            }
            for row, size in zip(going, sizes, strict=True)
        ],
        "bytes": sum(sizes) + snapshots,
        "removed": not request.dry_run,
    }


def _going(rows: list[Row], keep: int, before: float) -> list[Row]:
    """`rows`, the newest first, without what stays."""
    stay = {
        row["id"]
        for index, row in enumerate(rows)
        if index < keep
        or row["ended"] is None
        or row["ended"] > before
        or row["doc"].get("pinned")
        or row["doc"].get("models")
    }
    stay |= {row["doc"]["resume_from"] for row in rows if row["ended"] is None and row["doc"].get("resume_from")}
    families = {row["id"]: row["doc"].get("parent") for row in rows}
    for run_id in [*stay]:
        parent = families.get(run_id)
        while parent is not None and parent not in stay:
            stay.add(parent)
            parent = families.get(parent)
    while True:
        below = {run_id for run_id, parent in families.items() if parent in stay and run_id not in stay}
        if not below:
            return [row for row in rows if row["id"] not in stay]
        stay |= below


async def _remove(service: Service, run_id: str) -> None:
    # The folder is the record: once it is gone by name, the run is, also for a service that is killed here.
    folder = service.layout.run(run_id)
    aside = folder.with_name(REMOVED + run_id)
    if folder.exists():
        await asyncio.to_thread(folder.rename, aside)
    service.forget(run_id)
    await service.store.call(service.store.remove, run_id)
    await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)


def sweep_removed(layout: Layout) -> None:
    """Finish what a killed service began to remove. Blocking."""
    for folder in layout.runs.glob(f"{REMOVED}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(layout: Layout) -> int:
    """Remove the blobs that no snapshot names; the bytes they took."""
    used: set[str] = set()
    for manifest in layout.runs.glob("*/snapshot.json"):
        used.update(entry["sha256"] for entry in json.loads(manifest.read_text(encoding="utf-8"))["files"])
    freed = 0
    for blob in layout.blobs.glob("??/*"):
        if blob.name not in used:
            freed += blob.stat().st_size
            blob.unlink()
    return freed


def measure_outputs(folder: Path) -> dict[str, int]:
    """What a run left in its outputs, and how many bytes are free beside it. Blocking."""
    files = [p for p in (folder / "outputs").rglob("*") if p.is_file()]
    return {"files": len(files), "bytes": sum(p.stat().st_size for p in files), "free": shutil.disk_usage(folder).free}


def bytes_below(folder: Path) -> int:
    """What the files below `folder` take on disk. Blocking."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except FileNotFoundError:
            continue  # a live run tidies up
    return total
