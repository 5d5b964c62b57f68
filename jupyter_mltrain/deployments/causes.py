"""Why a server ended, from its shim's exit record and what it said itself: one line, with the evidence."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

FAILED = 3
"""Exit code of a server that says in `failure.json` why it cannot serve."""


def cause(exit_record: Mapping[str, Any] | None, said: Mapping[str, Any] | None) -> dict[str, Any]:
    """`title`, `evidence` (facts), `traceback` and `mend`, and `final` where another start would end the same way. `said`:
    its `failure.json`; no exit record: nobody saw it."""
    if exit_record is None:
        return _cause("Its process ended unseen: the supervisor was killed.", ["exit code unknown"])
    limit, peak = exit_record.get("limit_bytes"), exit_record.get("peak_bytes") or 0
    if exit_record.get("stopped") == "memory limit" or exit_record.get("oom_kills"):
        bound = f"its limit of {limit / 1e9:.2f} GB" if limit else "what the machine has"
        evidence = [f"peak {peak / 1e9:.2f} GB", f"out-of-memory kills: {exit_record.get('oom_kills', 0)}"]
        return _cause(
            f"It needed more memory than {bound}.", evidence, mend="Deploy it with more memory (`memory_gb`)."
        )
    if said is not None and exit_record.get("code") == FAILED:
        evidence = list(said.get("evidence", [f"exit code {FAILED}"]))
        why = _cause(str(said["title"]), evidence, traceback=said.get("traceback"), mend=said.get("mend", ""))
        return {**why, "final": True} if said.get("final") else why
    if exit_record.get("error"):
        return _cause(f"It could not be started: {exit_record['error']}.", [])
    number = exit_record.get("signal")
    if number is not None:
        name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
        return _cause(f"It was ended by {name}.", [f"signal {number}", f"peak {peak / 1e9:.2f} GB"])
    code = exit_record.get("code")
    return _cause(f"It ended by itself with exit code {code}.", [f"exit code {code}"])


def _cause(title: str, evidence: list[str], *, traceback: str | None = None, mend: str = "") -> dict[str, Any]:
    return {"title": title, "evidence": evidence, "traceback": traceback, "mend": mend or "Its log says more."}
