"""What serving a model asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_mltrain.errors import UsageError


@dataclass
class ResourceConfiguration:
    """CPUs (fractions too), memory in GB (10⁹ bytes) and GPUs for an endpoint of a model. None leaves it to the target.

    Raises `UsageError` for what is no positive number.
    """

    cpu: float | None = None
    memory_in_gb: float | None = None
    gpu: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("cpu", self.cpu), ("memory_in_gb", self.memory_in_gb), ("gpu", self.gpu)):
            number: object = value  # what a caller really gave
            wrong = isinstance(number, bool) or not isinstance(number, int | float) or number < 0
            if number is not None and (wrong or (number == 0 and name != "gpu")):
                raise UsageError(f"ResourceConfiguration({name}={number!r}): it must be a positive number.")

    def to_wire(self) -> dict[str, Any]:
        return {"cpu": self.cpu, "memory_gb": self.memory_in_gb, "gpu": self.gpu}

    @classmethod
    def of(cls, raw: Mapping[str, Any] | None) -> ResourceConfiguration | None:
        """That of a registered model; None where nothing was said."""
        return None if raw is None else cls(raw.get("cpu"), raw.get("memory_gb"), raw.get("gpu"))
