"""Compute targets: what was asked for, as a readable file, and what a node of it has on the machine it is on."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from jupyter_mltrain.core.compute import Capacity
from jupyter_mltrain.core.spec import NOTEBOOK, Substitution
from jupyter_mltrain.errors import ComputeTargetException

if TYPE_CHECKING:
    from jupyter_mltrain.core import wire_targets

FORMAT = 1
"""Version of a definition's file; a reader of a newer package understands all older ones."""

LOCAL = "local"
"""The target that is always there: runs are processes of this machine, as many as it has slots."""

AML = "AmlCompute"
"""Kind of the pools that `AmlCompute.provisioning_configuration` describes; the engine's name for what is attached."""

DOCKER = "docker"
"""The engine of containers, and the target that is this machine's own engine."""

DEDICATED = "dedicated"
LOW_PRIORITY = "lowpriority"

NODE_SUBSTITUTIONS = frozenset({"compute", "priority"})
"""Kinds of what a run is given in place of what its target asks for; `priority` is on records of before low priority."""

LEAST_NODE_GB = 2.0
"""What a node keeps when many share a machine: less than what a process needs that trains anything."""

MOST_NODES = 1000

_NAME = re.compile(r"[A-Za-z](?:[-A-Za-z0-9]{0,22}[A-Za-z0-9])?")
_TAKEN = frozenset({LOCAL, NOTEBOOK})


@dataclass(frozen=True)
class Size:
    """What a node has: CPUs, memory in GB (10⁹ bytes), GPUs. `gpu`: what those were, under a legacy name."""

    name: str
    cpus: int
    memory_gb: float
    gpus: int = 0
    gpu: str = ""

    @property
    def words(self) -> str:
        """`6 CPUs, 56 GB, 1 GPU (Tesla K80)`."""
        kind = f" ({self.gpu})" if self.gpu and self.gpus else ""
        return f"{_count(self.cpus, 'CPU')}, {self.memory_gb:g} GB, {_count(self.gpus, 'GPU')}{kind}"

    def on(self, machine: Capacity, nodes: int) -> Size:
        """What a node of this size has on `machine`, where `nodes` of them share it.

        Memory is divided so that all of them can run at once, down to `LEAST_NODE_GB`; CPUs and GPUs are at most the
        machine's: nodes share its CPUs, and take turns at its GPUs.
        """
        whole = machine.memory_gb
        memory = min(self.memory_gb, max(whole / nodes, min(LEAST_NODE_GB, whole)))
        if memory < self.memory_gb:
            # Rounded down, so that together they still fit.
            memory = max(math.floor(memory * 10) / 10, min(memory, 0.1))
        return Size(self.name, min(self.cpus, machine.cpus), memory, min(self.gpus, len(machine.gpus)))

    def substitution(self, machine: Capacity, nodes: int) -> Substitution | None:
        """What a node of this size is given in its place on `machine`; None where it has all that was asked for."""
        given = self.on(machine, nodes)
        if (given.cpus, given.memory_gb, given.gpus) == (self.cpus, self.memory_gb, self.gpus):
            return None
        sharing = f"; {nodes} nodes share its memory" if given.memory_gb < self.memory_gb and nodes > 1 else ""
        return Substitution(
            "compute", f"{self.name} ({self.words})", given.words, f"this machine has {machine_words(machine)}{sharing}"
        )


@dataclass(frozen=True)
class TargetDefinition:
    """A target as it was asked for.

    `kind`: `AmlCompute`, a pool of nodes of `size` on this machine; else the engine that is attached, with its
    `settings` and its `capacity` as it was found, and that of each of its `hosts`, where it has several. Times in seconds
    since the epoch.
    """

    name: str
    kind: str = AML
    size: str = ""
    priority: str = DEDICATED
    min_nodes: int = 0
    max_nodes: int = 4
    idle_seconds: float = 1800.0
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    capacity: Capacity | None = None
    hosts: Mapping[str, Capacity] = field(default_factory=dict)
    created: float = 0.0
    modified: float = 0.0

    def to_json(self) -> wire_targets.TargetDefinition:
        return cast("wire_targets.TargetDefinition", {"format": FORMAT, **dataclasses.asdict(self)})

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> TargetDefinition:
        """The definition that `to_json` wrote, checked: people edit these files. Unknown keys are left out.

        Raises `ComputeTargetException` for what no target can be.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        values = {k: v for k, v in raw.items() if k in known}
        found: dict[str, Any] | None = values.get("capacity")
        try:
            if found is not None:
                values["capacity"] = _capacity(found)
            values["hosts"] = {str(name): _capacity(one) for name, one in values.get("hosts", {}).items()}
            made = cls(**values)
            check_scale(made.min_nodes, made.max_nodes, made.idle_seconds)
        except (TypeError, AttributeError, KeyError) as error:
            raise ComputeTargetException(f"This is no definition of a compute target: {error}.") from None
        return made

    def same_as(self, other: TargetDefinition) -> bool:
        """Whether both ask for the same."""
        return _asked(self) == _asked(other)


def check_target_name(name: str) -> str:
    """`name`, or `ComputeTargetException` for one that is not allowed."""
    if not _NAME.fullmatch(name):
        raise ComputeTargetException(
            f"Compute target name {name[:60]!r} is not allowed.",
            mend="Use 1 to 24 letters, digits and '-', starting with a letter and not ending in '-'.",
        )
    if name.casefold() in _TAKEN:
        raise ComputeTargetException(
            f"The compute target {name!r} cannot be made or changed.", mend="It has a meaning of its own."
        )
    return name


def check_scale(min_nodes: int, max_nodes: int, idle_seconds: float) -> None:
    """Raise `ComputeTargetException` for numbers of nodes that no pool can have."""
    if not 0 <= min_nodes <= max_nodes:
        raise ComputeTargetException(
            f"min_nodes is {min_nodes}, max_nodes {max_nodes}.", mend="Give 0 ≤ min_nodes ≤ max_nodes."
        )
    if not 1 <= max_nodes <= MOST_NODES:
        raise ComputeTargetException(f"max_nodes is {max_nodes}.", mend=f"Give 1 to {MOST_NODES}.")
    if not 0 <= idle_seconds < math.inf:
        raise ComputeTargetException(
            f"idle_seconds_before_scaledown is {idle_seconds}.", mend="Give seconds, 0 or more."
        )


def machine_words(machine: Capacity) -> str:
    """`2 CPUs, 25.2 GB of memory and no GPU`."""
    gpus = _count(len(machine.gpus), "GPU")
    if machine.gpus:
        gpus += f" ({machine.gpus[0]})"
    return f"{_count(machine.cpus, 'CPU')}, {machine.memory_gb:.1f} GB of memory and {gpus}"


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'s' if number > 1 else ''}"


def _capacity(raw: Mapping[str, Any]) -> Capacity:
    return Capacity(raw["slots"], raw["cpus"], raw["memory_gb"], tuple(raw.get("gpus", ())))


def _asked(definition: TargetDefinition) -> dict[str, Any]:
    values = dataclasses.asdict(definition)
    return {name: value for name, value in values.items() if name not in ("created", "modified", "capacity", "hosts")}
