"""Every fault, a few rounds each (`MLTRAIN_FAULT_ROUNDS`, default 2); `python -m tests.faults.repeat CASE N` does more."""

from __future__ import annotations

import os

import pytest

from tests.faults.catalog import CASES
from tests.faults.repeat import repeat

ROUNDS = int(os.environ.get("MLTRAIN_FAULT_ROUNDS", "2"))


@pytest.mark.slow
@pytest.mark.timeout(200 + 200 * ROUNDS)
@pytest.mark.parametrize("name", CASES)
def test_fault(name: str) -> None:
    failed = repeat(name, ROUNDS, say=print)
    assert not failed, f"{len(failed)} of {ROUNDS} rounds failed; first:\n{failed[0]}"
