"""A compute target as users hold it, whatever it is: looked up, made, attached, taken away."""

from __future__ import annotations

import builtins
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, cast
from urllib.parse import quote

from jupyter_mltrain.api.pool import AmlComputeProvisioningConfiguration, iso
from jupyter_mltrain.errors import ComputeTargetException, TargetNotFound

if TYPE_CHECKING:
    from jupyter_mltrain.api.compute import AmlCompute
    from jupyter_mltrain.api.run import Run
    from jupyter_mltrain.api.workspace import Workspace

POLL_SECONDS = 1.0
_LIVE = "NotStarted Preparing Queued Starting Running NotResponding CancelRequested Finalizing".split()


class Attachable(Protocol):
    """What `ComputeTarget.attach` takes: the kind of an engine, and its settings (JSON)."""

    @property
    def kind(self) -> str: ...

    @property
    def settings(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class AttachConfiguration:
    """Something that is there already and that the engine `kind` can use. Settings are the engine's own."""

    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)


class ComputeTarget:
    """A place where runs are run: `ComputeTarget(workspace, name)` gives the one of that name, as the class that it is.

    Raises `ComputeTargetException` (`TargetNotFound`) where there is none.
    """

    _classes: ClassVar[dict[str, type[ComputeTarget]]] = {}

    def __init_subclass__(cls, *, kind: str) -> None:
        cls._classes[kind] = cls

    def __new__(cls, workspace: Workspace, name: str) -> Self:
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - notebooks are not type checked
            raise ComputeTargetException(f"The name of a compute target is text, not {type(name).__name__}.")
        made = _of(workspace, _look_up(workspace, name))
        if not isinstance(made, cls):
            raise ComputeTargetException(f"The compute target {name!r} is of the type {made.type}, not {cls.__name__}.")
        return made

    def __init__(self, workspace: Workspace, name: str) -> None:  # noqa: ARG002 - the SDK's arguments, taken by __new__
        # Written by `_of`: a target is always one that is there.
        self.workspace: Workspace
        self.name: str
        self._state: Mapping[str, Any]

    @staticmethod
    def create(
        workspace: Workspace, name: str, provisioning_configuration: AmlComputeProvisioningConfiguration
    ) -> AmlCompute:
        """Make a pool; it can be used at once. One of the same name and size gets these numbers of nodes.

        Raises `ComputeTargetException` for a name, size or number that cannot be, or a name that is taken, and
        `SubstitutionRefused` where the workspace is strict and the machine has less than the size asks for.
        """
        if not isinstance(provisioning_configuration, AmlComputeProvisioningConfiguration):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ComputeTargetException(
                f"A {type(provisioning_configuration).__name__} is no provisioning configuration.",
                mend="AmlCompute.provisioning_configuration(…) makes one.",
            )
        state = workspace.connection.post("/v1/targets", provisioning_configuration.request(name))
        return cast("AmlCompute", _of(workspace, state))

    @staticmethod
    def attach(workspace: Workspace, name: str, attach_configuration: Attachable) -> ComputeTarget:
        """Take what is there already as a target, once it was reached.

        Raises `UsageError` for an engine or a setting that does not exist, `EngineError` where it cannot be reached.
        """
        kind = getattr(attach_configuration, "kind", None)
        if not isinstance(kind, str):
            raise ComputeTargetException(
                f"A {type(attach_configuration).__name__} is no attach configuration.",
                mend="AttachConfiguration(kind, settings) is one.",
            )
        body = {"name": name, "engine": kind, "settings": dict(attach_configuration.settings)}
        return _of(workspace, workspace.connection.post("/v1/attached-targets", body))

    @staticmethod
    def list(workspace: Workspace) -> builtins.list[ComputeTarget]:
        """All targets of the workspace, `local` first."""
        return [_of(workspace, state) for state in workspace.connection.get("/v1/targets")["targets"]]

    @property
    def type(self) -> str:
        """`AmlCompute`, `local`, or the engine that is attached."""
        return str(self._state["kind"])

    @property
    def id(self) -> str:
        return f"/workspaces/{self.workspace.id}/computes/{self.name}"

    @property
    def provisioning_state(self) -> str:
        """`Succeeded`, or `Failed` where the engine cannot be used now."""
        return "Succeeded" if self._state["health"]["ok"] else "Failed"

    @property
    def provisioning_errors(self) -> builtins.list[dict[str, str]] | None:
        health = self._state["health"]
        return (
            None if health["ok"] else [{"code": "engine", "message": f"{health['problem']} {health['mend']}".strip()}]
        )

    @property
    def location(self) -> str:
        return self.workspace.location

    cluster_location = location

    @property
    def description(self) -> str:
        return str(self._asked.get("description", ""))

    @property
    def tags(self) -> dict[str, str]:
        return dict(self._asked.get("tags", {}))

    @property
    def created_on(self) -> str | None:
        return iso(self._asked.get("created"))

    @property
    def modified_on(self) -> str | None:
        return iso(self._asked.get("modified"))

    @property
    def substitutions(self) -> builtins.list[dict[str, str]]:
        """What runs here are given in place of what was asked for: kind, asked, given, reason."""
        return [dict(one) for one in self._state["substitutions"]]

    def refresh_state(self) -> None:
        """Ask again how the target stands. Raises `TargetNotFound` when it is gone."""
        self._state = _look_up(self.workspace, self.name)

    def wait_for_completion(self, show_output: bool = False, is_delete_operation: bool = False) -> None:
        """Return once it can be used, which it can from the first; or, with `is_delete_operation`, once it is gone."""
        if is_delete_operation:
            wait_gone(self, 25 * 60)
        elif show_output:
            print('Provisioning operation finished, operation "Succeeded"')  # noqa: T201 - the SDK's words

    def delete(self) -> None:
        """Take the target away; one that is gone already is no error. Raises `TargetInUse` naming its live runs; `local`
        cannot go."""
        # A sending that was repeated because the service went away may find its work done.
        with suppress(TargetNotFound):
            self.workspace.connection.delete(path(self.name))

    def detach(self) -> None:
        """The same as `delete`: what is attached stays as it is."""
        self.delete()

    def get_active_runs(self) -> Iterator[Run]:
        """The runs that are here and not over, those that wait included, newest first."""
        from jupyter_mltrain.api.experiment import Experiment  # noqa: PLC0415 - each knows the other
        from jupyter_mltrain.api.run import Run  # noqa: PLC0415

        offset, page = 0, 200
        while True:
            found = self.workspace.connection.get("/v1/runs", target=self.name, limit=page, offset=offset)["runs"]
            for state in found:
                if state["status"] in _LIVE:
                    yield Run(Experiment(self.workspace, state["experiment"]), state["id"])
            if len(found) < page:
                return
            offset += page

    def serialize(self) -> dict[str, Any]:
        """What is known of it, as JSON."""
        return {
            "id": self.id,
            "name": self.name,
            "location": self.location,
            "tags": self.tags,
            "properties": {
                "description": self.description,
                "computeType": self.type,
                "computeLocation": self.location,
                "provisioningState": self.provisioning_state,
                "provisioningErrors": self.provisioning_errors,
                "createdOn": self.created_on,
                "modifiedOn": self.modified_on,
            },
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}(workspace={self.workspace!r}, name={self.name!r}, type={self.type!r})"

    @property
    def _asked(self) -> Mapping[str, Any]:
        return self._state["definition"] or {}


def _of(workspace: Workspace, state: Mapping[str, Any]) -> ComputeTarget:
    made: ComputeTarget = object.__new__(ComputeTarget._classes.get(state["kind"], ComputeTarget))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    vars(made).update(workspace=workspace, name=state["name"], _state=state)
    return made


def _look_up(workspace: Workspace, name: str) -> Mapping[str, Any]:
    try:
        return workspace.connection.get(path(name))
    except TargetNotFound as error:
        # The SDK's words, which notebooks look for.
        raise TargetNotFound(
            f"ComputeTargetNotFound: Compute Target with name {name} not found in provided workspace",
            mend=error.mend,
            **error.details,
        ) from None


def path(name: str) -> str:
    return f"/v1/targets/{quote(name, safe='')}"


def wait_gone(target: ComputeTarget, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            target.refresh_state()
        except TargetNotFound:
            return
        time.sleep(POLL_SECONDS)
