"""What an engine keeps for us beyond its use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Leftover:
    """Something that an engine keeps for us and that no live run needs."""

    kind: str
    """`container`, `volume`, `network` or `image`."""
    name: str
    bytes: int | None
    """None where the engine does not say."""
    why: str
    """`run tidy-otter-3 has ended`, `environments, built again when they are needed`."""
    host: str = ""
    """Where it is, of a target that has several hosts."""
