"""Compute targets as users hold them: `local`, and pools of nodes on this machine that grow and shrink with the queue.

try:
    target = ComputeTarget(workspace=ws, name="gpu-cluster")
except ComputeTargetException:
    config = AmlCompute.provisioning_configuration(vm_size="STANDARD_NC6", max_nodes=4)
    target = ComputeTarget.create(ws, "gpu-cluster", config)
    target.wait_for_completion(show_output=True)
"""

from __future__ import annotations

import builtins
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import quote

from jupyter_mltrain.core.target import AML, DEDICATED, LOCAL, check_scale
from jupyter_mltrain.errors import ComputeTargetException, TargetNotFound

if TYPE_CHECKING:
    from jupyter_mltrain.api.run import Run
    from jupyter_mltrain.api.workspace import Workspace

__all__ = ["AmlCompute", "AttachConfiguration", "ComputeTarget", "ComputeTargetException", "LocalTarget"]

DEFAULT_SIZE = "STANDARD_NC6"
"""The SDK's, where no vm_size is given."""

_DEFAULT_NODES = 4
_POLL_SECONDS = 1.0
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


@dataclass(frozen=True)
class AmlComputeProvisioningConfiguration:
    """A pool to be made; see `AmlCompute.provisioning_configuration`."""

    vm_size: str
    vm_priority: str
    min_nodes: int
    max_nodes: int
    idle_seconds_before_scaledown: float
    tags: Mapping[str, str]
    description: str

    def request(self, name: str) -> dict[str, Any]:
        """The body of `POST /v1/targets`."""
        return {
            "name": name,
            "size": self.vm_size,
            "priority": self.vm_priority,
            "min_nodes": self.min_nodes,
            "max_nodes": self.max_nodes,
            "idle_seconds": self.idle_seconds_before_scaledown,
            "description": self.description,
            "tags": dict(self.tags),
        }


class ComputeTarget:
    """A place where runs are run: `ComputeTarget(workspace, name)` gives the one of that name, as the class that it is.

    Raises `ComputeTargetException` (`TargetNotFound`) where there is none.
    """

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
        made = _of(workspace, state)
        assert isinstance(made, AmlCompute), "the service made what was asked for"
        return made

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
        return _iso(self._asked.get("created"))

    @property
    def modified_on(self) -> str | None:
        return _iso(self._asked.get("modified"))

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
            _wait_gone(self, 25 * 60)
        elif show_output:
            print('Provisioning operation finished, operation "Succeeded"')  # noqa: T201 - the SDK's words

    def delete(self) -> None:
        """Take the target away. Raises `TargetInUse` naming its live runs; `local` cannot go."""
        self.workspace.connection.delete(_path(self.name))

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


class LocalTarget(ComputeTarget):
    """`local`: this machine, a process for each run, as many at once as it has slots. Always there."""


class AmlCompute(ComputeTarget):
    """A pool of nodes. A node starts when a run waits for one, and goes when it has been idle for long enough. On this
    machine a node is a slot with what its size has of CPUs, memory and GPUs, as far as the machine has it."""

    @staticmethod
    def provisioning_configuration(
        vm_size: str = "",
        vm_priority: str = DEDICATED,
        min_nodes: int | str = 0,
        max_nodes: int | str | None = None,
        idle_seconds_before_scaledown: float | str = 1800,
        admin_username: object = None,  # noqa: ARG004 - the SDK's: there is no machine to sign in to
        admin_user_password: object = None,  # noqa: ARG004
        admin_user_ssh_key: object = None,  # noqa: ARG004
        vnet_resourcegroup_name: object = None,  # noqa: ARG004 - nor a network of its own
        vnet_name: object = None,  # noqa: ARG004
        subnet_name: object = None,  # noqa: ARG004
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
        remote_login_port_public_access: object = "NotSpecified",  # noqa: ARG004
        identity_type: object = None,  # noqa: ARG004
        identity_id: object = None,  # noqa: ARG004
        location: object = None,  # noqa: ARG004
        enable_node_public_ip: object = True,  # noqa: ARG004
    ) -> AmlComputeProvisioningConfiguration:
        """A pool of nodes of the size `vm_size` (default: STANDARD_NC6; `supported_vmsizes` lists them).

        At most `max_nodes` (default: 4) are there at once, and at least `min_nodes`; others go when they were idle for
        `idle_seconds_before_scaledown`. Numbers may be texts. What the SDK takes beside (networks, logins, identities) is
        taken, changes nothing and is not kept.

        Raises `ComputeTargetException` for numbers and priorities that cannot be.
        """
        most = _DEFAULT_NODES if max_nodes is None else _whole(max_nodes, "max_nodes")
        made = AmlComputeProvisioningConfiguration(
            vm_size=str(vm_size or DEFAULT_SIZE).strip().upper(),
            vm_priority=str(vm_priority or DEDICATED).lower(),
            min_nodes=_whole(min_nodes, "min_nodes"),
            max_nodes=most,
            idle_seconds_before_scaledown=_whole(idle_seconds_before_scaledown, "idle_seconds_before_scaledown"),
            tags={str(key): str(value) for key, value in (tags or {}).items()},
            description=description or "",
        )
        check_scale(made.min_nodes, made.max_nodes, made.idle_seconds_before_scaledown)
        return made

    @staticmethod
    def supported_vmsizes(workspace: Workspace, location: object = None) -> builtins.list[dict[str, Any]]:  # noqa: ARG004
        """The sizes by name: CPUs, memory in GB, GPUs, as they were under these names; a workspace can add its own."""
        return [
            {
                "name": size["name"],
                "vCPUs": size["cpus"],
                "gpus": size["gpus"],
                "memoryGB": size["memory_gb"],
                "gpuType": size["gpu"] or None,
            }
            for size in workspace.connection.get("/v1/sizes")["sizes"]
        ]

    @property
    def vm_size(self) -> str:
        return str(self._asked["size"])

    @property
    def vm_priority(self) -> str:
        return str(self._asked["priority"])

    @property
    def scale_settings(self) -> ScaleSettings:
        asked = self._asked
        return ScaleSettings(asked["min_nodes"], asked["max_nodes"], asked["idle_seconds"])

    @property
    def status(self) -> AmlComputeStatus:
        """How it stood when it was last looked at."""
        return AmlComputeStatus.of(self._state)

    def get_status(self) -> AmlComputeStatus:
        """How it stands now; `.serialize()` gives it as JSON."""
        self.refresh_state()
        return self.status

    def list_nodes(self) -> builtins.list[dict[str, Any]]:
        """The nodes that are there now, under the SDK's keys."""
        self.refresh_state()
        return [
            {
                "nodeId": f"{self.name}-{node['number']}",
                "port": None,
                "publicIpAddress": None,
                "privateIpAddress": "127.0.0.1",
                "nodeState": node["state"],
                "runId": node["run"],
            }
            for node in self._state["nodes"]
        ]

    def update(
        self,
        min_nodes: int | str | None = None,
        max_nodes: int | str | None = None,
        idle_seconds_before_scaledown: float | str | None = None,
    ) -> None:
        """Other numbers of nodes; what is left out stays. Runs keep their nodes to their end.

        Raises `ComputeTargetException` for numbers that cannot be.
        """
        given = {"min_nodes": min_nodes, "max_nodes": max_nodes, "idle_seconds": idle_seconds_before_scaledown}
        body = {name: _whole(value, name) for name, value in given.items() if value is not None}
        self._state = self.workspace.connection.patch(_path(self.name), body)

    def wait_for_completion(  # pyright: ignore[reportIncompatibleMethodOverride] - as in the SDK
        self,
        show_output: bool = False,
        min_node_count: int | None = None,
        timeout_in_minutes: float = 25,
        is_delete_operation: bool = False,
    ) -> None:
        """Return once it can be used and has `min_node_count` nodes (default: `min_nodes`), or after the time, as the SDK
        does. Nodes beyond `min_nodes` come when runs wait for them.

        Raises `ComputeTargetException` for more nodes than the pool may have.
        """
        seconds = float(timeout_in_minutes) * 60
        if is_delete_operation:
            _wait_gone(self, seconds)
            return
        least = _whole(min_node_count or self.scale_settings.minimum_node_count, "min_node_count")
        most = self.scale_settings.maximum_node_count
        if least > most:
            raise ComputeTargetException(
                f"{least} nodes are waited for; {self.name} has at most {most}.",
                mend=f"{self.name}.update(max_nodes={least})",
            )
        say = _printer(show_output)
        reached = self._wait_nodes(least, seconds, say)
        say("\nAmlCompute wait for completion finished\n\n")
        if reached:
            say("Minimum number of nodes requested have been provisioned\n")
        elif self.provisioning_state == "Failed":
            say(f'Terminal state of "Failed" has been reached\nProvisioning errors: {self.provisioning_errors}\n')
        else:
            status = self.status
            say(
                "Wait timeout has been reached\nCurrent provisioning state of AmlCompute is"
                f' "{status.provisioning_state}" and current node count is "{status.current_node_count}"\n'
            )

    def _wait_nodes(self, least: int, seconds: float, say: Any) -> bool:
        """Whether there were as many nodes in time. Says the state, and a dot at every further look."""
        deadline = time.monotonic() + seconds
        self.refresh_state()
        shown = self.provisioning_state
        say(shown)
        while True:
            usable = [n for n in self._state["nodes"] if n["state"] in ("idle", "running")]
            if shown == "Failed" or len(usable) >= least:
                return shown != "Failed"
            if time.monotonic() >= deadline:
                return False
            time.sleep(min(_POLL_SECONDS, max(0.0, deadline - time.monotonic())))
            self.refresh_state()
            now = self.provisioning_state
            say("." if now == shown else f"\n{now}")
            shown = now

    def serialize(self) -> dict[str, Any]:
        found = super().serialize()
        found["properties"] |= {
            "properties": {"vmSize": self.vm_size, "vmPriority": self.vm_priority},
            "status": self.status.serialize(),
        }
        return found


@dataclass(frozen=True)
class ScaleSettings:
    minimum_node_count: int
    maximum_node_count: int
    idle_seconds_before_scaledown: float

    def serialize(self) -> dict[str, Any]:
        return {
            "minNodeCount": self.minimum_node_count,
            "maxNodeCount": self.maximum_node_count,
            "nodeIdleTimeBeforeScaleDown": f"PT{self.idle_seconds_before_scaledown:.0f}S",
        }


@dataclass(frozen=True)
class AmlComputeStatus:
    """How a pool stood at a moment. Times as ISO texts in UTC."""

    current_node_count: int
    target_node_count: int
    node_state_counts: Mapping[str, int]
    allocation_state: str
    """`Steady`, or `Resizing` while nodes come or go."""
    allocation_state_transition_time: str | None
    errors: builtins.list[dict[str, str]] | None
    creation_time: str | None
    modified_time: str | None
    provisioning_state: str
    provisioning_state_transition_time: str | None
    scale_settings: ScaleSettings
    vm_priority: str
    vm_size: str

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> AmlComputeStatus:
        asked, nodes = state["definition"], state["nodes"]
        health = state["health"]
        unusable = [f"node {n['number']}: {n['problem']}" for n in nodes if n["state"] == "unusable"]
        problems = unusable or ([] if health["ok"] else [health["problem"]])
        return cls(
            current_node_count=len(nodes),
            target_node_count=state["target_nodes"],
            node_state_counts={name: sum(n["state"] == name for n in nodes) for name in _NODE_STATES},
            allocation_state="Steady" if state["steady"] else "Resizing",
            allocation_state_transition_time=_iso(state["changed"]),
            errors=[{"code": "engine", "message": problem} for problem in problems] or None,
            creation_time=_iso(asked["created"]),
            modified_time=_iso(asked["modified"]),
            provisioning_state="Succeeded" if health["ok"] else "Failed",
            provisioning_state_transition_time=_iso(asked["created"]),
            scale_settings=ScaleSettings(asked["min_nodes"], asked["max_nodes"], asked["idle_seconds"]),
            vm_priority=asked["priority"],
            vm_size=asked["size"],
        )

    def serialize(self) -> dict[str, Any]:
        """The SDK's JSON."""
        return {
            "currentNodeCount": self.current_node_count,
            "targetNodeCount": self.target_node_count,
            "nodeStateCounts": {f"{name}NodeCount": count for name, count in self.node_state_counts.items()},
            "allocationState": self.allocation_state,
            "allocationStateTransitionTime": self.allocation_state_transition_time,
            "errors": self.errors,
            "creationTime": self.creation_time,
            "modifiedTime": self.modified_time,
            "provisioningState": self.provisioning_state,
            "provisioningStateTransitionTime": self.provisioning_state_transition_time,
            "scaleSettings": self.scale_settings.serialize(),
            "vmPriority": "Dedicated" if self.vm_priority == DEDICATED else "LowPriority",
            "vmSize": self.vm_size,
        }


_NODE_STATES = ("preparing", "running", "idle", "unusable", "leaving", "preempted")
_CLASSES: dict[str, type[ComputeTarget]] = {AML: AmlCompute, LOCAL: LocalTarget}


def _of(workspace: Workspace, state: Mapping[str, Any]) -> ComputeTarget:
    made: ComputeTarget = object.__new__(_CLASSES.get(state["kind"], ComputeTarget))
    vars(made).update(workspace=workspace, name=state["name"], _state=state)
    return made


def _look_up(workspace: Workspace, name: str) -> Mapping[str, Any]:
    try:
        return workspace.connection.get(_path(name))
    except TargetNotFound as error:
        # The SDK's words, which notebooks look for.
        raise TargetNotFound(
            f"ComputeTargetNotFound: Compute Target with name {name} not found in provided workspace",
            mend=error.mend,
            **error.details,
        ) from None


def _path(name: str) -> str:
    return f"/v1/targets/{quote(name, safe='')}"


def _wait_gone(target: ComputeTarget, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            target.refresh_state()
        except TargetNotFound:
            return
        time.sleep(_POLL_SECONDS)


def _whole(given: Any, what: str) -> int:
    """A whole number, also where it is a text."""
    try:
        number = int(given)
        whole = isinstance(given, str) or (number == given and not isinstance(given, bool))
    except (TypeError, ValueError, OverflowError):
        number, whole = 0, False
    if not whole:
        raise ComputeTargetException(f"{what} is {given!r}.", mend="Give a whole number.")
    return number


def _iso(moment: float | None) -> str | None:
    return datetime.fromtimestamp(moment, UTC).isoformat() if moment else None


def _printer(show: bool) -> Any:
    def say(text: str) -> None:
        if show:
            print(text, end="", flush=True)  # noqa: T201 - what the SDK prints

    return say
