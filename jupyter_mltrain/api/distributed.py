"""How many processes a run has, in the SDK's words. Runs of several processes are refused at submission for now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jupyter_mltrain.errors import UsageError


@dataclass
class MpiConfiguration:
    """`process_count_per_node` processes on each of `node_count` nodes, started as Horovod and MPI expect it."""

    process_count_per_node: int = 1
    node_count: int = 1

    def __post_init__(self) -> None:
        self.process_count_per_node = _count(self, "process_count_per_node", least=1)
        self.node_count = _count(self, "node_count", least=1)

    @property
    def processes(self) -> int:
        """Processes in all."""
        return self.process_count_per_node * self.node_count


@dataclass
class TensorflowConfiguration:
    """`worker_count` workers and `parameter_server_count` parameter servers, told of each other by `TF_CONFIG`."""

    worker_count: int = 1
    parameter_server_count: int = 1

    def __post_init__(self) -> None:
        self.worker_count = _count(self, "worker_count", least=1)
        self.parameter_server_count = _count(self, "parameter_server_count", least=0)

    @property
    def processes(self) -> int:
        """Processes in all."""
        return self.worker_count + self.parameter_server_count


DistributedConfiguration = MpiConfiguration | TensorflowConfiguration


def check_single(config: object) -> None:
    """Raise `UsageError` unless `config` asks for one process: more cannot be started yet."""
    if config is None:
        return
    if not isinstance(config, MpiConfiguration | TensorflowConfiguration):
        raise UsageError(
            f"distributed_job_config is a {type(config).__name__}.",
            mend="Give an MpiConfiguration or a TensorflowConfiguration.",
        )
    if config.processes > 1:
        raise UsageError(
            f"{config!r} asks for {config.processes} processes; this version runs one.",
            mend="Leave distributed_job_config out, or ask for one process.",
        )


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
