"""How many processes a run has, in the SDK's words."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from jupyter_mltrain.core.spec import MPI, TENSORFLOW, Distribution
from jupyter_mltrain.errors import UsageError

MOST_PROCESSES = 256
"""A typing error should not start thousands."""


@dataclass
class MpiConfiguration:
    """`process_count_per_node` processes on each of `node_count` nodes, told of each other as Horovod expects it (Gloo)."""

    process_count_per_node: int = 1
    node_count: int = 1

    def __post_init__(self) -> None:
        self.process_count_per_node = _count(self, "process_count_per_node", least=1)
        self.node_count = _count(self, "node_count", least=1)

    @property
    def processes(self) -> int:
        """Processes in all."""
        return self.process_count_per_node * self.node_count

    def spec(self) -> Distribution:
        return Distribution(MPI, self.node_count, self.process_count_per_node)


@dataclass
class TensorflowConfiguration:
    """`worker_count` workers and `parameter_server_count` parameter servers, told of each other by `TF_CONFIG`.

    Beyond the SDK: `chief`: one process more, which is called so; with parameter servers it gives the workers their work, and
    its end is the run's.
    """

    worker_count: int = 1
    parameter_server_count: int = 1
    chief: bool = False

    def __post_init__(self) -> None:
        self.worker_count = _count(self, "worker_count", least=1)
        self.parameter_server_count = _count(self, "parameter_server_count", least=0)

    @property
    def processes(self) -> int:
        """Processes in all."""
        return self.worker_count + self.parameter_server_count + self.chief

    def spec(self) -> Distribution:
        nodes = self.worker_count + self.chief
        return Distribution(TENSORFLOW, nodes, parameter_servers=self.parameter_server_count, chief=self.chief)


DistributedConfiguration = MpiConfiguration | TensorflowConfiguration


def distribution(config: object) -> dict[str, Any] | None:
    """`config` as a request has it (`core.spec.Distribution`); None for one process. Raises `UsageError` for something
    else than the two configurations, and for more processes than one machine takes."""
    if config is None:
        return None
    if not isinstance(config, MpiConfiguration | TensorflowConfiguration):
        raise UsageError(
            f"distributed_job_config is a {type(config).__name__}.",
            mend="Give an MpiConfiguration or a TensorflowConfiguration.",
        )
    if config.processes > MOST_PROCESSES:
        raise UsageError(
            f"{config!r} asks for {config.processes} processes; a run has at most {MOST_PROCESSES}.",
            mend="Ask for fewer.",
        )
    if config.processes == 1:
        return None
    return dataclasses.asdict(config.spec())


def _count(config: Any, name: str, *, least: int) -> int:
    given = getattr(config, name)
    try:
        # As elsewhere in the SDK, numbers may be texts: they often come from the environment.
        number = int(given)
    except (TypeError, ValueError):
        number = least - 1
    if isinstance(given, bool | float) or number < least:
        raise UsageError(f"{type(config).__name__}({name}={given!r}): it must be an integer of at least {least}.")
    return number
