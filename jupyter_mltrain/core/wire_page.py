"""What a page gets beside the service's own documents: the door's answers and messages, and what a notebook saves.
See `core.wire`, whose units hold here too."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from jupyter_mltrain.core.wire import LoggedNumber, RunState, WireError, WorkspaceName
from jupyter_mltrain.core.wire_endpoints import EndpointLatency


class WorkspaceList(TypedDict):
    """`GET mltrain/workspaces`: the user's workspaces that are still there."""

    workspaces: list[WorkspaceName]


class StateMessage(TypedDict):
    """A newer state of the run that `id` watches."""

    id: str
    type: Literal["state"]
    state: RunState


class LogMessage(TypedDict):
    """Bytes `offset` to `next` of the log that `id` follows, in base64. An offset beyond the last `next`: some were
    left out. `complete`: nothing will come after them."""

    id: str
    type: Literal["log"]
    offset: int
    next: int
    data: str
    complete: bool


class OfflineMessage(TypedDict):
    """No service runs; said once, and a state follows when one does."""

    id: str
    type: Literal["offline"]
    reason: str


class ErrorMessage(TypedDict):
    """The subscription has ended."""

    id: str
    type: Literal["error"]
    error: WireError


class AliveMessage(TypedDict):
    type: Literal["alive"]


class SavedSeries(TypedDict):
    """Points of a chart: `steps[i]` belongs to `values[i]`; `total` is how many the series had."""

    name: str
    rank: int
    total: int
    steps: list[int]
    values: list[LoggedNumber]


class LogTail(TypedDict):
    name: str
    tail: str


class SavedRun(TypedDict):
    """The value of `application/vnd.mltrain.run+json`: a run as a notebook holds it."""

    format: int
    workspace: str
    """A UUID, or empty."""
    run: str
    recorded: float
    state: dict[str, Any]
    """Of a `RunState` the keys that a card shows (`widgets.bounds.KEPT`), texts and lists cut."""
    series: list[SavedSeries]
    log: LogTail | None
    reruns: NotRequired[list[SavedRun]]
    """Runs that were started again from this output, oldest first; in a box of widgets, its other runs."""
    beside: NotRequired[bool]
    """A view of widgets in the same output shows these runs beside others: it goes first while its kernel knows it."""


class SavedEndpoint(TypedDict):
    """The value of `application/vnd.mltrain.endpoint+json`: an endpoint as a notebook holds it, without its keys."""

    format: int
    workspace: str
    """A UUID, or empty."""
    endpoint: str
    recorded: float
    state: dict[str, Any]
    """Of an `Endpoint` the keys that a card shows (`widgets.endpoint_output.KEPT`), texts and lists cut."""
    latency: EndpointLatency | None
    log: LogTail | None


class SavedModelVersion(TypedDict):
    """The value of `application/vnd.mltrain.model+json`: a registered version as a notebook holds it."""

    format: int
    workspace: str
    recorded: float
    model: dict[str, Any]
    """Of a `ModelVersion` the keys that are shown (`widgets.model_output.KEPT`), texts and lists cut."""
