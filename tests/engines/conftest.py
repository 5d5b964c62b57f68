"""A bench on the local engine for each test, and one MLflow for all tests of a file."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from jupyter_mltrain.computes.local import LocalCompute
from jupyter_mltrain.testing import bench as bench_module
from jupyter_mltrain.testing.bench import Bench
from jupyter_mltrain.tracking.publisher import Tracking
from tests.engines.published import Plain


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real TensorFlow takes longer to come up than what the contract's scripts do."""
    monkeypatch.setattr(bench_module, "PATIENCE", 300.0)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """On the local engine; a file about another engine has its own."""
    bench = Bench(LocalCompute(), tmp_path)
    yield bench
    await bench.close()


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
