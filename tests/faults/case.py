"""What a fault is here: a function that does one round in a world of its own and asserts. `catalog` holds them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.world import World


@dataclass(frozen=True)
class Case:
    """`slots`: of the world's target. `tmpfs_mb`: the world lies on a small disk of its own, of that many MB."""

    name: str
    round: Callable[[World], None]
    slots: int = 8
    publish: bool = False
    tmpfs_mb: int | None = None


CASES: dict[str, Case] = {}


def case(
    *, slots: int = 8, publish: bool = False, tmpfs_mb: int | None = None
) -> Callable[[Callable[[World], None]], Callable[[World], None]]:
    """Enter a function, under its own name."""

    def enter(function: Callable[[World], None]) -> Callable[[World], None]:
        CASES[function.__name__] = Case(function.__name__, function, slots, publish, tmpfs_mb)
        return function

    return enter
