"""What the end of a run that was waited for means: nothing to say, or `RunFailed`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_mltrain.commands.display import one_line
from jupyter_mltrain.core.status import Status
from jupyter_mltrain.errors import RunFailed


def check_outcome(state: Mapping[str, Any]) -> None:
    """Raise `RunFailed`, with the cause in one line, for a run that ended without completing."""
    status = Status(state["status"])
    if not status.terminal or status is Status.COMPLETED:
        return
    name = state["display_name"]
    if status is Status.CANCELED:
        raise RunFailed(f"{name} was canceled.", mend=f"What it left: `%mltrain show {name}`.", run_id=state["id"])
    failure: Mapping[str, Any] = state.get("failure") or {}
    cause = one_line(failure.get("title") or "it did not complete", 300).rstrip(".")
    facts = "; ".join(one_line(fact) for fact in (failure.get("evidence") or ())[:2])
    if facts:
        cause += f" ({facts})"
    mend = str(failure.get("mend") or f"What it wrote: `%mltrain logs {name}`.")
    raise RunFailed(f"{name} failed: {cause}.", mend=mend, run_id=state["id"])
