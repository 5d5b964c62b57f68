"""Ending a run from outside: ask its shims, and where a shim is gone do its work."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any

from . import processes, records

MARGIN = 15.0
"""Seconds that a shim may take beyond the grace before it counts as stuck."""


def stop(folder: str, run_id: str, grace: float) -> dict[str, Any]:
    """End all processes of the run: TERM, after `grace` seconds KILL. Returns `signals`, `ended`, `remaining`
    (`pid name` each) and `seconds`. A run that is over, or never was, is no error."""
    began = time.monotonic()
    ranks = records.ranks(folder)
    for rank in ranks:
        if not os.path.exists(rank.exit):
            with contextlib.suppress(OSError):  # disk full: the signal is enough, with the grace of the launch
                records.write(rank.stop, {"grace": grace})
            _tell(rank)
    for rank in ranks:
        patience = max(0.0, began + grace + MARGIN - time.monotonic())
        if not records.wait_for(lambda r=rank: not _busy(r), patience):
            _tell(rank, signal.SIGKILL)
            records.wait_for(lambda r=rank: not records.is_held(r.lock), 5)
    signals: list[str] = []
    ended: list[str] = []
    for rank in ranks:
        exit_record = records.read(rank.exit) or {}
        signals += [name for name in exit_record.get("stop_signals", ()) if name not in signals]
        ended += exit_record.get("ended_processes", ())
    remaining = _end_unheld(ranks, run_id, max(0.0, began + grace - time.monotonic()), signals, ended)
    seconds = round(time.monotonic() - began, 3)
    return {"signals": signals, "ended": ended, "remaining": remaining, "seconds": seconds}


def _busy(rank: records.Rank) -> bool:
    return records.is_held(rank.lock) and not os.path.exists(rank.exit)


def _tell(rank: records.Rank, number: int = signal.SIGTERM) -> None:
    """Signal the shim, if it is there and is the one that the record names. (It also looks for `stop.json` itself.)"""
    start = records.read(rank.start)
    if start is None or not records.is_held(rank.lock) or start["boot_id"] != records.boot_id():
        return
    shim = processes.same(start["shim_pid"], start["shim_start_ticks"])
    if shim is not None:
        processes.send(shim, number)


def _end_unheld(
    ranks: list[records.Rank], run_id: str, grace: float, signals: list[str], ended: list[str]
) -> list[str]:
    """End processes of the run that no shim holds any more; returns what is left after all."""
    mains = _mains(ranks)
    kill_at = time.monotonic() + grace
    seen: dict[int, str] = {}
    while True:
        present = _present(run_id, mains)
        late = time.monotonic() - kill_at
        if not present or late >= MARGIN:
            break
        number = signal.SIGKILL if late >= 0 else signal.SIGTERM
        for process in present:
            if number == signal.SIGKILL or process.pid not in seen:
                seen[process.pid] = str(process)
                if processes.send(process, number) and number.name not in signals:
                    signals.append(number.name)
                processes.send(process, signal.SIGCONT)  # one that is suspended would not see the other
        time.sleep(0.05)
    remaining = [str(process) for process in present]
    ended += [name for name in seen.values() if name not in remaining]
    return remaining


def _mains(ranks: list[records.Rank]) -> list[processes.Process]:
    """The main processes that the records name, as far as they live: pid, start time and boot are those of the record."""
    found = []
    for rank in ranks:
        start = records.read(rank.start)
        if start is not None and start["boot_id"] == records.boot_id():
            main = processes.same(start["pid"], start["start_ticks"])
            if main is not None:
                found.append(main)
    return found


def _present(run_id: str, mains: list[processes.Process]) -> list[processes.Process]:
    living = [main for main in mains if processes.same(main.pid, main.ticks)]
    others = processes.of_run(run_id, [main.pid for main in living])
    return living + [process for process in others if process.pid not in {main.pid for main in living}]
