"""The documents about what a workspace has beside runs, and about the service itself. See `core.wire`, whose units hold
here too."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from jupyter_mltrain.core.wire import Substitution, WireError, WorkspaceName

# -- environments ----------------------------------------------------------------------------------------------------


class ContainerSettings(TypedDict):
    """What an environment asks of a target that runs containers (`core.environment.ContainerSettings`)."""

    enabled: bool
    base_image: str | None
    base_dockerfile: str | None
    """Its text."""
    image: str
    """`build`, or empty."""
    shm_size: str | None
    arguments: list[str]


class Packages(TypedDict):
    """What a resolver is asked for (`core.environment.Packages`)."""

    python: str | None
    pip: list[str]
    pip_gpu: list[str]
    constraints: list[str]
    conda: list[str]
    channels: list[str]
    adaptations: list[str]
    """Small modules in it that make it fit scripts of another time."""


class EnvironmentDefinition(Packages):
    """An environment as it was asked for (`core.environment.EnvironmentDefinition`)."""

    format: int
    name: str
    version: int | None
    imports: list[str]
    environment_variables: dict[str, str]
    interpreter: str | None
    docker: ContainerSettings
    inferencing_stack_version: str | None
    curated: bool
    description: str
    given: Packages | None
    """What is installed in place of what was asked for; None where that is the same."""
    substitutions: list[Substitution]
    """Why, one by one."""


EnvironmentStateName = Literal["", "ready", "to build", "to resolve"]
"""Empty for an interpreter that the user manages."""


class Environment(EnvironmentDefinition):
    """An environment, and how much of it is there."""

    versions: list[int]
    """All that are stored under its name."""
    state: EnvironmentStateName
    key: str
    packages: list[str]
    """`name==version` each, once it is resolved."""


class EnvironmentPreview(EnvironmentDefinition):
    """What a definition would come to."""

    packages: list[str]
    lock: str
    """The exact packages with their hashes, as pip reads them."""
    dockerfile: str
    log: list[str]
    """What was said while it was resolved."""


class Dockerfile(TypedDict):
    dockerfile: str
    files: dict[str, str]
    """The texts of the files that it needs beside it, by their names."""


class RemovedEnvironments(TypedDict):
    removed: list[str]
    """`name:version` each."""


class PrunedEnvironment(TypedDict):
    name: str
    """Empty for the leavings of a build that failed."""
    key: str
    bytes: int


class PrunedEnvironments(TypedDict):
    removed: list[PrunedEnvironment]
    bytes: int


class EnvironmentList(TypedDict):
    environments: list[Environment]


class Build(TypedDict):
    """The last build that was asked for by name. `ready` says key, python, seconds and cached, `failed` the error."""

    name: str
    state: Literal["idle", "building", "ready", "failed"]
    error: NotRequired[WireError]
    key: NotRequired[str]
    python: NotRequired[str]
    seconds: NotRequired[float]
    cached: NotRequired[bool]


# -- plans ----------------------------------------------------------------------------------------------------------


class RankPlan(TypedDict):
    rank: int
    argv: list[str]
    env: dict[str, str]
    role: str
    node: int
    address: str
    lingers: float


class Mount(TypedDict):
    name: str
    path: str
    variable: str
    key: str
    place: str


class LaunchPlan(TypedDict):
    """What would run (`core.compute.LaunchPlan`), without values of secrets."""

    run_id: str
    engine: str
    root: str
    ranks: list[RankPlan]
    record: str
    blobs: str
    mounts: list[Mount]
    max_run_seconds: float | None
    memory_bytes: int | None
    cpus: int | None
    container: dict[str, Any] | None
    """Of the first node, on an engine with containers."""
    more_containers: list[dict[str, Any]]
    """Of the other nodes, in their order."""
    host: str
    """Which of the target's hosts; empty where it has one."""
    hosts: list[str]
    """Of each node, where the run is on more than one host."""
    addresses: list[str]
    here: list[int]
    lead: list[int]
    ports: int
    rendezvous: list[int] | None
    join_seconds: float
    mpirun: bool


class PlannedEnvironment(TypedDict):
    name: str
    version: int | None
    state: EnvironmentStateName
    cached: bool
    key: str
    place: str
    """Where it is on an engine with containers; else empty."""
    steps: list[str]
    """What would be done first, in order, on such an engine."""


class SnapshotFile(TypedDict):
    path: str
    size: int
    mode: int
    sha256: str


class PlannedSnapshot(TypedDict):
    files: int
    bytes: int
    ignored: int
    """Files and folders that the ignore rules leave out."""
    secrets: list[str]
    """Left out because they look like credentials."""
    largest: list[SnapshotFile]
    """At most 20."""


class Plan(TypedDict):
    """What a submit would do."""

    plan: LaunchPlan
    environment: PlannedEnvironment
    snapshot: PlannedSnapshot
    notices: list[str]


# -- the service -----------------------------------------------------------------------------------------------------


class ServedWorkspace(WorkspaceName):
    root: str


class Hello(TypedDict):
    """What the service says of itself."""

    version: str
    protocol: int
    workspace: ServedWorkspace
    pid: int
    python: str
    """Its interpreter."""
    started: float


class Problem(TypedDict):
    problem: str
    mend: str


class Doctor(TypedDict):
    facts: dict[str, Any]
    """What the service sees of its surroundings, by name."""
    problems: list[Problem]


class Empty(TypedDict):
    """`{}`."""
