"""The documents about datasets and datastores. See `core.wire`, whose units hold here too."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from jupyter_mltrain.core.wire import Substitution


class Dataset(TypedDict):
    """A version of a dataset, without where its files lie."""

    name: str
    """Empty for one that is not registered."""
    version: int
    id: str
    """Empty for a ready-made one."""
    kind: Literal["ready-made", "registered", "unregistered"]
    description: str
    tags: dict[str, str]
    key: str
    """Hash of the content: `sha256:…`, or `stat:…` where it is of sizes and times alone; empty before the first fetch."""
    files: int | None
    """None before the first fetch."""
    bytes: int | None
    cached: bool
    """Whether nothing needs to be fetched for it."""


class DatasetDetails(Dataset):
    sources: list[str]
    selection: list[dict[str, Any]]
    partition_format: str
    created: float
    versions: list[int]
    path: str | None
    """Its folder (or file) on this machine, if it is there."""
    cached_bytes: int
    """What it takes of the cache."""
    substitutions: list[Substitution]
    """What is had from elsewhere than its sources say."""


class FetchedDataset(Dataset):
    path: str
    source: str
    """Who gave it; `cache` where it was there, `this machine` for local files."""
    seconds: float
    changed: list[str]
    """Files (at most 20) whose content is another than when this version was first fetched."""


class DatasetList(TypedDict):
    datasets: list[Dataset]


class DatasetPaths(TypedDict):
    paths: list[str]


class FetchProgress(TypedDict):
    """How far a fetch is, or the last one was; bytes."""

    state: Literal["idle", "fetching", "done", "failed"]
    source: str
    done: int
    total: int


class Freed(TypedDict):
    """Bytes that a removal gave back."""

    bytes: int


class Datastore(TypedDict):
    name: str
    url: str
    options: dict[str, Any]
    variables: list[str]
    """Environment variables whose values it needs."""
    missing: list[str]
    """Those of them that the service has no value for."""


class DatastoreList(TypedDict):
    datastores: list[Datastore]


class Uploaded(TypedDict):
    files: list[str]
    """Paths in the datastore."""
    bytes: int
    skipped: int
    """Files that were there already."""
