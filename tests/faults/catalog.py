"""All cases, by name: a module enters its own when it is imported."""

from __future__ import annotations

from importlib import import_module

from tests.faults.case import CASES, Case

__all__ = ["CASES", "Case"]

for _module in (
    "killed_endpoint",
    "killed_kernel",
    "killed_service",
    "killed_shim",
    "killed_training",
    "many",
    "pools",
    "processes",
    "ranks",
    "storage",
):
    import_module(f"tests.faults.{_module}")
