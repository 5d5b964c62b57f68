"""Why a run ended: from what the shims saw and the end of its log to one sentence, its evidence and the mend."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jupyter_mltrain.core.compute import FROM_OUTSIDE, Exit
from jupyter_mltrain.core.ranks import MPIRUN_ENDED, NOT_JOINED, PEER_FAILED, PEERS_DONE, PORT_TAKEN
from jupyter_mltrain.service.causes import LOST_TOUCH, NEVER_INIT, cause_of, words

_TAIL = 256 << 10
_ANSI = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
_TRACEBACK = b"Traceback (most recent call last):"

_IN_WORDS = frozenset(["no GPU", MPIRUN_ENDED, NOT_JOINED, PORT_TAKEN])
"""Where a rank's shim says in a whole sentence why its script was not begun, or was ended."""
_STOPPED = {
    "time limit": ("The time limit was reached", "Raise --max-run-time."),
    FROM_OUTSIDE: (
        "The container was stopped from outside",
        "Somebody stopped it, or its engine was shut down: rerun it.",
    ),
}


@dataclass(frozen=True)
class Failure:
    """`title` leads, `evidence` are short facts, `traceback` the script's last one, `mend` what to do."""

    title: str
    evidence: tuple[str, ...] = ()
    traceback: str | None = None
    rank: int | None = None
    mend: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "evidence": list(self.evidence),
            "traceback": self.traceback,
            "rank": self.rank,
            "mend": self.mend,
        }


def failed_ranks(exits: Iterable[Exit]) -> list[Exit]:
    """Those that did not end well, by the time of their end. One that was ended because the others were done has."""
    failed = [e for e in exits if e.code != 0 or e.error or e.stopped == FROM_OUTSIDE]
    return sorted((e for e in failed if e.stopped != PEERS_DONE), key=lambda e: e.ended)


def explain_first(
    exits: Sequence[Exit], streams: Path, begins: Mapping[str, int] = MappingProxyType({})
) -> Failure | None:
    """What happened to the rank that is the cause of a failure; None where all ended well.

    It is the one that ended first, but for those that end because another does: what that one was about to say is in its
    log, and it may take longer to end than they. `begins`: the bytes of each log, by its name, that an earlier attempt said.
    """
    failed = failed_ranks(exits)
    if not failed:
        return None
    logs = {e.rank: _said(streams / f"r{e.rank}.log", begins) for e in failed}
    first = failed[0] if len(failed) == 1 else min(failed, key=lambda e: (_follows(e, *logs[e.rank]), e.ended))
    failure = explain(first, *logs[first.rank], ranks=len(exits))
    alone = next((e for e in exits if e.note.startswith(NEVER_INIT)), None)
    if alone is not None and "HTTP request failed" in failure.title:
        title = f"Rank {alone.rank} ended without calling hvd.init(), for which rank {first.rank} waited."
        failure = replace(failure, title=title, rank=alone.rank, mend="Its log says what it does instead.")
    ended = sorted(e.rank for e in failed if e.stopped == PEER_FAILED)
    if ended and first.rank not in ended:
        failure = replace(
            failure, evidence=(*failure.evidence, f"ended for it: {', '.join(f'rank {n}' for n in ended)}")
        )
    return failure


def _said(log: Path, begins: Mapping[str, int]) -> tuple[Path, int]:
    return log, begins.get(log.name, 0)


def _follows(exit_: Exit, log: Path, begin: int) -> int:
    """How much a rank looks as if it ended because another did: 2 where its shim ended it for that, 1 where it lost touch.
    One that raised something of its own does not, also where it was ended meanwhile; nor one whose shim names the cause."""
    if exit_.stopped in _IN_WORDS:
        return -1
    traceback = last_traceback(log, begin)
    if traceback is not None and exit_.signal != signal.SIGABRT:
        return int(bool(LOST_TOUCH.search(_last_line(traceback))))
    return 2 if exit_.stopped == PEER_FAILED else int(exit_.signal == signal.SIGABRT)


def explain(exit_: Exit, log: Path, begin: int = 0, *, ranks: int = 1) -> Failure:
    """What happened to a rank that did not end with code 0. Its log is read from `begin` (bytes) on."""
    on_rank = f" on rank {exit_.rank}" if ranks > 1 else ""
    evidence = _evidence(exit_)
    if exit_.error:
        # The mend is on a line of its own.
        title, _, mend = exit_.error.partition("\n")
        what = title if exit_.stopped in _IN_WORDS else f"The process could not be started{on_rank}: {title}"
        return Failure(what, evidence, None, exit_.rank if exit_.cause is None else exit_.cause, mend)
    if exit_.stopped in _STOPPED:
        title, mend = _STOPPED[exit_.stopped]
        return Failure(f"{title}{on_rank}.", evidence, None, exit_.rank, mend)
    if exit_.stopped == "memory limit" or (exit_.oom_kills and exit_.signal == signal.SIGKILL):
        limit = f" of its {_gb(exit_.limit_bytes)} limit" if exit_.limit_bytes else ""
        return Failure(
            f"Out of memory{on_rank}: the process used {_gb(exit_.peak_bytes)}{limit} and was killed.",
            evidence,
            None,
            exit_.rank,
            "Give it more with --memory, or use a smaller batch.",
        )
    traceback = last_traceback(log, begin)
    if exit_.signal is not None and not (traceback and exit_.stopped == PEER_FAILED):
        name = _signal_name(exit_.signal)
        hint = " (probably out of memory: nothing else kills without a trace)" if exit_.signal == signal.SIGKILL else ""
        return Failure(f"The process was ended by {name}{on_rank}{hint}.", evidence, traceback, exit_.rank)
    cause = cause_of(_exception(log, begin), exit_.rank, ranks) if traceback and ranks > 1 else None
    if cause is not None:
        return Failure(cause.title, evidence, traceback, exit_.rank, cause.mend)
    title = (
        words(_exception(log, begin))[:300] + on_rank
        if traceback
        else f"The script ended with exit code {exit_.code}{on_rank}."
    )
    return Failure(title, evidence, traceback, exit_.rank, "" if traceback else "Its log says more.")


def last_traceback(log: Path, begin: int = 0) -> str | None:
    """The last Python traceback in the last 256 KB of a log from `begin` (bytes) on, without terminal colours; None if there is none."""
    lines = _from_traceback(log, begin)
    number = _exception_at(lines)
    # Notes and hints may follow the exception.
    return "\n".join(lines[: number + 12] if number else lines[:200]).rstrip() if lines else None


def _from_traceback(log: Path, begin: int) -> list[str]:
    """The lines from the last traceback on."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(begin, size - _TAIL))
            tail = _ANSI.sub(b"", file.read())
    except OSError:
        return []
    at = tail.rfind(_TRACEBACK)
    return tail[at:].decode(errors="replace").splitlines() if at >= 0 else []


def _exception_at(lines: Sequence[str]) -> int:
    """The first line that is neither a frame nor its code is the exception; 0 where there is none."""
    return next((n for n, line in enumerate(lines) if n and line and not line.startswith(" ")), 0)


def _exception(log: Path, begin: int) -> str:
    """The last exception and what was said after it."""
    lines = _from_traceback(log, begin)
    number = _exception_at(lines)
    return "\n".join(lines[number:]) if number else "The script raised an exception."


def _last_line(traceback: str) -> str:
    for line in traceback.splitlines()[1:]:
        if line and not line.startswith(" "):
            return line[:300]
    return "The script raised an exception."


def _evidence(exit_: Exit) -> tuple[str, ...]:
    facts: list[str] = []
    if exit_.code is not None:
        facts.append(f"exit code {exit_.code}")
    if exit_.signal is not None:
        facts.append(f"signal {exit_.signal} ({_signal_name(exit_.signal)})")
    if exit_.stopped:
        facts.append(f"stopped: {exit_.stopped}")
    if exit_.oom_kills:
        facts.append(f"oom_kill counter rose by {exit_.oom_kills}")
    if exit_.peak_bytes:
        facts.append(f"peak memory {_gb(exit_.peak_bytes)}")
    if exit_.leftovers:
        facts.append(f"ended with it: {', '.join(exit_.leftovers[:5])}")
    return tuple(facts)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _gb(size: int | None) -> str:
    return f"{(size or 0) / 1e9:.1f} GB" if (size or 0) >= 1e8 else f"{(size or 0) / 1e6:.0f} MB"
