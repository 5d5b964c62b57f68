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
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.api.docker import DockerCompute
from jupyter_mltrain.api.pool import AmlComputeProvisioningConfiguration, AmlComputeStatus, ScaleSettings, nodes, whole
from jupyter_mltrain.api.target import (
    POLL_SECONDS,
    AttachConfiguration,
    ComputeTarget,
    path,
    wait_gone,
)
from jupyter_mltrain.core.target import AML, DEDICATED, LOCAL, check_scale
from jupyter_mltrain.errors import ComputeTargetException

if TYPE_CHECKING:
    from jupyter_mltrain.api.workspace import Workspace

__all__ = [
    "AmlCompute",
    "AttachConfiguration",
    "ComputeTarget",
    "ComputeTargetException",
    "DockerCompute",
    "LocalTarget",
]

DEFAULT_SIZE = "STANDARD_NC6"
"""The SDK's, where no vm_size is given."""

_DEFAULT_NODES = 4


class LocalTarget(ComputeTarget, kind=LOCAL):
    """`local`: this machine, a process for each run, as many at once as it has slots. Always there."""


class AmlCompute(ComputeTarget, kind=AML):
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
        most = _DEFAULT_NODES if max_nodes is None else whole(max_nodes, "max_nodes")
        made = AmlComputeProvisioningConfiguration(
            vm_size=str(vm_size or DEFAULT_SIZE).strip().upper(),
            vm_priority=str(vm_priority or DEDICATED).lower(),
            min_nodes=whole(min_nodes, "min_nodes"),
            max_nodes=most,
            idle_seconds_before_scaledown=whole(idle_seconds_before_scaledown, "idle_seconds_before_scaledown"),
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
        return nodes(self._state)

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
        body = {name: whole(value, name) for name, value in given.items() if value is not None}
        self._state = self.workspace.connection.patch(path(self.name), body)

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
            wait_gone(self, seconds)
            return
        least = whole(min_node_count or self.scale_settings.minimum_node_count, "min_node_count")
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
            time.sleep(min(POLL_SECONDS, max(0.0, deadline - time.monotonic())))
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


def _printer(show: bool) -> Any:
    def say(text: str) -> None:
        if show:
            print(text, end="", flush=True)  # noqa: T201 - what the SDK prints

    return say
