"""The engine contract, on the local engine and on one that shares no file system."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_mltrain.computes import load
from jupyter_mltrain.core.compute import Compute
from jupyter_mltrain.testing.compute_contract import ComputeContract
from jupyter_mltrain.testing.fake_remote import FakeRemoteCompute


class TestLocal(ComputeContract):
    @pytest.fixture
    def compute(self, tmp_path: Path) -> Compute:
        return load("local")

    def again(self, compute: Compute) -> Compute:
        return load("local")


class TestFakeRemote(ComputeContract):
    @pytest.fixture
    def compute(self, tmp_path: Path) -> Compute:
        return FakeRemoteCompute(root=tmp_path / "there")

    def again(self, compute: Compute) -> Compute:
        assert isinstance(compute, FakeRemoteCompute)
        return FakeRemoteCompute(root=compute.wire.there)
