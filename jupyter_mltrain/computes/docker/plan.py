"""From a spec to the request that the engine gets, as data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from posixpath import join
from typing import Any

from docker.utils import parse_bytes

from jupyter_mltrain import runclient
from jupyter_mltrain.computes.docker import arguments, data, nodes
from jupyter_mltrain.computes.docker.labels import ENVIRONMENTS, ENVIRONMENTS_PLACE, labels, run_volume
from jupyter_mltrain.computes.plan import compose
from jupyter_mltrain.core.compute import Grant, LaunchInputs, LaunchPlan
from jupyter_mltrain.core.ranks import RankPlan
from jupyter_mltrain.core.spec import RunSpec
from jupyter_mltrain.errors import UsageError

ROOT = "/mltrain/run"
"""The run folder in its container: a volume of its own, so that what a run said outlives a container that vanished."""
CAPABILITIES = ["gpu", "compute", "utility"]
_PIDS = 16384
_SHM = 1 << 30
"""Shared memory where nobody says otherwise: the 64 MB of engines are too few for loaders of data with several processes."""
_LOG = {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}}
"""Of the shim's own words alone; what the script says goes into the run folder."""


def plan(
    spec: RunSpec,
    inputs: LaunchInputs,
    *,
    engine: str,
    image: str,
    user: str,
    bound: Mapping[str, str],
    addresses: Sequence[str] = (),
) -> LaunchPlan:
    """The plan of a run in containers made from `image`, one per node, as `user` (`uid[:gid]`, or a name in the image).
    `bound`: paths, by key, of the data that the engine can read where it lies. `addresses`: of the host of each node, where
    they are not all on one. Raises `UsageError` for arguments of its environment that it cannot be given."""
    mounts = {
        mount.name: join(ROOT, "work", mount.place) if mount.place else data.path(mount) for mount in inputs.mounts
    }
    grant = inputs.grant
    # In the container the GPUs that it gets are all there are, counted from 0.
    inside = dataclasses.replace(inputs, grant=dataclasses.replace(grant, gpus=tuple(range(len(grant.gpus)))))
    home = {"HOME": join(ROOT, "home"), "USER": "mltrain", "LOGNAME": "mltrain"}
    python = inputs.environment.python
    count = spec.nodes
    composed = compose(
        spec,
        inside,
        engine=engine,
        root=ROOT,
        python=python,
        mounts=mounts,
        variables=home,
        host=lambda node: nodes.address(node, count, addresses),
    )
    share = len(grant.gpus) // count
    ranks = tuple(_in_its_container(one, share) for one in composed.ranks)
    requests: list[dict[str, Any]] = []
    for node in range(count):
        files = [f"{ROOT}/shim/r{one.rank}.launch.json" for one in ranks if one.node == node]
        own = dataclasses.replace(grant, gpus=grant.gpus[share * node : share * (node + 1)])
        request: dict[str, Any] = {
            "Image": image,
            "User": user,
            "Entrypoint": shim(python),
            "Cmd": ["launch", *files, "--wait", *(["--secrets"] if spec.secrets else [])],
            "WorkingDir": "/",
            "OpenStdin": bool(spec.secrets),
            "StdinOnce": bool(spec.secrets),
            "Labels": labels("run", run=spec.run_id),
            "HostConfig": _host(composed, own, inputs, bound, count),
        }
        arguments.apply(request, inputs.environment.arguments)
        if count > 1:
            if request["HostConfig"].get("NetworkMode") == "none":
                raise UsageError(
                    f"docker.arguments has --network none, and the {count} nodes of the run have to reach each other.",
                    mend="Leave it out of the environment's docker.arguments.",
                )
            nodes.connect(request, spec.run_id, node, addresses)
        requests.append(request)
    return dataclasses.replace(
        composed,
        ranks=ranks,
        container=requests[0],
        more_containers=tuple(requests[1:]),
        addresses=tuple(addresses),
    )


def _in_its_container(one: RankPlan, share: int) -> RankPlan:
    """A process with its node's GPUs, counted from 0: there are no others in its container."""
    if not one.node or one.env["CUDA_VISIBLE_DEVICES"] == "-1":
        return one
    return dataclasses.replace(one, env={**one.env, "CUDA_VISIBLE_DEVICES": ",".join(map(str, range(share)))})


def shim(python: str) -> list[str]:
    """The command that runs the shim in a run's container; a verb follows."""
    return [python, "-I", "-S", join(ROOT, "inject", runclient.SHIM)]


def _host(
    composed: LaunchPlan, grant: Grant, inputs: LaunchInputs, bound: Mapping[str, str], nodes: int
) -> dict[str, Any]:
    """The part of the request that says what a container may use, one of `nodes` that share what the run was granted."""
    environment = inputs.environment
    mounts: list[dict[str, Any]] = [volume(run_volume(composed.run_id), ROOT, read_only=False)]
    if environment.python.startswith(ENVIRONMENTS_PLACE + "/"):
        mounts.append(volume(ENVIRONMENTS, ENVIRONMENTS_PLACE))
    mounts += data.mounts(inputs.mounts, bound)
    host: dict[str, Any] = {
        "Init": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": _PIDS,
        "ShmSize": parse_bytes(environment.shm_size) if environment.shm_size else _SHM,
        "LogConfig": _LOG,
        "Mounts": mounts,
    }
    if composed.memory_bytes is not None:
        # As much with swap as without: no swap.
        memory = composed.memory_bytes // nodes
        host |= {"Memory": memory, "MemorySwap": memory}
    if composed.cpus is not None:
        host["NanoCpus"] = max(1, composed.cpus // nodes) * 1_000_000_000
    if grant.gpus:
        host["DeviceRequests"] = [devices(grant.gpus)]
    return host


def devices(gpus: Sequence[int] | None) -> Mapping[str, Any]:
    """The request for those GPUs, or for all there are."""
    which: dict[str, Any] = {"Count": -1} if gpus is None else {"DeviceIDs": [str(index) for index in gpus]}
    return {"Driver": "", **which, "Capabilities": [CAPABILITIES]}


def volume(name: str, target: str, *, read_only: bool = True) -> dict[str, Any]:
    """A mount of the volume `name`; nothing of the image is copied into it."""
    return {
        "Type": "volume", "Source": name, "Target": target, "ReadOnly": read_only, "VolumeOptions": {"NoCopy": True},
    }  # fmt: skip
