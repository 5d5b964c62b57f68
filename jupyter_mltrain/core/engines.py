"""What some engines have beside `core.compute.Compute`, and how the service tells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from jupyter_mltrain.core.compute import Capacity, ContainerCompute, Handle, Health, LaunchPlan


@runtime_checkable
class Foretelling(Protocol):
    """An engine whose runs can be found though nobody was told of their launch."""

    def foretold(self, plan: LaunchPlan) -> Handle:
        """The handle that `launch` returns for the plan, as far as it needs to be known. Pure."""
        ...


@runtime_checkable
class Rewinding(Protocol):
    """An engine whose runs can begin again: those that gave up their place, and those whose processes were lost."""

    async def rewind(self, handle: Handle, into: Path, note: str) -> None:
        """Make a run whose processes have ended ready to be launched once more: all that there is of it goes, but its record
        `into`, to whose log `note` is added. What it made is collected already; its next working folder gets it from there.
        Idempotent."""
        ...


@runtime_checkable
class ManyHosts(Protocol):
    """An engine whose runs are on one of several hosts each: the one that their grant names, and their handle."""

    def on(self, host: str) -> ContainerCompute:
        """The engine of one host. Raises `EngineError` for one that the target does not have (any more)."""
        ...

    async def capacities(self) -> Mapping[str, Capacity]:
        """What each host has, by its name. Raises what the first one that cannot be asked raises."""
        ...

    async def checks(self, within: float | None = None) -> Mapping[str, Health]:
        """Whether each host can be used, by its name; one that has not answered within so many seconds cannot. Never
        raises."""
        ...


def together(found: Mapping[str, Health]) -> Health:
    """The health of a target by that of its hosts: good where any of them is; of the others `problem` tells all the same."""
    bad = {name: health for name, health in found.items() if not health.ok}
    return Health(
        ok=len(bad) < len(found),
        problem=" ".join(f"{name}: {health.problem}" for name, health in bad.items()),
        mend=next((health.mend for health in bad.values()), ""),
        steps=tuple(f"{name}: {step}" for name, health in found.items() for step in health.steps),
    )
