"""Runs of several processes on the local engine."""

from __future__ import annotations

import pytest

from jupyter_mltrain.computes.local import LocalCompute
from jupyter_mltrain.testing.ranks_contract import RanksContract


class TestLocalRanks(RanksContract):
    @pytest.fixture
    def compute(self) -> LocalCompute:
        return LocalCompute()

    def again(self, compute: LocalCompute) -> LocalCompute:
        return LocalCompute()
