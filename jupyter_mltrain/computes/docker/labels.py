"""The names and labels of everything that is made on an engine, so that it is found again, and only ours is removed."""

from __future__ import annotations

from collections.abc import Mapping

RUN = "org.jupyter-mltrain.run"
"""Label: the run's id."""
WORKSPACE = "org.jupyter-mltrain.workspace"
"""Label: the id of the workspace that made it. What is shared (environments, data, images) names the first that did."""
KIND = "org.jupyter-mltrain.kind"
"""Label: what it is for, one of `KINDS`. Whatever has it is ours."""
KEY = "org.jupyter-mltrain.key"
"""Label: the hash of the content, of data and images."""

CPUS = "org.jupyter-mltrain.cpus"
"""Label: the CPUs that a run is bound to, as `0,3`."""

LAUNCHER = "org.jupyter-mltrain.launcher"
"""Label of a run's container: the process that made it."""

KINDS = ("run", "environment", "data", "endpoint", "helper")

ENVIRONMENTS = "mltrain-environments"
"""The volume of an engine's environments."""
ENVIRONMENTS_PLACE = "/mltrain/environments"
"""Where the engine's environments are in a container, read-only in runs."""


def labels(kind: str, *, run: str = "", key: str = "") -> dict[str, str]:
    """The labels of something that is made; what is empty is left out. The client adds whose it is (`owned`)."""
    assert kind in KINDS, kind
    found = {KIND: kind, RUN: run, KEY: key}
    return {name: value for name, value in found.items() if value}


def owned(given: Mapping[str, str], workspace: str) -> dict[str, str]:
    """Labels with that of the workspace, where they are those of something of ours."""
    return {**given, WORKSPACE: workspace} if KIND in given and workspace else dict(given)


def container(run_id: str, node: int = 0) -> str:
    """The name of a run's container, of that of its nodes."""
    return f"mltrain-{run_id}" + (f"-node{node}" if node else "")


def network(run_id: str) -> str:
    """The name of the network on which a run's containers find each other."""
    return f"mltrain-run-{run_id}"


def run_volume(run_id: str) -> str:
    """The name of the volume that is a run's folder: it outlives the container."""
    return f"mltrain-run-{run_id}"


def data_volume(key: str) -> str:
    """The name of the volume that holds the data of that key."""
    return f"mltrain-data-{key}"
