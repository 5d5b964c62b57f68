"""What a shim's verbs report (JSON), as the types of the engine contract."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from jupyter_mltrain.core.compute import Exit, Observation, Phase, StopEvidence

_EXIT_FIELDS = {field.name for field in dataclasses.fields(Exit)}


def exit_of(raw: Mapping[str, Any]) -> Exit:
    """An exit record; keys of a newer shim are left out."""
    values: dict[str, Any] = {key: value for key, value in raw.items() if key in _EXIT_FIELDS}
    values["leftovers"] = tuple(raw.get("leftovers", ()))
    return Exit(**values)


def stop_of(raw: Mapping[str, Any]) -> StopEvidence:
    return StopEvidence(
        signals=tuple(raw["signals"]),
        ended=tuple(raw["ended"]),
        remaining=tuple(raw["remaining"]),
        seconds=float(raw["seconds"]),
    )


class Heartbeats:
    """Ages of heartbeats on this reader's own clock: a counter is old for as long as *we* have not seen it change, so no
    two machines' clocks are compared."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[int, float]] = {}

    def observation(self, run_id: str, raw: Mapping[str, Any]) -> Observation:
        """The observation that the verb `observe` printed."""
        now = time.monotonic()
        ages: list[float] = []
        for rank, counter in raw["beats"].items():
            known = self._seen.get((run_id, rank))
            if known is None or known[0] != counter:
                known = self._seen[run_id, rank] = (counter, now)
            ages.append(now - known[1])
        if not raw["beats"]:
            self.forget(run_id)
        return Observation(
            phase=Phase(raw["phase"]),
            exits=tuple(exit_of(one) for one in raw["exits"]),
            started=raw["started"],
            beat_age=max(ages) if ages else None,
            detail=raw["detail"],
            evidence={
                **({"ranks": raw["evidence"]} if raw["evidence"] else {}),
                **({"data": raw["data"]} if raw.get("data") else {}),
                "memory": raw["memory"],
            },
        )

    def forget(self, run_id: str) -> None:
        for key in [key for key in self._seen if key[0] == run_id]:
            del self._seen[key]
