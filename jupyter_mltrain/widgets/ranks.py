"""The ranks of a run of several processes in short, as HTML and as plain text; `js/src/ui/RecordedRanks.tsx` says the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from jupyter_mltrain.widgets import formats

MOST = 16
"""So many are shown, those that failed first before the others."""

_STATUSES = ("waiting", "starting", "running", "completed", "failed", "ended", "lost")
# Shapes, so that ranks are told apart without their colours: five of them by four colours.
_SHAPES = "●■▲◆▼"
_COLOURS = 4


def log_of(rank: int) -> str:
    """The name of a rank's log."""
    return f"user_logs/std_log_{rank}.txt" if rank else "user_logs/std_log.txt"


def first_failed(state: Mapping[str, Any]) -> int | None:
    """The rank whose failure is the run's; None where none failed, or there is only one process."""
    if (state.get("processes") or 1) < 2:
        return None
    told = (state.get("failure") or {}).get("rank")
    return told if told is not None else (state.get("ranks") or {}).get("failed")


def failed_html(state: Mapping[str, Any]) -> str:
    """Which rank failed first, for the head of a failure; "" where there is none."""
    rank = first_failed(state)
    if rank is None:
        return ""
    known = next((one for one in _ranks(state) if one.get("rank") == rank), {})
    place = "".join(f" · {_text(word)}" for word in _place(known))
    return f'<span class="mlt-first">First to fail: {_mark(rank)}{place}</span>'


def html(state: Mapping[str, Any]) -> str:
    """A folded list of the ranks, at most `MOST`; "" for a run of one process."""
    shown = _shown(state)
    if not shown:
        return ""
    rows = "".join(
        f"<li>{_mark(one['rank'])}{''.join(f' · {_text(word)}' for word in _words(one))}</li>" for one in shown
    )
    speed = _speed(state)
    return (
        f'<details><summary>Ranks <span class="mlt-num">{_text(_counted(state))}</span></summary>'
        + (f'<p class="mlt-speed mlt-num">{_text(speed)}</p>' if speed else "")
        + f'<ul class="mlt-few">{rows}</ul></details>'
    )


def lines(state: Mapping[str, Any]) -> list[str]:
    """The same as lines of text."""
    shown = _shown(state)
    if not shown:
        return []
    rank = first_failed(state)
    head = f"Ranks: {_counted(state)}" + ("" if rank is None else f"; rank {rank} failed first")
    speed = _speed(state)
    rows = [" · ".join([f"Rank {one['rank']}", *_words(one)]) for one in shown]
    return [head, *([speed] if speed else []), *(f"  {row}" for row in rows)]


def _ranks(state: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return (state.get("ranks") or {}).get("ranks") or []


def _shown(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if (state.get("processes") or 1) < 2:
        return []
    first = first_failed(state)
    return sorted(_ranks(state), key=lambda one: (one["rank"] != first, one["rank"]))[:MOST]


def _words(one: Mapping[str, Any]) -> list[str]:
    step = one.get("step")
    words = [*_place(one), one.get("status"), None if step is None else f"step {formats.number(step)}", one.get("exit")]
    return [str(word) for word in words if word]


def _place(one: Mapping[str, Any]) -> list[str]:
    return [str(one[key]) for key in ("role", "host") if one.get(key)]


def _counted(state: Mapping[str, Any]) -> str:
    known = _ranks(state)
    counts = [(status, sum(one.get("status") == status for one in known)) for status in _STATUSES]
    said = [f"{formats.number(count)} {status}" for status, count in counts if count]
    rest = int(state.get("processes") or 1) - len(known)
    return ", ".join([*said, *([f"{formats.number(rest)} more"] if rest > 0 else [])])


def _speed(state: Mapping[str, Any]) -> str:
    told = state.get("ranks") or {}
    scaling = told.get("scaling") or {}
    speed = told.get("examples") if told.get("examples") is not None else scaling.get("examples")
    if speed is None:
        return ""
    return f"{formats.number(speed if speed < 100 else round(speed))} examples/s in all · {_efficiency(scaling)}"


def _efficiency(scaling: Mapping[str, Any]) -> str:
    if scaling.get("examples") is None:
        return "efficiency: once every rank has counted"
    baseline = scaling.get("baseline")
    if not baseline:
        return "no efficiency: no run of one process to compare with"
    run = baseline.get("name") or baseline.get("run_id")
    if scaling.get("efficiency") is None:
        return f"no efficiency: {run} counted no examples"
    share = formats.number(round(100 * scaling["efficiency"]))
    return f"{share} % of {scaling['processes']} times {run}, one process"


def _mark(rank: int) -> str:
    colour = f"var(--mlt-s{rank % _COLOURS + 1})"
    shape = _SHAPES[rank % len(_SHAPES)]
    return f'<span class="mlt-mark mlt-num"><i aria-hidden="true" style="color:{colour}">{shape}</i>Rank {int(rank)}</span>'


def _text(value: object) -> str:
    return escape(str(value), quote=False)
