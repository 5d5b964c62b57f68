"""A source folder to deploy; nothing outlives its test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_mltrain import Webservice
from jupyter_mltrain.api.workspace import Workspace
from tests.faults.world import World
from tests.integration.endpoints.scoring import Source


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


@pytest.fixture(autouse=True)
def nothing_left(world: World) -> Iterator[None]:
    """Endpoints outlive their service: each test ends its own."""
    yield
    for service in Webservice.list(Workspace(world.root)):
        service.delete()
