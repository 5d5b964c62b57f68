"""What a run made, out of its container into its record, in bounded memory. Blocking."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from posixpath import basename, dirname, isabs, join, normpath, relpath

import docker.errors

from jupyter_mltrain.computes.archives import unpack
from jupyter_mltrain.computes.docker import seeing
from jupyter_mltrain.computes.docker.dialling import Client
from jupyter_mltrain.computes.docker.plan import ROOT
from jupyter_mltrain.computes.workfolder import KEPT
from jupyter_mltrain.core.compute import Handle

_WORK = f"{ROOT}/work"
_LINKS = 10
"""Links that lead to links that are followed."""
_ENDING = 30.0
_STEP = 0.05


def collect(client: Client, handle: Handle, into: Path) -> None:
    """Bring the kept folders. What is there is replaced; what a run did not make is none."""

    def fetch(container: str) -> None:
        for name in KEPT:
            _fetch(client, container, f"{_WORK}/{name}", into / name)

    try:
        seeing.of_folder(client, handle, _states(client, handle), fetch)
    except docker.errors.NotFound:
        return  # nothing of the run is there (any more)


def _states(client: Client, handle: Handle) -> Sequence[seeing.Container]:
    """Of the containers. Podman cuts an archive short where the container ends just then, with no word of it: there, after
    its end, which is near."""
    until = time.monotonic() + _ENDING
    found = seeing.states(client, handle)
    while any(one.running for one in found) and client.is_podman and time.monotonic() < until:
        time.sleep(_STEP)
        found = seeing.states(client, handle)
    return found


def _fetch(client: Client, container: str, path: str, target: Path, links: int = _LINKS) -> None:
    """What lies at `path` in the container. A link out of it to something else in the working folder becomes that: the
    working folder goes away, and what was made stays. A link to elsewhere is left out."""
    try:
        with seeing.taken(client, container, path) as source:
            found = unpack(source, target, top=basename(path))
    except seeing.Going:
        raise
    except docker.errors.NotFound:
        return
    for inner, linked in found.links.items():
        at = normpath(join(path, inner))
        reached = normpath(join(dirname(at), linked))
        place = target / inner
        if os.path.lexists(place):
            continue
        if inner and _within(reached, path):
            place.parent.mkdir(parents=True, exist_ok=True)
            # In the container's own terms a path would lead nowhere here.
            place.symlink_to(relpath(reached, dirname(at)) if isabs(linked) else linked)
        elif links and _within(reached, _WORK) and not _within(at, reached):
            _fetch(client, container, reached, place, links - 1)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")
