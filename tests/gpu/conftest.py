"""The lane of tests that need an NVIDIA GPU: they run where there is one, and are no part of the others' count elsewhere.

`make gpu` (or `JUPYTER_MLTRAIN_TEST_GPU=1`) wants them: without a device they then fail.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jupyter_mltrain.computes.gpus import names
from tests.integration.conftest import experiment, own_folders, workspace, world

__all__ = ["experiment", "own_folders", "workspace", "world"]


@pytest.fixture(scope="session")
def devices() -> tuple[str, ...]:
    """Names of this machine's GPUs, by index."""
    found = names()
    if not found:
        pytest.fail("The tests of tests/gpu need an NVIDIA GPU, and nvidia-smi lists none here.", pytrace=False)
    return found


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    mine = [item for item in items if Path(__file__).parent in item.path.parents]
    if mine and not os.environ.get("JUPYTER_MLTRAIN_TEST_GPU") and not names():
        config.hook.pytest_deselected(items=mine)
        items[:] = [item for item in items if item not in mine]
