"""The documents that the service sends, as types: what stands here is what the OpenAPI document says, what the front end's
types are generated from (`js/src/api/wire.gen.ts`), and what a test holds real answers to, key by key.

Times are seconds since the epoch, durations seconds, sizes bytes, memory GB (10⁹ bytes). A key is always there unless it
is `NotRequired`; None is said, not left out. What clients send is in `service.wire`. Plain dicts at run time: nothing is
checked on the way. Only the service needs this module loaded; others import it for annotations.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired

# Not typing's: before Python 3.12 pydantic cannot read that.
from typing_extensions import TypeAliasType, TypedDict

from jupyter_mltrain.core.wire_ranks import RunRanks

StatusName = TypeAliasType(
    "StatusName",
    Literal[
        "NotStarted", "Preparing", "Queued", "Starting", "Running", "NotResponding", "CancelRequested", "Finalizing",
        "Completed", "Failed", "Canceled",
    ],
)  # fmt: skip
"""`core.status.Status`, as it is written."""

OutcomeName = TypeAliasType("OutcomeName", Literal["Completed", "Failed", "Canceled"])

LoggedNumber = TypeAliasType("LoggedNumber", float | Literal["NaN", "Infinity", "-Infinity"])
"""A number that was logged; by its name where JSON cannot hold it."""

# -- errors ----------------------------------------------------------------------------------------------------------


class WireError(TypedDict):
    """An error that a user can cause (`errors.MLTrainError`)."""

    code: str
    """Stable, with dots: `not_found.run`."""
    message: str
    mend: str
    """What to do about it; may be empty."""
    details: dict[str, Any]


class ErrorAnswer(TypedDict):
    """The body of every answer with a status from 400 on."""

    error: WireError


# -- a run -----------------------------------------------------------------------------------------------------------


class Stage(TypedDict):
    """One stage of a run's life (`core.status.STAGES`)."""

    name: StatusName
    state: Literal["pending", "active", "done", "failed", "skipped"]
    started: float | None
    ended: float | None
    note: str


class Change(TypedDict):
    """A change of status: when, why, and what was seen (exits, signals, heartbeats: as the engine tells it)."""

    status: StatusName
    time: float
    reason: str
    evidence: dict[str, Any]


class Progress(TypedDict):
    """How far the script says it is: `epoch 12/20`."""

    label: str
    value: float
    total: float | None
    eta: float | None
    """Seconds that are left, at the rate so far."""


class Failure(TypedDict):
    """Why a run failed: one sentence, short facts, the script's last traceback, what to do."""

    title: str
    evidence: list[str]
    traceback: str | None
    rank: int | None
    mend: str


TrackingName = Literal["synced", "pending", "error", "off"]


class TrackingState(TypedDict):
    """How far MLflow is behind a run's record: `pending` counts the records and files to come; `message` says what is
    wrong."""

    state: TrackingName
    pending: int
    message: str


class Metric(TypedDict):
    """A series of points (one metric of one rank) without its points. Extremes are of finite values, None without any."""

    name: str
    rank: int
    count: int
    last: LoggedNumber | None
    last_step: int | None
    min: float | None
    min_step: int | None
    max: float | None
    max_step: int | None


class RunEnvironment(TypedDict):
    """The environment of a run. What it came to is known from Queued on."""

    name: str
    version: int | None
    key: str | None
    """What it is cached under."""
    python: NotRequired[str]
    packages: NotRequired[int]
    """How many there are."""


class RunData(TypedDict):
    """A dataset that a run reads."""

    name: str
    """Of the dataset; of the input, where the dataset is not registered."""
    version: int | None
    key: NotRequired[str]
    """Hash of the content, once it is fetched: `sha256:…`, or `stat:…` where it is of sizes and times alone."""
    input: NotRequired[str]
    """What the run calls it."""
    id: NotRequired[str]
    """Of this version of the dataset; ready-made ones have none."""
    mode: NotRequired[Literal["mount", "download", "direct"]]
    selection: NotRequired[list[str]]
    """The steps that chose among its files, as a person reads them."""
    files: NotRequired[int]
    bytes: NotRequired[int]
    source: NotRequired[str]
    """Who gave it; `cache` where it was there."""
    changed: NotRequired[list[str]]
    """Files (at most 20) whose content is another than when this version was first fetched."""


class SnapshotSummary(TypedDict):
    files: int
    bytes: int
    digest: str


class OutputsSummary(TypedDict):
    files: int
    bytes: int


class ModelName(TypedDict):
    name: str
    version: int


class Substitution(TypedDict):
    """Something that was asked for by a legacy name and is given as something else."""

    kind: str
    asked: str
    given: str
    reason: str


class Resources(TypedDict):
    """What one node of a run asks for; None leaves the choice to the target."""

    gpus: int | None
    cpus: int | None
    memory_gb: float | None
    max_run_seconds: float | None


class WorkspaceName(TypedDict):
    id: str
    name: str


class RunSummary(TypedDict):
    """What a list shows of a run."""

    id: str
    number: int
    """Counts the workspace's runs, from 1."""
    experiment: str
    display_name: str
    status: StatusName
    revision: int
    """Grows with every change that a view could show."""
    created: float
    started: float | None
    ended: float | None
    duration: float | None
    """From the start to the end, or to now."""
    target: str
    environment: RunEnvironment
    data: list[RunData]
    outcome: OutcomeName | None
    """How its processes ended, known from Finalizing on; the status says the same when all is collected."""
    failure: Failure | None
    tracking: TrackingState
    tags: dict[str, str]
    notes: str
    pinned: bool
    snapshot: SnapshotSummary
    outputs: OutputsSummary
    models: list[ModelName]
    """Versions that were registered from its outputs."""
    parent: str | None
    """The run that this one is a child of."""
    notices: list[str]
    queue_position: int | None
    recorded: float
    """When this was seen."""


class RunState(RunSummary):
    """The whole state of a run."""

    history: list[Change]
    stages: list[Stage]
    progress: Progress | None
    metrics: list[Metric]
    """The first 50 series."""
    metric_series: int
    """How many series there are."""
    metric_points: int
    properties: dict[str, str]
    arguments: list[str]
    script: str | None
    command: list[str] | None
    """An argument list; exactly one of script and command is set, none for a run that a notebook logs itself."""
    substitutions: list[Substitution]
    git: dict[str, str]
    resources: Resources
    used: dict[str, str]
    """Of its nodes, in words, once it is over: peak memory, CPU time, GPUs. Empty where nothing was sampled."""
    source_directory: NotRequired[str | None]
    """A path of this machine: the door leaves it out."""
    rerun_of: str | None
    reruns: list[str]
    """Runs that were started again from a card in this one's output, oldest first: they are shown below it."""
    workspace: WorkspaceName
    processes: int
    ranks: RunRanks | None
    """None for a run of one process."""


class RunList(TypedDict):
    runs: list[RunSummary]
    total: int
    """How many there are, whatever the limit."""


class ExperimentSummary(TypedDict):
    name: str
    runs: int
    """How many it has."""
    newest: float
    """When the newest was submitted."""


class ExperimentList(TypedDict):
    experiments: list[ExperimentSummary]


class PrunedRun(TypedDict):
    id: str
    display_name: str
    experiment: str
    status: StatusName
    ended: float
    bytes: int


class Pruned(TypedDict):
    """Runs that were removed, or would be."""

    runs: list[PrunedRun]
    bytes: int
    """In all; with the contents of snapshots, once they are removed."""
    removed: bool


class Usage(TypedDict):
    """Bytes on disk: of all runs' folders, and of the snapshots' contents that they share."""

    runs: int
    snapshots: int


class DataInput(TypedDict):
    name: str
    version: int | None
    argument: str
    dataset: str
    mode: str
    path_on_compute: str


class Distribution(TypedDict):
    """How many processes a run has, and who starts them (`core.spec.Distribution`)."""

    launcher: Literal["mpi", "tensorflow"]
    nodes: int
    processes_per_node: int
    parameter_servers: int
    chief: bool
    evaluator: bool
    join_seconds: float | None
    mpirun: bool


class RunSpec(TypedDict):
    """`spec.json`: the run as it was asked for (`core.spec.RunSpec`). `secrets` are names."""

    format: int
    run_id: str
    experiment: str
    display_name: str
    target: str
    environment: str
    environment_version: int | None
    script: str | None
    command: list[str] | None
    arguments: list[str]
    snapshot: str
    source_directory: str | None
    data: list[DataInput]
    environment_variables: dict[str, str]
    secrets: list[str]
    resources: Resources
    tags: dict[str, str]
    git: dict[str, str]
    substitutions: list[Substitution]
    rerun_of: str | None
    parent: str | None
    within: str | None
    """The run whose script logs this one, beside its own."""
    distribution: Distribution | None
    resume_from: str | None
    retries: int


# -- what a run said and left ----------------------------------------------------------------------------------------


class MetricList(TypedDict):
    series: list[Metric]


class SeriesWindow(TypedDict):
    """Points of a series, thinned for drawing with every extreme among them; the three lists are equally long."""

    name: str
    rank: int
    total: int
    """How many points the window really has."""
    steps: list[int]
    times: list[float]
    values: list[LoggedNumber]


class LogFile(TypedDict):
    name: str
    size: int
    rank: int | None
    """None for the log of the environment's build."""


class LogList(TypedDict):
    logs: list[LogFile]
    complete: bool
    """Nothing will be added."""


class RunFile(TypedDict):
    path: str
    size: int
    modified: float


class FileList(TypedDict):
    files: list[RunFile]
