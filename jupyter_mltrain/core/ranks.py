"""One process of a run among several: what an engine is to start, and why its shim may end it for the others' sake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PEER_FAILED = "another rank failed"
PEERS_DONE = "the others are done"
"""The rank would go on without end, and those that lead the run have ended well."""
NOT_JOINED = "not all joined"
"""Others did not come to find this rank in time, or cannot any more."""
PORT_TAKEN = "port taken"
"""Somebody else listens where the rank is to; its script was not begun."""
MPIRUN_ENDED = "mpirun ended"
"""What started the ranks is gone, and none of them had failed."""
JOIN_SECONDS = 300.0
"""How long the ranks that have come wait for the others, where nobody says otherwise."""


@dataclass(frozen=True)
class RankPlan:
    """One process of a run: argument list and environment (on top of the engine's own), paths as the engine sees them.

    `role`: what it is among several, `worker 1`; `node`: on which of the run's nodes it is, from 0 on; `address`: where it
    listens once it has come, empty where another tells of that; `lingers`: seconds that it may go on once those that lead the
    run are done.
    """

    rank: int
    argv: tuple[str, ...]
    env: Mapping[str, str]
    role: str = ""
    node: int = 0
    address: str = ""
    lingers: float = 0.0


def port_of(number: int) -> str:
    """What stands in a plan for the `number`-th port of a run (from 0 on), which the engine chooses at launch."""
    return f"<port {number}>"


def interface_of(address: str) -> str:
    """What stands in a plan for the name of the network interface that has an address, which the rank's shim finds out."""
    return f"<interface of {address}>"
