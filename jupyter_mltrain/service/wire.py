"""What clients send, checked: unknown keys are refused, so that a typing error never goes unnoticed."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

LONGEST_WAIT = 30.0
"""Seconds that an answer may be held back for news, at most."""


class Wire(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DataRequest(Wire):
    """`core.spec.DataInput`; `dataset` is `NAME`, `NAME:VERSION` or `id:ID` where that is not `name`."""

    name: str
    version: int | None = None
    argument: str = ""
    dataset: str = ""
    mode: Literal["mount", "download", "direct"] = "mount"
    path_on_compute: str = ""


class ResourcesRequest(Wire):
    gpus: Annotated[int, Field(ge=0)] | None = None
    cpus: Annotated[int, Field(ge=1)] | None = None
    memory_gb: Annotated[float, Field(gt=0)] | None = None
    max_run_seconds: Annotated[float, Field(gt=0)] | None = None


class DistributionRequest(Wire):
    """`core.spec.Distribution`."""

    launcher: Literal["mpi", "tensorflow"]
    nodes: Annotated[int, Field(ge=1)] = 1
    processes_per_node: Annotated[int, Field(ge=1)] = 1
    parameter_servers: Annotated[int, Field(ge=0)] = 0
    chief: bool = False
    evaluator: bool = False
    join_seconds: Annotated[float, Field(gt=0)] | None = None
    mpirun: bool = False


class RunRequest(Wire):
    """A run to submit, or to plan. `run_id` comes from the client, so that sending twice submits once."""

    run_id: str | None = None
    experiment: str
    target: str | None = None
    environment: str | None = None
    script: str | None = None
    command: list[str] | None = None
    arguments: list[str] = []
    files: dict[str, str] = {}
    source_directory: str | None = None
    data: list[DataRequest] = []
    environment_variables: dict[str, str] = {}
    secrets: dict[str, str] = {}
    resources: ResourcesRequest = ResourcesRequest()
    distribution: DistributionRequest | None = None
    resume_from: str | None = None
    retries: Annotated[int, Field(ge=0, le=100)] = 0
    tags: dict[str, str] = {}
    display_name: str | None = None
    kernel_python: str | None = None
    rerun_of: str | None = None
    parent: str | None = None
    limit_snapshot: bool = False


class RerunRequest(Wire):
    """`resources` replace those of the run where they are given. `output`: the run in whose output the new one is shown."""

    run_id: str | None = None
    resources: ResourcesRequest = ResourcesRequest()
    output: str | None = None


class CancelRequest(Wire):
    """`keep`: stop, but do not lose: time to write a checkpoint, and an exit code of 0 then counts as completed. `give_up`:
    do not wait any more for a host that does not answer; the run has then failed, whatever goes on there."""

    reason: str = ""
    keep: bool = False
    give_up: bool = False
    grace: Annotated[float, Field(ge=0, le=3600)] | None = None


class NotebookRunRequest(Wire):
    """A run that the kernel logs itself. `source_directory`: what to keep a snapshot of."""

    run_id: str
    experiment: str
    display_name: str | None = None
    parent: str | None = None
    source_directory: str | None = None
    kernel_python: str


class PruneRequest(Wire):
    """`older_than`: seconds since a run's end; `keep`: the newest runs stay, whatever their age."""

    older_than: Annotated[float, Field(ge=0)] = 30 * 86_400.0
    keep: Annotated[int, Field(ge=0)] = 20
    dry_run: bool = True


class RunChanges(Wire):
    """`tags` replace those that were; `properties` are added to those that were, and never change."""

    display_name: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    tags: dict[str, str] | None = None
    notes: Annotated[str, Field(max_length=100_000)] | None = None
    pinned: bool | None = None
    properties: dict[str, str] | None = None


class ServingResources(Wire):
    """What serving a model asks for; memory in GB (10⁹ bytes)."""

    cpu: Annotated[float, Field(gt=0)] | None = None
    memory_gb: Annotated[float, Field(gt=0)] | None = None
    gpu: Annotated[int, Field(ge=0)] | None = None


class ModelRequest(Wire):
    """`path`: of a run's record; for files that no run made, of this machine."""

    name: str
    path: str
    tags: dict[str, str] = {}
    description: str = ""
    framework: str | None = None
    framework_version: str | None = None
    properties: dict[str, str] = {}
    resources: ServingResources | None = None
    sample_input: str | None = None
    force: bool = False


class ModelChanges(Wire):
    """`tags` take the place of those that were; `properties` are added and never change."""

    tags: dict[str, str] | None = None
    description: str | None = None
    properties: dict[str, str] | None = None
    sample_input: str | None = None


class Nothing(Wire):
    """The empty body."""


def plain(value: Any) -> Any:
    """`value` with NaN and the infinities as the strings that JSON can carry."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value
