"""The GPUs of an engine's host, as a container that gets all of them names them."""

from __future__ import annotations

import contextlib

import docker.errors

from jupyter_mltrain.computes.docker.dialling import Client
from jupyter_mltrain.computes.docker.labels import labels
from jupyter_mltrain.computes.docker.plan import devices

_QUERY = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
_PATIENCE = 30


def names(client: Client, image: str) -> tuple[str, ...]:
    """Names by index; none where the engine cannot give containers GPUs. Blocking."""
    where = _there(client, image)
    if where is None:
        return ()  # nothing to ask with
    request = {
        "Image": where,
        "Entrypoint": _QUERY,
        "Labels": labels("helper"),
        "HostConfig": {"DeviceRequests": [devices(None)], "NetworkMode": "none"},
    }
    probe: str = client.create_container_from_config(request)["Id"]
    try:
        client.start(probe)
        client.wait(probe, timeout=_PATIENCE)
        if client.inspect_container(probe)["State"]["ExitCode"] != 0:
            return ()
        said = client.logs(probe, stdout=True, stderr=False).decode("utf-8", "replace")
    except docker.errors.APIError:
        return ()  # no GPU runtime, no driver, or no nvidia-smi came with it
    finally:
        with contextlib.suppress(docker.errors.APIError):
            client.remove_container(probe, force=True)
    return tuple(line.strip() for line in said.splitlines() if line.strip())


def _there(client: Client, image: str) -> str | None:
    try:
        return client.inspect_image(image)["Id"]
    except docker.errors.ImageNotFound:
        found = client.images(quiet=True)
        return found[0] if found else None
