"""How many processes a run has, in the SDK's words."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from jupyter_mltrain.core.spec import MPI, TENSORFLOW, Distribution
from jupyter_mltrain.errors import UsageError

MOST_PROCESSES = 256
"""A typing error should not start thousands."""


@dataclass
class MpiConfiguration:
    """`process_count_per_node` processes on each of `node_count` nodes, told of each other as Horovod expects it (Gloo).

    On one machine all of them have one working folder: what is to be written once (a model, a checkpoint), `hvd.rank() == 0`
    writes. Logs and metrics are kept apart by rank.

    Beyond the SDK: `join_timeout_seconds`: the run fails, naming who is missing, where not all have called `hvd.init()` so
    long after the first; None: 300. `mpirun`: on one node, the environment's own `mpirun` tells the processes of each other, and
    they speak MPI: Horovod's, or those of any MPI program.
    """

    process_count_per_node: int = 1
    node_count: int = 1
    join_timeout_seconds: float | None = None
    mpirun: bool = False

    def __post_init__(self) -> None:
        self.process_count_per_node = _count(self, "process_count_per_node", least=1)
        self.node_count = _count(self, "node_count", least=1)
        if self.mpirun and self.node_count > 1:
            raise UsageError(
                f"MpiConfiguration(node_count={self.node_count}, mpirun=True): mpirun reaches other nodes by ssh alone.",
                mend="Leave mpirun out: Horovod's own rendezvous needs no ssh. Or ask for the processes on one node.",
            )
        self.join_timeout_seconds = _seconds(self, "join_timeout_seconds")

    @property
    def processes(self) -> int:
        """Processes in all."""
        return self.process_count_per_node * self.node_count

    def spec(self) -> Distribution:
        return Distribution(
            MPI,
            self.node_count,
            self.process_count_per_node,
            join_seconds=self.join_timeout_seconds,
            mpirun=self.mpirun,
        )


@dataclass
class TensorflowConfiguration:
    """`worker_count` workers and `parameter_server_count` parameter servers, told of each other by `TF_CONFIG`.

    On one machine all of them have one working folder: what is to be written once (a model, a checkpoint), one of them
    writes, and a strategy that has each worker save gives each a folder of its own. Logs and metrics are kept apart by rank.

    Beyond the SDK: `chief`: one process more, which is called so; with parameter servers it gives the workers their work, and
    its end is the run's. `evaluator`: one process more, without a GPU, which is told of the others and is none of their
    cluster; once they are done it has 60 seconds to evaluate what they left, and is then ended. `join_timeout_seconds`: the
    run fails, naming who is missing, where not all listen at their address so long after the first; None: 300.
    """

    worker_count: int = 1
    parameter_server_count: int = 1
    chief: bool = False
    evaluator: bool = False
    join_timeout_seconds: float | None = None

    def __post_init__(self) -> None:
        self.worker_count = _count(self, "worker_count", least=1)
        self.parameter_server_count = _count(self, "parameter_server_count", least=0)
        self.join_timeout_seconds = _seconds(self, "join_timeout_seconds")

    @property
    def processes(self) -> int:
        """Processes in all."""
        return self.worker_count + self.parameter_server_count + self.chief + self.evaluator

    def spec(self) -> Distribution:
        return Distribution(
            TENSORFLOW,
            self.worker_count + self.chief,
            parameter_servers=self.parameter_server_count,
            chief=self.chief,
            evaluator=self.evaluator,
            join_seconds=self.join_timeout_seconds,
        )


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
        if isinstance(config, MpiConfiguration) and config.mpirun:
            raise UsageError(
                "mpirun is asked for, and one process.",
                mend="Say how many: `process_count_per_node=2`, or `--procs-per-node 2`.",
            )
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


def _seconds(config: Any, name: str) -> float | None:
    given = getattr(config, name)
    try:
        seconds = None if given is None else float(given)
    except (TypeError, ValueError):
        seconds = 0.0
    if isinstance(given, bool) or (seconds is not None and not 0 < seconds < math.inf):
        raise UsageError(f"{type(config).__name__}({name}={given!r}): it must be a number of seconds above zero.")
    return seconds
