"""What is known of each process of a run: from what its engine saw last, its record, and what came with its streams.

Nobody is asked for it, so it costs the same whatever the engine. Metrics are read every two seconds at most.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.computes import ranks as shape
from jupyter_mltrain.core.compute import FROM_OUTSIDE, Exit, Observation, Phase
from jupyter_mltrain.core.ranks import PEER_FAILED, PEERS_DONE
from jupyter_mltrain.core.status import Status
from jupyter_mltrain.service.again import attempt
from jupyter_mltrain.service.failure import failed_ranks
from jupyter_mltrain.service.scaling import scaling_of
from jupyter_mltrain.service.steps import Pace, paces
from jupyter_mltrain.service.system import SAMPLES

if TYPE_CHECKING:
    from jupyter_mltrain.core.wire_ranks import RankState, RankStatus, RunRanks, Scaling
    from jupyter_mltrain.service.record import Record
    from jupyter_mltrain.service.service import Service

IN_STATE = 32
"""Ranks in a run's state; the route gives all."""
_FRESH_SECONDS = 2.0
_SECONDS_PER_RANK = 0.05
"""To read a rank takes up to half a millisecond: a hundredth of a core at most, however many there are."""
_LATER_SECONDS = 30.0
"""The same once a run is over: another may have completed that it can be compared with."""
_WITH_THE_OTHERS = {PEER_FAILED: "ended: another rank failed", PEERS_DONE: "ended: the others are done"}
_WAITING = frozenset({Status.NOT_STARTED, Status.PREPARING, Status.QUEUED})


@dataclass
class Measured:
    """What the streams tell of a run's ranks, by rank."""

    when: float = 0.0
    points: int = -1
    paces: Mapping[int, Pace] = field(default_factory=dict)
    used: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    gpus: Mapping[int, list[str]] = field(default_factory=dict)
    scaling: Scaling | None = None


async def run_ranks(service: Service, record: Record, baseline: Record | None = None) -> RunRanks:
    """All processes of a run. `baseline`: the run to compare with, instead of one that is looked for."""
    measured = await _measured(service, record)
    scaling = measured.scaling if baseline is None else await scaling_of(service, record, baseline)
    return tell(record, measured, scaling)


async def ranks_in_state(service: Service, record: Record) -> RunRanks | None:
    """The same, bounded, for the state of a run; None for a run of one process."""
    if record.spec.distribution is None:
        return None
    told = await run_ranks(service, record)
    return {**told, "ranks": few(told["ranks"])}


def saw(record: Record, seen: Observation) -> None:
    """Keep what the engine saw; who waits for news is told where a rank came up or ended."""
    if seen.phase is Phase.UNREACHABLE:
        return
    before, record.seen = record.seen, seen
    if record.spec.distribution is not None and (before is None or len(before.exits) != len(seen.exits)):
        record.touch()


def tell(record: Record, measured: Measured, scaling: Scaling | None) -> RunRanks:
    """The document, from what is known."""
    exits = _exits(record)
    failed = _failed(record, exits)
    plan = shape.ranks(record.spec.distribution).each
    ranks = [_rank(record, one, exits.get(one.rank), failed, measured) for one in plan]
    if failed is None and exits:
        # Nobody knows how a lost one ended; the others ended for it.
        failed = next((one["rank"] for one in ranks if one["status"] == "lost"), None)
    counting = shape.counting(record.spec.distribution)
    rates = [measured.paces[rank].examples if rank in measured.paces else None for rank in counting]
    whole = [rate for rate in rates if rate is not None]
    return {
        "ranks": ranks,
        "failed": failed,
        "examples": sum(whole) if len(whole) == len(rates) else None,
        "scaling": scaling,
    }


def _rank(record: Record, one: shape.Rank, exit_: Exit | None, failed: int | None, measured: Measured) -> RankState:
    pace = measured.paces.get(one.rank, Pace())
    used = measured.used.get(one.rank, {})
    status = _status(record, one.rank, exit_, failed)
    return {
        "rank": one.rank,
        "role": one.role,
        "node": one.node,
        "host": _host(record, one.node),
        "status": status,
        "step": pace.step,
        "behind": pace.behind,
        "gpus": measured.gpus.get(one.rank) or _granted(record, one),
        "cpu": used.get("cpu_percent"),
        "memory": int(used["memory_bytes"]) if "memory_bytes" in used else None,
        "examples": pace.examples,
        "exit": _exit_words(exit_) if exit_ is not None else "never started" if status == "ended" else "",
    }


def _status(record: Record, rank: int, exit_: Exit | None, failed: int | None) -> RankStatus:
    if record.status in _WAITING:
        return "waiting"
    if exit_ is not None:
        return _ended(exit_, leads=rank == failed)
    if record.status.terminal or record.status is Status.FINALIZING:
        return "lost" if record.doc.get("handle") is not None else "ended"
    return _living(record, rank)


def _ended(exit_: Exit, *, leads: bool) -> RankStatus:
    if exit_.code == 0 and not exit_.error and exit_.stopped != FROM_OUTSIDE and not leads:
        return "completed"
    return "ended" if exit_.stopped in {*_WITH_THE_OTHERS, "requested"} and not leads else "failed"


def _living(record: Record, rank: int) -> RankStatus:
    if not record.placed:
        return "waiting"
    seen = record.seen
    if seen is not None and seen.phase is Phase.VANISHED:
        vanished = seen.evidence.get("ranks")
        return "lost" if not vanished or str(rank) in vanished else "running"
    # While nothing was seen since this service started, the run's own stage says it.
    up = seen.phase is Phase.RUNNING if seen is not None else record.row["started"] is not None
    return "running" if up else "starting"


def _exits(record: Record) -> dict[int, Exit]:
    """How ranks ended in their present life: one that gave up its place begins anew."""
    if record.status in _WAITING:
        return {}
    for change in reversed(record.history):
        if change.status is Status.QUEUED:
            break
        if "exits" in change.evidence:
            return {one["rank"]: Exit.from_json(one) for one in change.evidence["exits"]}
    return {one.rank: one for one in record.seen.exits} if record.seen is not None else {}


def _failed(record: Record, exits: Mapping[int, Exit]) -> int | None:
    """The rank that failed first: as the run's failure says it, before that by what is known of the ends."""
    told: int | None = (record.doc.get("failure") or {}).get("rank")
    if told is not None:
        return told
    own = [e for e in failed_ranks(exits.values()) if e.stopped not in {PEER_FAILED, "requested"}]
    return own[0].rank if own else None


def _exit_words(exit_: Exit) -> str:
    if exit_.error:
        return exit_.error.splitlines()[0][:200]
    if exit_.stopped:
        return _WITH_THE_OTHERS.get(exit_.stopped, exit_.stopped)
    if exit_.signal is not None:
        try:
            return signal.Signals(exit_.signal).name
        except ValueError:
            return f"signal {exit_.signal}"
    return f"exit code {exit_.code}"


def _grant(record: Record) -> dict[str, Any]:
    """`core.compute.Grant`, as it was saved."""
    return record.doc.get("grant") or {}


def _host(record: Record, node: int) -> str:
    hosts = _grant(record).get("hosts") or ()
    return str((hosts[node] if node < len(hosts) else _grant(record).get("host")) or record.spec.target)


def _granted(record: Record, one: shape.Rank) -> list[str]:
    """The numbers of the GPUs that a rank was given: its node's equal share."""
    gpus = () if one.serves else _grant(record).get("gpus", ())
    share = len(gpus) // record.spec.nodes
    return [str(index) for index in gpus[share * one.node : share * (one.node + 1)]]


def few(ranks: list[RankState]) -> list[RankState]:
    """At most `IN_STATE`: what is wrong first, then those that lag most, then by rank; in the order of ranks."""
    wrong = {"failed": 0, "lost": 1}
    by_weight = sorted(ranks, key=lambda one: (wrong.get(one["status"], 2), -(one["behind"] or 0.0), one["rank"]))
    return sorted(by_weight[:IN_STATE], key=lambda one: one["rank"])


async def _measured(service: Service, record: Record) -> Measured:
    known: Measured | None = record.measured
    points = await record.ingest.read(lambda columns: sum(one.count for one in columns.series.values()))
    if known is not None and time.monotonic() - known.when < _fresh(record, same=known.points == points):
        return known
    samples = record.ingest.beside(SAMPLES)
    await samples.absorb()
    sampled, _, extra = await samples.summary()
    used: dict[int, dict[str, float]] = {}
    for one in sampled:
        used.setdefault(one["rank"], {})[one["name"]] = one["last"]
    told = Measured(
        time.monotonic(),
        points,
        await paces(record.ingest, _begun(record)),
        used,
        {int(rank): _gpus(node, used.get(int(rank), {})) for rank, node in extra.get("nodes", {}).items()},
        await scaling_of(service, record),
    )
    record.measured = told
    return told


def _begun(record: Record) -> float:
    """When its present attempt was let wait for its turn; 0 for the first."""
    if attempt(record) == 1:
        return 0.0
    return next((change.time for change in reversed(record.history) if change.status is Status.QUEUED), 0.0)


def _fresh(record: Record, *, same: bool) -> float:
    """For how many seconds what was read is as good as new; `same`: nothing was logged since."""
    if record.status.terminal:
        return _LATER_SECONDS if same else 0.0
    distribution = record.spec.distribution
    return max(_FRESH_SECONDS, _SECONDS_PER_RANK * (distribution.processes if distribution is not None else 1))


def _gpus(node: Mapping[str, Any], used: Mapping[str, float]) -> list[str]:
    known = node.get("gpus", {}).get("gpus")
    found: list[str] = []
    for gpu in known if isinstance(known, list) else ():
        name = str(gpu.get("name")) if isinstance(gpu, dict) else ""
        load = used.get(f"gpu{name}_percent")
        words = f"{name} {gpu.get('model') or ''}".strip()
        found.append(words if load is None else f"{words}, {load:.0f} %")
    return found
