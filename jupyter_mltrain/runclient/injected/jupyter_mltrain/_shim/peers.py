"""The other ranks of a run, as far as they are in the same folder: whether what they came to ends this one."""

from __future__ import annotations

from typing import Any, Mapping

from . import records

FAILED = "another rank failed"
DONE = "the others are done"
"""As in `core.ranks`."""
GRACE = 3.0
"""Seconds that a rank then has to end."""


class Peers:
    """`launch`: the record of the rank's launch. Looked at about once a second, so that the run's ranks end together also
    while nobody else watches them."""

    def __init__(self, launch: Mapping[str, Any], own: records.Rank) -> None:
        numbers = range(int(launch.get("ranks", 1)))
        self._lead: list[int] = list(launch.get("lead", ()))
        self._leads = own.rank in self._lead
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
                    return FAILED  # its shim is gone, and nobody knows what became of it
            elif exit_record.get("code") == 0:
                ended.append(peer.rank)
            elif exit_record.get("stopped") != DONE:
                return FAILED
        return DONE if self._lead and not self._leads and set(self._lead) <= set(ended) else ""
