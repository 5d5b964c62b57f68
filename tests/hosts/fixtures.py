"""Hosts of containers for any test: `from tests.hosts.fixtures import ...` stands in `tests/conftest.py`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hosts import shared
from tests.hosts.daemon import Engine
from tests.hosts.programs import NoHostError


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Engine]:
    """This machine's engine: one that runs and answers, or one of ours for this session."""
    try:
        with shared.engine() as engine:
            yield engine
    except NoHostError as missing:
        pytest.fail(str(missing), pytrace=False)
