"""What is seen of a run from its records and its locks; decides nothing, changes nothing."""

from __future__ import annotations

from typing import Any

from . import processes, records


def observe(folder: str) -> dict[str, Any]:
    """`phase` (of `core.compute.Phase`), `exits`, `started`, `beats` ({rank: counter}), `memory` (bytes now), `data` (how
    that is kept from changes), `detail` and `evidence` of the run whose folder that is."""
    seen = [_rank(rank) for rank in records.ranks(folder)]
    phases = [one["phase"] for one in seen]
    worst = next((p for p in ("vanished", "absent", "starting", "running") if p in phases), None)
    started = [one["started"] for one in seen if one["started"] is not None]
    return {
        "phase": worst or ("exited" if seen else "absent"),
        "exits": [one["exit"] for one in seen if one["exit"] is not None],
        "started": min(started) if started else None,
        "beats": {str(one["rank"]): one["beat"] for one in seen if one["phase"] == "running"},
        "memory": sum(one["memory"] for one in seen),
        "data": next((one["data"] for one in seen if one["data"]), ""),
        "detail": "; ".join(sorted({one["detail"] for one in seen if one["detail"]})),
        "evidence": {str(one["rank"]): one["evidence"] for one in seen if one["evidence"]},
    }


def ended(folder: str) -> bool:
    """Whether nothing of the run can write to its streams any more: each rank has an exit record, or neither shim nor
    main process."""
    seen = [_rank(rank) for rank in records.ranks(folder)]
    return all(one["phase"] not in ("starting", "running") and not one["evidence"].get("alive") for one in seen)


def _rank(rank: records.Rank) -> dict[str, Any]:
    result: dict[str, Any] = {
        "rank": rank.rank, "phase": "absent", "exit": None, "started": None, "beat": 0, "memory": 0, "detail": "", "data": "",
        "evidence": {},
    }  # fmt: skip
    # The shim writes its exit record before it frees the lock: so a free lock and then no record means there is none.
    held = records.is_held(rank.lock)
    start = records.read(rank.start)
    result["exit"] = records.read(rank.exit)
    if start is not None:
        result["started"] = start["time"]
        result["data"] = start.get("data", "")
    if result["exit"] is not None:
        result["phase"] = "exited"
    elif held:
        result["phase"] = "starting" if start is None else "running"
        result["beat"], result["memory"] = _beat(rank)
    elif start is not None:
        result["phase"] = "vanished"
        result["detail"], result["evidence"] = _vanished(start)
    return result


def _vanished(start: dict[str, Any]) -> Any:
    if start["boot_id"] and start["boot_id"] != records.boot_id():
        return "machine restarted", {"boot_id": start["boot_id"], "boot_id_now": records.boot_id()}
    main: processes.Process | None = processes.same(start["pid"], start["start_ticks"])
    evidence = {"shim_pid": start["shim_pid"], "pid": start["pid"], "alive": main is not None}
    return "supervisor lost, exit code unknown", evidence


def _beat(rank: records.Rank) -> list[int]:
    try:
        with open(rank.beat, "rb") as file:
            counter, used = file.read().split()
            return [int(counter), int(used)]
    except (FileNotFoundError, ValueError):
        return [0, 0]
