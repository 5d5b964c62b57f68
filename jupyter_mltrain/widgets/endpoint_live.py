"""The output of an endpoint in a notebook: shown once, kept up to date by the kernel's watcher while something is under way."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_mltrain.errors import WebserviceNotFound
from jupyter_mltrain.widgets.endpoint_output import bundle
from jupyter_mltrain.widgets.live_output import Place, in_kernel, watcher

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_PATIENCE = 2.0
"""Seconds for an answer about an endpoint, beyond those it was asked to wait."""

_MOST = 20
"""Outputs of one endpoint that are kept up to date; the oldest are left as they are."""

_SETTLED = frozenset({"running", "failed", "stopped", "deleted"})
_shown: dict[tuple[str, str], list[EndpointOutput]] = {}


class EndpointLike(Protocol):
    """An endpoint, as far as its output needs it (`api.Webservice` is one)."""

    entry: dict[str, Any]

    @property
    def workspace(self) -> Place: ...


class EndpointOutput:
    """One display of an endpoint, by its display id."""

    def __init__(self, shell: InteractiveShell, endpoint: EndpointLike) -> None:
        self._shell, self._workspace, self._plain = shell, endpoint.workspace, repr(endpoint)
        self._entry = endpoint.entry
        self._id = uuid.uuid4().hex

    def display(self) -> None:
        """Display it and, in a kernel, keep it up to date until it serves or has failed."""
        self._publish(update=False)
        if in_kernel(self._shell):
            key = (self._workspace.id, str(self._entry["name"]))
            _shown[key] = [*_shown.get(key, []), self][-_MOST:]
            self._watch(_as_run(self._entry))

    def again(self) -> None:
        """Something was done to it: show how it stands, until it is settled again."""
        known = _as_run(self._entry)
        self._watch({**known, "status": "Running", "revision": known["revision"] - 1})

    def _watch(self, known: Mapping[str, Any]) -> None:
        name = f"endpoint {self._workspace.id} {self._entry['name']}"
        watcher(self._shell).remove(name, self)
        watcher(self._shell).add(name, self, known)

    def refresh(self, after: int, wait: float) -> Mapping[str, Any]:
        path = f"/v1/endpoints/{self._entry['name']}"
        try:
            entry = self._workspace.connection.get(path, timeout=wait + _PATIENCE, after=after, wait=wait)
        except WebserviceNotFound:
            entry = {**self._entry, "phase": "deleted", "state": "deleted", "serving": None, "news": after + 1}
        return _as_run(entry)

    def publish(self, state: Mapping[str, Any]) -> None:
        self._entry = state["endpoint"]
        self._publish(update=True)

    def _publish(self, *, update: bool) -> None:
        shown = bundle(self._entry, self._workspace.id, self._workspace.connection, self._plain)
        self._shell.display_pub.publish(shown, {}, transient={"display_id": self._id}, update=update)


def changed(workspace: str, name: str) -> None:
    """Something was done to the endpoint: its outputs follow it again."""
    for output in _shown.get((workspace, name), []):
        output.again()


def _as_run(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An endpoint as `widgets.watch.Watcher` looks at a run: its end is that nothing more comes of it by itself."""
    return {
        "endpoint": entry,
        "display_name": entry["name"],
        "revision": entry["news"],
        "status": "Completed" if entry["phase"] in _SETTLED else "Running",
        "stages": [{"state": (entry["phase"], entry["step"], entry["serving"])}],
    }
