"""What preparing an environment would find on an engine, and would have to do: nothing is made, pulled or built. Blocking."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from posixpath import join
from typing import Any

from jupyter_mltrain.computes.docker import containers
from jupyter_mltrain.computes.docker import image as images
from jupyter_mltrain.computes.docker.connection import Connection, status_of
from jupyter_mltrain.computes.docker.labels import ENVIRONMENTS, labels
from jupyter_mltrain.computes.docker.plan import ENVIRONMENTS_PLACE
from jupyter_mltrain.computes.docker.registry import Registry
from jupyter_mltrain.core.compute import EnvironmentOrder, ForeseenEnvironment
from jupyter_mltrain.errors import EngineError

IN_IMAGE = "/opt/environment"
"""Where an environment is that is part of an image."""


def volume_folder(order: EnvironmentOrder, image: Mapping[str, Any]) -> str:
    """Where the environment of `order` on `image` is in the engine's volume of environments."""
    return join(ENVIRONMENTS_PLACE, "envs", images.digest(order.key, str(image["Id"])))


def foresee(
    connection: Connection, order: EnvironmentOrder, base: str, registry: Registry | None
) -> ForeseenEnvironment:
    """What `DockerEnvironments.prepare` would come to. Raises `EngineUnreachable`."""
    steps: list[str] = []

    def build(tag: str, what: str) -> None:
        steps.append(f"pull {registry.name(tag)}, or build {what}" if registry else f"build {what} as {tag}")

    if order.dockerfile:
        base = images.tag("base", order.dockerfile)
    image = images.find(connection, base)
    if image is None and order.dockerfile:
        build(base, "the image of the Dockerfile")
    elif image is None:
        steps.append(f"pull the image {base}")
    if order.interpreter:
        return _foreseen(order, base, order.interpreter, "the image, as it is", steps)
    packages = f"{len(order.packages)} package{'s' * (len(order.packages) != 1)}"
    unmade = [one.name for one in order.compiled if not one.wheel]
    making = f"make the environment: {packages}" + (f", {', '.join(unmade)} compiled" if unmade else "")
    if not order.built:
        folder = volume_folder(order, image) if image else join(ENVIRONMENTS_PLACE, "envs", "<its key>")
        if image is None or not _is_ready(connection, image, folder):
            steps.append(making)
        place = f"{folder.removeprefix(ENVIRONMENTS_PLACE + '/')} in the volume {ENVIRONMENTS}"
        return _foreseen(order, base, join(folder, "bin/python"), place, steps)
    if image is None:
        steps.append(f"{making}, as an image")
        return _foreseen(order, f"{images.REPOSITORY}/environment:<its key>", join(IN_IMAGE, "bin/python"), "", steps)
    tag = images.tag("environment", str(image["Id"]), order.key)
    if images.find(connection, tag) is None:
        build(tag, f"the environment, {packages}")
    return _foreseen(order, tag, join(IN_IMAGE, "bin/python"), "the image", steps)


def _foreseen(order: EnvironmentOrder, image: str, python: str, place: str, steps: list[str]) -> ForeseenEnvironment:
    return ForeseenEnvironment(order.prepared(python, image), place, tuple(steps))


def _is_ready(connection: Connection, image: Mapping[str, Any], folder: str) -> bool:
    """Whether the volume has a whole environment there. A look never makes the volume."""
    name = f"mltrain-look-{secrets.token_hex(10)}"

    def ask(client: Any) -> None:
        client.inspect_volume(ENVIRONMENTS)
        binds = {ENVIRONMENTS: {"bind": ENVIRONMENTS_PLACE, "mode": "ro"}}
        host = containers.unprivileged(client, binds=binds, network_mode="none")
        client.create_container(image["Id"], name=name, command=["true"], host_config=host, labels=labels("helper"))

    try:
        connection.do(ask)
        return containers.has(connection, name, join(folder, "ready.json"))
    except EngineError as error:
        if status_of(error) == 404:
            return False
        raise
    finally:
        connection.do(lambda client: containers.remove(client, name))
