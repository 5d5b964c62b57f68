"""What registering and finding model versions have in common: the words of a registration, and which version is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.api.described import fits
from jupyter_mltrain.errors import ModelNotFound, UsageError, UserErrorException

if TYPE_CHECKING:
    from jupyter_mltrain.api.resources import ResourceConfiguration
    from jupyter_mltrain.api.workspace import Workspace


def about(
    tags: Mapping[str, str | None] | None,
    properties: Mapping[str, str] | None,
    description: str | None,
    framework: str | None,
    framework_version: str | None,
    datasets: Sequence[tuple[str, Any]] | None,
    resources: ResourceConfiguration | None,
    sample_input: Any,
    sample_output: Any,
) -> dict[str, Any]:
    """The part of a registration that says what the model is. `datasets`: (role, dataset) each, kept as tags."""
    check_sample_output(sample_output)
    said = {key: "" if value is None else str(value) for key, value in (tags or {}).items()}
    return {
        "tags": said | {f"dataset.{role}": str(reference(one)) for role, one in datasets or ()},
        "properties": {key: str(value) for key, value in (properties or {}).items()},
        "description": description or "",
        "framework": framework,
        "framework_version": framework_version,
        "resources": resources.to_wire() if resources else None,
        "sample_input": reference(sample_input),
    }


def find(
    workspace: Workspace,
    name: str | None,
    identity: str | None,
    tags: Sequence[Any] | None,
    properties: Sequence[Any] | None,
    version: int | None,
    framework: str | None,
    run_id: str | None,
) -> dict[str, Any]:
    """The version that is meant, the newest of those that fit. Raises `ModelNotFound`, `UserErrorException`."""
    if identity is not None:
        name, _, number = identity.rpartition(":")
        if not name or not number.isdigit():
            raise UserErrorException(f"The model id {identity!r} is not NAME:VERSION.")
        version = int(number)
    if name is None:
        raise UserErrorException("A model needs a name, or an id.")
    if not (tags or properties or framework or run_id):
        path = f"/v1/models/{name}" + (f"/{version}" if version is not None else "")
        return workspace.connection.get(path, timeout=60)
    fitting = [
        entry
        for entry in choose(workspace, name, tags, properties, run_id)
        if version in (None, entry["version"]) and framework in (None, entry["framework"])
    ]
    if not fitting:
        raise ModelNotFound(f"No version of the model {name!r} has all that was asked for.", name=name)
    return max(fitting, key=lambda entry: entry["version"])


def choose(
    workspace: Workspace,
    name: str | None,
    tags: Sequence[Any] | None,
    properties: Sequence[Any] | None,
    run_id: str | None,
) -> list[dict[str, Any]]:
    """The versions that fit what is given, newest first. `tags`, `properties`: `KEY` or `[KEY, VALUE]` each."""
    return [
        entry
        for entry in workspace.connection.get("/v1/models", timeout=60)["models"]
        if (name in (None, entry["name"]) and run_id in (None, entry["run_id"])) and fits(entry, tags, properties)
    ]


def files(workspace: Workspace, name: str, version: int | None) -> Path:
    """Where a version's files lie (None: the newest). Raises `ModelNotFound`."""
    if version is None:
        version = int(workspace.connection.get(f"/v1/models/{name}", timeout=60)["version"])
    return Path(workspace.connection.get(f"/v1/models/{name}/{version}/path", timeout=60)["path"])


def reference(dataset: Any) -> str | None:
    """`NAME:VERSION` of a registered dataset."""
    if dataset is None or isinstance(dataset, str):
        return dataset
    if getattr(dataset, "version", None) is None:
        raise UsageError("The dataset is not registered.", mend="dataset.register(workspace, name) does it.")
    return f"{dataset.name}:{dataset.version}"


def check_sample_output(dataset: Any) -> None:
    """Raise `UsageError`: nothing here would use it."""
    if dataset is not None:
        raise UsageError("sample_output_dataset is not kept.", mend="Note it as a tag.")
