"""All cases, by name."""

from __future__ import annotations

from tests.faults import (
    killed_endpoint,
    killed_kernel,
    killed_service,
    killed_shim,
    killed_training,
    many,
    pools,
    processes,
    storage,
)
from tests.faults.case import CASES, Case

__all__ = ["CASES", "Case"]

assert all(
    module.__doc__
    for module in (
        killed_endpoint,
        killed_kernel,
        killed_service,
        killed_shim,
        killed_training,
        many,
        pools,
        processes,
        storage,
    )
)
