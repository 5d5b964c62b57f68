"""What clients send about compute targets, checked."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from jupyter_mltrain.service.wire import Wire


class PoolRequest(Wire):
    """A pool of nodes on this machine."""

    name: str
    size: str
    priority: str = "dedicated"
    min_nodes: int = 0
    max_nodes: int = 4
    idle_seconds: float = 1800
    description: Annotated[str, Field(max_length=10_000)] = ""
    tags: dict[str, str] = {}


class AttachRequest(Wire):
    """What is there already, as a target: `engine` and its settings."""

    name: str
    engine: str
    settings: dict[str, Any] = {}
    description: Annotated[str, Field(max_length=10_000)] = ""
    tags: dict[str, str] = {}


class TargetChanges(Wire):
    """What is left out stays."""

    min_nodes: int | None = None
    max_nodes: int | None = None
    idle_seconds: float | None = None
    tags: dict[str, str] | None = None
    description: str | None = None


class TargetPruneRequest(Wire):
    dry_run: bool = True
