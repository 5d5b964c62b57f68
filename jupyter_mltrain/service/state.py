"""What a view sees of a run: its record as one JSON document."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.core import spec
from jupyter_mltrain.core.status import STAGES, Status
from jupyter_mltrain.core.wire import Progress, Resources, RunState, RunSummary, Stage
from jupyter_mltrain.service.again import attempt
from jupyter_mltrain.service.ranks import ranks_in_state
from jupyter_mltrain.service.record import Record
from jupyter_mltrain.service.wire import plain

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service

_MOST_SERIES = 50
_HUGE = 1e300
_LIVE_CONDITIONS = {Status.CANCEL_REQUESTED, Status.NOT_RESPONDING}


async def run_state(service: Service, record: Record) -> RunState:
    """The whole state: what `GET /v1/runs/{id}` answers."""
    series, points, extra = await record.ingest.summary()
    summary = run_summary(service, record.row)
    waits = record.status is Status.QUEUED
    # What the script said is among them from the end of the run on, and may be taken away again.
    said: dict[str, Any] = {} if record.doc.get("said") else extra
    return {
        **summary,
        "history": [c.to_json() for c in record.history],
        "stages": stages(record, service.pool(record.spec.target).note(record.id) if waits else ""),
        "progress": _progress(extra, record),
        "metrics": plain(first_of_each(series)[:_MOST_SERIES]),
        "metric_series": len(series),
        "metric_points": points,
        "tags": {**_texts(said.get("tags", {})), **summary["tags"]},
        "properties": {**_texts(said.get("properties", {})), **record.doc.get("properties", {})},
        "arguments": list(record.spec.arguments),
        "script": record.spec.script,
        "command": list(record.spec.command) if record.spec.command else None,
        "substitutions": [
            {"kind": s.kind, "asked": s.asked, "given": s.given, "reason": s.reason} for s in record.spec.substitutions
        ],
        "git": dict(record.spec.git),
        "resources": _resources(record.spec.resources),
        "used": dict(record.doc.get("used", {})),
        "source_directory": record.spec.source_directory,
        "rerun_of": record.spec.rerun_of,
        "reruns": list(record.doc.get("reruns", [])),
        "workspace": {"id": service.config.id, "name": service.config.name},
        "processes": record.spec.distribution.processes if record.spec.distribution is not None else 1,
        "ranks": plain(await ranks_in_state(service, record)),
    }


def first_of_each(series: list[Any]) -> list[Any]:
    """Of each metric its first rank's series first: of many ranks not all are told."""
    first: dict[str, int] = {}
    for one in series:
        first[one["name"]] = min(one["rank"], first.get(one["name"], one["rank"]))
    return sorted(series, key=lambda one: one["rank"] != first[one["name"]])


def run_summary(service: Service, row: dict[str, Any]) -> RunSummary:
    """What a list shows of a run: from its row alone, without opening its folder."""
    doc = row["doc"]
    ended = row["ended"] or time.time()
    outputs = doc.get("outputs", {"files": 0, "bytes": 0})
    return {
        "id": row["id"],
        "number": row["number"],
        "experiment": row["experiment"],
        "display_name": row["display_name"],
        "status": row["status"],
        "revision": row["revision"],
        "created": row["created"],
        "started": row["started"],
        "ended": row["ended"],
        "duration": ended - row["started"] if row["started"] else None,
        "target": row["target"],
        "environment": doc["environment"],
        "data": doc["data"],
        "outcome": doc.get("outcome", {}).get("status"),
        "failure": doc.get("failure"),
        "tracking": doc["tracking"],
        "tags": doc["tags"],
        "notes": doc["notes"],
        "pinned": doc["pinned"],
        "snapshot": doc["snapshot"],
        "outputs": {"files": outputs["files"], "bytes": outputs["bytes"]},
        "models": doc["models"],
        "parent": doc.get("parent"),
        "notices": doc["notices"],
        "queue_position": service.pool(row["target"]).position(row["id"]) if row["target"] in service.targets else None,
        "recorded": time.time(),
    }


def stages(record: Record, lacks: str = "") -> list[Stage]:
    """The stages as a ruler of time: each with its state, start, end (seconds since the epoch) and a short note. `lacks`:
    what a run in the queue waits for."""
    entered: dict[Status, float] = {}
    left: dict[Status, float] = {}
    current: Status | None = None
    for change in record.history:
        if change.status in _LIVE_CONDITIONS:
            continue  # they colour the stage they fell into; they are none
        if current is not None:
            left[current] = change.time
        if change.status is Status.QUEUED:
            for stage in STAGES[STAGES.index(Status.QUEUED) :]:  # what came after an earlier wait begins anew
                entered.pop(stage, None)
                left.pop(stage, None)
        if change.status in STAGES:
            entered.setdefault(change.status, change.time)
            current = change.status
        elif change.status.terminal:
            current = None
    return [_stage(record, stage, entered.get(stage), left.get(stage), lacks) for stage in STAGES]


def _stage(record: Record, stage: Status, started: float | None, ended: float | None, lacks: str) -> Stage:
    over = record.status.terminal
    if started is None:
        state = "skipped" if over else "pending"
    elif ended is None and not over:
        state = "active"
    elif over and record.status is Status.FAILED and stage is _broken(record):
        state = "failed"
    else:
        state = "done"
    return {
        "name": stage.value,
        "state": state,
        "started": started,
        "ended": ended,
        "note": _note(record, stage, lacks),
    }


def _broken(record: Record) -> Status | None:
    """The stage in which a failed run broke: the last one that it entered, but for the cleaning up after it."""
    seen = [c.status for c in record.history if c.status in STAGES]
    if len(seen) > 1 and seen[-1] is Status.FINALIZING:
        return seen[-2]
    return seen[-1] if seen else None


def _note(record: Record, stage: Status, lacks: str) -> str:
    if stage is Status.PREPARING:
        return str(record.doc.get("preparing", ""))
    if stage is Status.QUEUED:
        return lacks
    if stage is Status.RUNNING and attempt(record) > 1:
        return f"attempt {attempt(record)}"
    if stage is Status.FINALIZING and record.status.terminal:
        return {"synced": "MLflow synced", "pending": "MLflow pending", "error": "MLflow error"}.get(
            record.doc["tracking"]["state"], ""
        )
    return ""


def _resources(asked: spec.Resources) -> Resources:
    return {
        "gpus": asked.gpus,
        "cpus": asked.cpus,
        "memory_gb": asked.memory_gb,
        "max_run_seconds": asked.max_run_seconds,
    }


def _progress(extra: dict[str, Any], record: Record) -> Progress | None:
    last = extra.get("progress")
    if last is None or not _number(last["value"]):
        return None  # a script's own record, without a number
    first = extra.get("progress_from", last)
    total = last["total"] if _number(last["total"]) else None
    eta = None
    if total and not record.status.terminal and all(map(_number, (first["value"], first["t"], last["t"]))):
        done, elapsed = last["value"] - first["value"], last["t"] - first["t"]
        eta = max(0.0, (total - last["value"]) * elapsed / done) if done > 0 else None
    return {"label": str(last["label"]), "value": last["value"], "total": total, "eta": eta}


def _number(value: Any) -> bool:
    """Whether it can be counted with: also not NaN, nor beyond a float's range."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -_HUGE < value < _HUGE


def _texts(found: dict[str, Any]) -> dict[str, str]:
    """Tags or properties as the run client writes them, also where a script wrote its own."""
    return {key: value if isinstance(value, str) else str(value) for key, value in found.items()}
