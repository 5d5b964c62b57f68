"""The other ranks of a run, as far as they are in the same folder: whether what they came to ends this one."""

from __future__ import annotations

import signal
import time
from typing import Any, Mapping

from . import processes, records

FAILED = "another rank failed"
DONE = "the others are done"
"""As in `core.ranks`."""
GRACE = 2.5
"""Seconds that a rank then has to end."""


class Peers:
    """`launch`: the record of the rank's launch. Looked at about once a second, so that the run's ranks end together also
    while nobody else watches them."""

    def __init__(self, launch: Mapping[str, Any], own: records.Rank) -> None:
        numbers = range(int(launch.get("ranks", 1)))
        self._lead: list[int] = list(launch.get("lead", ()))
        self._leads = own.rank in self._lead
        self._lingers = float(launch.get("lingers", 0))
        self._done: float | None = None
        self._run_id = str(launch["run_id"])
        self._lost: list[records.Rank] = []
        self._others = [records.Rank(own.folder, number) for number in numbers if number != own.rank]

    def verdict(self) -> str:
        """Why this rank is to end: `FAILED`, `DONE`, or an empty string."""
        ended: list[int] = []
        for peer in self._others:
            # In this order: a shim takes its lock before it starts anything, and frees it after its exit record is written.
            launched, held = records.launched(peer), records.is_held(peer.lock)
            exit_record = records.read(peer.exit)
            if exit_record is None:
                if launched and not held:
                    # Its shim is gone, and nobody knows what becomes of it: nobody else ends it while no service runs.
                    self._lost = [peer]
                    self._end_orphans(signal.SIGTERM)
                    return FAILED
            elif exit_record.get("code") == 0:
                ended.append(peer.rank)
            elif exit_record.get("stopped") != DONE:
                return FAILED
        if not self._lead or self._leads or not set(self._lead) <= set(ended):
            return ""
        self._done = self._done or time.monotonic()
        return DONE if time.monotonic() - self._done >= self._lingers else ""

    def end_orphans(self) -> None:
        """End what is left of a rank whose shim is gone; it was asked to when that was seen."""
        self._end_orphans(signal.SIGKILL)

    def _end_orphans(self, number: signal.Signals) -> None:
        for peer in self._lost:
            start = records.read(peer.start)
            main = processes.same(start["pid"], start["start_ticks"]) if start is not None else None
            roots = [main] if main is not None else []
            for process in {*roots, *processes.of_run(self._run_id, [p.pid for p in roots], peer.rank)}:
                processes.send(process, number)
                processes.send(process, signal.SIGCONT)
