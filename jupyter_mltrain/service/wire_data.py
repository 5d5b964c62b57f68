"""What clients send about datasets and datastores, checked: unknown keys are refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from jupyter_mltrain.service.wire import Wire


class SelectedStep(Wire):
    """`core.dataset.Selected`."""

    kind: Literal["take", "skip", "split", "sample"]
    count: Annotated[int, Field(ge=0)] = 0
    share: Annotated[float, Field(ge=0, le=1)] = 0.0
    seed: int = 0
    part: Literal[0, 1] = 0


class DatasetRequest(Wire):
    """A dataset to keep: without a name under its id alone. `sources` are absolute paths, URLs, `datastore://NAME/PATH`."""

    sources: list[str]
    selection: list[SelectedStep] = []
    name: str = ""
    description: str = ""
    tags: dict[str, str] = {}
    create_new_version: bool = False
    partition_format: str = ""
    validate_sources: bool = True


class RemoveDatasetRequest(Wire):
    """`cache`: what was fetched of it; `definition`: that it is registered. Files elsewhere are never touched."""

    what: Literal["cache", "definition"]


class DatastoreRequest(Wire):
    """`values`: those of environment variables that url and options name; kept in memory alone."""

    name: str
    url: str
    options: dict[str, Any] = {}
    values: dict[str, str] = {}


class ValuesRequest(Wire):
    values: dict[str, str]


class UploadRequest(Wire):
    """`files`: (absolute path on this machine, path in the datastore) each."""

    files: list[tuple[str, str]]
    overwrite: bool = False
