"""What we leave on an engine: found by its label, kept while anything needs it, removed when it is asked for. Blocking.

Nothing without our label is ever touched, and nothing is forced: what somebody uses after all, the engine keeps.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import docker.errors

from jupyter_mltrain.computes.docker.dialling import Client
from jupyter_mltrain.computes.docker.labels import KIND, RUN, WORKSPACE
from jupyter_mltrain.core.compute import Leftover

HELPER_SECONDS = 3600.0
"""A helper that was not removed by who made it may be looked into for so long."""
STRANGE_SECONDS = 30 * 86400.0
"""A run that this workspace does not know is another's, or its record was removed: after so long nobody collects it."""

_SHARED = {
    "environment": "environments, made again when they are needed",
    "data": "data, sent again when it is needed",
}
_GONE = 404
_USED = (409, 403)
"""403 is said of a network that a container is on."""


def leftovers(client: Client, ended: Collection[str]) -> list[Leftover]:
    """Containers, volumes, networks and images of ours that no living container uses. `ended`: ids of runs that are over.

    Runs of another workspace are left to it, unless they are old; what all share (environments, data, images) goes, too, and
    says who made it.
    """
    ours = {"label": KIND}
    sizes = _Sizes(client.df())
    containers: list[dict[str, Any]] = client.containers(all=True, filters=ours)
    volumes: list[dict[str, Any]] = client.volumes(filters=ours)["Volumes"] or []
    networks: list[dict[str, Any]] = client.networks(filters=ours)
    images: list[dict[str, Any]] = client.images(filters=ours)
    using = [one for one in containers if not _over(one, ended)]
    used = {mount.get("Name") for one in using for mount in one.get("Mounts", ())} | {one["ImageID"] for one in using}
    return [
        *_containers(containers, ended, sizes, client.workspace),
        *_volumes([one for one in volumes if one["Name"] not in used], ended, sizes, client.workspace),
        *_networks([one for one in networks if _run(one) not in map(_run, using)], ended, client.workspace),
        *_images([one for one in images if one["Id"] not in used], client.workspace),
    ]


def discard(client: Client, which: Sequence[Leftover]) -> list[Leftover]:
    """Remove them; what is used after all stays, and is not in the answer."""
    remove = {
        "container": client.remove_container,
        "volume": client.remove_volume,
        "network": client.remove_network,
        "image": client.remove_image,
    }
    gone: list[Leftover] = []
    for one in which:
        try:
            remove[one.kind](one.name)
        except docker.errors.APIError as error:
            if error.status_code == _GONE:
                continue
            if error.status_code not in _USED:
                raise
        else:
            gone.append(one)
    return gone


@dataclass(frozen=True)
class _Sizes:
    """Bytes on the engine's disk (`docker system df`)."""

    said: Mapping[str, Any]

    def container(self, id_: str) -> int | None:
        return next((one.get("SizeRw", 0) for one in self.said.get("Containers") or () if one["Id"] == id_), None)

    def volume(self, name: str) -> int | None:
        usage = next((one.get("UsageData") for one in self.said.get("Volumes") or () if one["Name"] == name), None)
        return usage["Size"] if usage and usage["Size"] >= 0 else None


def _over(container: Mapping[str, Any], ended: Collection[str]) -> bool:
    """Whether a container has done what it was made for."""
    if container["State"] in ("running", "restarting", "paused", "removing"):
        return False
    run, age = container["Labels"].get(RUN), time.time() - container["Created"]
    if container["Labels"][KIND] == "run":
        return run in ended or age > STRANGE_SECONDS
    return age > HELPER_SECONDS


def _whose(labels: Mapping[str, str], workspace: str) -> str:
    """What to add where something was made by another workspace, or nobody says by which."""
    made_by = labels.get(WORKSPACE, "")
    return f", of another workspace ({made_by[:8]})" if made_by not in ("", workspace) else ""


def _containers(
    found: Sequence[dict[str, Any]], ended: Collection[str], sizes: _Sizes, workspace: str
) -> Iterator[Leftover]:
    for one in found:
        if _over(one, ended):
            name = one["Names"][0].lstrip("/") if one.get("Names") else one["Id"]
            run = one["Labels"].get(RUN)
            why = f"the run {run} has ended" if one["Labels"][KIND] == "run" else "a helper that has ended"
            if one["Labels"][KIND] == "endpoint":
                why = "an endpoint's server that has ended"
            yield Leftover("container", name, sizes.container(one["Id"]), why + _whose(one["Labels"], workspace))


def _volumes(
    found: Sequence[dict[str, Any]], ended: Collection[str], sizes: _Sizes, workspace: str
) -> Iterator[Leftover]:
    for one in found:
        labels: Mapping[str, str] = one["Labels"]
        why = _SHARED.get(labels[KIND], "")
        if labels[KIND] == "run":
            if labels.get(RUN) in ended:
                why = f"the run {labels[RUN]} has ended"
            elif _age(one.get("CreatedAt", "")) > STRANGE_SECONDS:
                why = f"the run {labels.get(RUN)} is none of this workspace, and old"
        if labels[KIND] == "endpoint" and _age(one.get("CreatedAt", "")) > HELPER_SECONDS:
            why = "files of an endpoint that has no server there, sent again when it starts"
        if why:
            yield Leftover("volume", one["Name"], sizes.volume(one["Name"]), why + _whose(labels, workspace))


def _run(one: Mapping[str, Any]) -> str:
    """The run that something was made for."""
    return one["Labels"].get(RUN, "")


def _networks(found: Sequence[dict[str, Any]], ended: Collection[str], workspace: str) -> Iterator[Leftover]:
    for one in found:
        why = ""
        if _run(one) in ended:
            why = f"the run {_run(one)} has ended"
        elif _age(one.get("Created", "")) > STRANGE_SECONDS:
            why = f"the run {_run(one)} is none of this workspace, and old"
        if why:
            yield Leftover("network", one["Name"], None, why + _whose(one["Labels"], workspace))


def _images(found: Sequence[dict[str, Any]], workspace: str) -> Iterator[Leftover]:
    for one in found:
        name = (one.get("RepoTags") or [one["Id"]])[0]
        why = "built again when it is needed" + _whose(one.get("Labels") or {}, workspace)
        yield Leftover("image", name, one["Size"], why)


def _age(created: str) -> float:
    """Seconds; 0 where the engine does not say."""
    try:
        return time.time() - dt.datetime.fromisoformat(created).timestamp()
    except ValueError:
        return 0.0
