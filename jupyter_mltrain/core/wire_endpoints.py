"""The documents about endpoints. See `core.wire`, whose units hold here too."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypeAliasType, TypedDict

from jupyter_mltrain.core.wire import Substitution, WorkspaceName
from jupyter_mltrain.core.wire_models import Signature, TensorSpec

EndpointPhase = TypeAliasType(
    "EndpointPhase", Literal["deploying", "running", "restarting", "failed", "stopped", "unknown"]
)


class EndpointModel(TypedDict):
    id: str
    """`name:version`."""
    name: str
    version: int
    format: str


class EndpointFailure(TypedDict):
    """Why a revision does not serve. The one before it may do so all the same (`serving`)."""

    title: str
    evidence: list[str]
    traceback: str | None
    mend: str
    revision: NotRequired[int | None]


class EndpointImage(TypedDict):
    """The input is a grey image that can be drawn. `shape`: how the model takes one sample."""

    input: str
    height: int
    width: int
    shape: list[int]
    dtype: str


class EndpointSnippets(TypedDict):
    """What asks the endpoint, and what serves the model without us; the key is left for the reader to fill in."""

    curl: str
    python: str
    serve: str
    """Empty for an entry script."""
    deploy: str
    """The cell that makes the endpoint."""


class Endpoint(TypedDict):
    """An endpoint as it stands. `state`: in the SDK's words of its kind; `phase`: in ours."""

    name: str
    kind: Literal["Local", "ACI"]
    state: str
    phase: EndpointPhase
    step: str
    """What is going on, while it is being deployed."""
    revision: int
    """The newest that was asked for."""
    serving: int | None
    """The revision that answers."""
    models: list[EndpointModel]
    entry_script: str | None
    environment: str
    framework: str
    """What loaded the model, with its version; empty for an entry script, and before it was loaded."""
    url: str | None
    scoring_uri: str | None
    swagger_uri: str | None
    port: int | None
    auth_enabled: bool
    cpu: float | None
    memory_gb: float | None
    memory_bytes: int
    """What its process holds."""
    created: float
    updated: float
    since: float | None
    """When the process that answers began to."""
    restarts: int
    failure: EndpointFailure | None
    substitutions: list[Substitution]
    notices: list[str]
    description: str
    tags: dict[str, str]
    properties: dict[str, str]
    signatures: dict[str, Signature] | None
    default_signature: str | None
    image: EndpointImage | None
    snippets: EndpointSnippets
    news: int
    """Grows with each change; a reader gives it as `after`."""
    workspace: WorkspaceName
    recorded: float


class EndpointList(TypedDict):
    endpoints: list[Endpoint]


class EndpointKeys(TypedDict):
    primary: str
    secondary: str


class EndpointLatency(TypedDict):
    """Of the last `of` requests, in ms; None without any. `requests`: by status, since `since`."""

    since: float | None
    requests: dict[str, int]
    of: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class EndpointAnswer(TypedDict):
    """What the endpoint answered to a request that was passed on. `body`: JSON where it is some (what is not finite by
    its name), else text."""

    status: int
    milliseconds: float
    body: Any


class SmokePrediction(TypedDict):
    """A model's answer to zeros, or to a sample, in a process of its own without network."""

    ok: bool
    outputs: Any
    """By name: nested lists, at most a few hundred numbers each."""
    shapes: dict[str, TensorSpec]
    framework: str
    seconds: float
    """Of loading and predicting."""
    predict_ms: float | None
    network: bool
    """Whether the process could reach the network, because this machine lets nobody take it away."""
    failure: EndpointFailure | None


class EndpointPlan(TypedDict):
    """What a deployment would do."""

    name: str
    exists: bool
    models: list[EndpointModel]
    environment: str
    environment_state: str
    memory_gb: float | None
    memory_floor_gb: float
    cpu: float | None
    substitutions: list[Substitution]
    signatures: dict[str, Signature] | None
    servable: bool
    """Whether it needs no entry script."""
    problem: str
    """One line; empty where nothing stands in the way."""
    deploy: str
    """The cell that does the same."""
