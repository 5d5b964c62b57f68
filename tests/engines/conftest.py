"""One MLflow for all tests of a file."""

from __future__ import annotations

import os

import pytest
import pytest_asyncio

from jupyter_mltrain.tracking.publisher import Tracking
from tests.engines.published import Plain


@pytest.fixture(autouse=True, scope="module")
def quiet():
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "1"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("workspace") / ".mltrain"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tracking(quiet, root):
    made = Tracking(root)
    yield made
    await made.close()


@pytest.fixture(scope="module")
def plain(tracking, root):
    return Plain(f"sqlite:///{root / 'mlflow.db'}")
