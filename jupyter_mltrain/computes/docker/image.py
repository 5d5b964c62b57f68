"""Images that containers are made from: found on the engine, pulled, or built of a Dockerfile. Blocking."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import docker.errors
from docker.utils import parse_repository_tag

from jupyter_mltrain.cache import Stopped
from jupyter_mltrain.computes.archives import Entry, archive
from jupyter_mltrain.computes.docker.connection import Connection
from jupyter_mltrain.computes.docker.labels import labels
from jupyter_mltrain.errors import BuildFailed, DiskFull, EngineError

Say = Callable[[str], None]
Stop = threading.Event

REPOSITORY = "mltrain"
"""Images that are built here are called `mltrain/base` and `mltrain/environment`, with a hash of their content as tag."""


def tag(kind: str, *content: str) -> str:
    """The name of an image that is built: `mltrain/base:3f…`."""
    return f"{REPOSITORY}/{kind}:{digest(*content)}"


def digest(*content: str) -> str:
    """Twenty hex digits: longer paths do not fit a script's first line."""
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:20]


def find(connection: Connection, name: str) -> dict[str, Any] | None:
    """What the engine says of an image; None where it has none of that name."""

    def ask(client: Any) -> dict[str, Any] | None:
        try:
            return client.inspect_image(name)
        except docker.errors.ImageNotFound:
            return None

    return connection.do(ask)


def pulled(connection: Connection, name: str, log: Say, progress: Say, stop: Stop) -> dict[str, Any]:
    """The image `name`, pulled unless it is there. Raises `EngineError` where it cannot be had, `Stopped`."""
    if found := find(connection, name):
        return found
    log(f"Pulling the image {name}")
    wrong = transfer(connection, name, progress, stop)
    if wrong:
        raise _not_pulled(name, wrong)
    found = find(connection, name)
    if found is None:
        raise _not_pulled(name, "it is not there afterwards")
    log(f"Pulled {name}, {found['Size'] / 1e6:.0f} MB")
    return found


def transfer(connection: Connection, name: str, progress: Say, stop: Stop) -> str:
    """Pull the image `name`; in the engine's words why it cannot be had, or empty. Raises `EngineUnreachable`, `Stopped`."""
    repository, version = parse_repository_tag(name)
    layers: dict[str, tuple[int, int]] = {}

    def ask(client: Any) -> str:
        wrong = ""
        for event in client.pull(repository, version or "latest", stream=True, decode=True):
            if stop.is_set():
                raise Stopped
            wrong = str(event.get("error", wrong))  # the last word: read to its end, so that the connection is free
            count(layers, event, "Downloading", "Download complete")
            if layers:
                done, total = (sum(each) for each in zip(*layers.values(), strict=True))
                progress(f"pulling {name}, {done / 1e6:.0f} of {total / 1e6:.0f} MB")
        return wrong

    try:
        return connection.do(ask)
    except EngineError as error:
        if "status" in error.details:
            return error.message
        raise


def built(connection: Connection, name: str, dockerfile: str, log: Say, progress: Say, stop: Stop) -> dict[str, Any]:
    """The image of a Dockerfile, built under that name; its layers stay in the engine's cache.

    Its context holds nothing else. Raises `BuildFailed` with what was said in `details["output"]`, `Stopped`.
    """
    log(f"Building the image {name}")
    said: list[str] = []

    def ask(client: Any) -> None:
        wrong = ""
        # No proxies and no secrets as arguments of the build: they would stay in the image's history.
        events: Iterator[Mapping[str, Any]] = client.build(
            fileobj=b"".join(archive([Entry("Dockerfile", data=dockerfile.encode())])),
            custom_context=True,
            tag=name,
            labels=labels("environment", key=name.partition(":")[2]),
            rm=True,
            forcerm=True,
            decode=True,
        )
        for event in events:
            if stop.is_set():
                raise Stopped
            _tell(event, said, log, progress)
            wrong = str(event.get("error", wrong))  # the last word: read to its end, so that the connection is free
        if wrong:
            raise _not_built(wrong, [*said, wrong])

    try:
        connection.do(ask)
    except EngineError as error:
        if "status" in error.details:
            raise _not_built(error.message, said) from error
        raise
    found = find(connection, name)
    if found is None:
        raise _not_built("it is not there afterwards", said)
    return found


def _tell(event: Mapping[str, Any], said: list[str], log: Say, progress: Say) -> None:
    """Pass on what a build says."""
    text = str(event.get("stream", ""))
    for line in filter(None, map(str.rstrip, text.splitlines())):
        said.append(line)
        log(line)
    if step := _STEP.match(text):
        progress(f"building the image, step {step[1]} of {step[2]}")


_STEP = re.compile(r"Step (\d+)/(\d+) ")


def count(layers: dict[str, tuple[int, int]], event: Mapping[str, Any], doing: str, done: str) -> None:
    """Keep in `layers`, by id, how many bytes of each are through and how many it has; `doing`, `done`: the engine's words."""
    detail: Mapping[str, int] = event.get("progressDetail") or {}
    layer = str(event.get("id", ""))
    if event.get("status") == doing and detail.get("total"):
        layers[layer] = (min(detail["current"], detail["total"]), detail["total"])
    elif event.get("status") == done and layer in layers:
        layers[layer] = (layers[layer][1], layers[layer][1])


def _not_pulled(name: str, said: str) -> EngineError | DiskFull:
    if "no space left on device" in said:
        return DiskFull(f"The engine has no space left for the image {name}: {said}", mend="`%mltrain compute prune`.")
    return EngineError(
        f"The image {name!r} is not on the engine, and cannot be pulled: {said.rstrip('.')}.",
        mend="Name one that is there or can be had: base_image of the target, or docker.base_image of the environment.",
    )


def _not_built(cause: str, said: list[str]) -> BuildFailed:
    return BuildFailed(
        f"The image of the Dockerfile could not be built: {cause.rstrip('.')}.",
        mend="Change the Dockerfile of the environment (docker.base_dockerfile).",
        output="\n".join(said)[-20_000:],
    )
