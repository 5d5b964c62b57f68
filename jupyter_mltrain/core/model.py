"""A registered model: one version of a name, and what its files say about themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_mltrain.core.wire_models import Signature


@dataclass(frozen=True)
class Inspection:
    """What the files of a model say, read without running any of them.

    `format`: `SavedModel`, `Keras` (`.keras`), `HDF5` (`.h5`) or `files` (not recognised). `signature` by function name
    (`serving_default`), None where the format or the file does not tell. `problem`: why a part could not be read.
    """

    format: str
    bytes: int
    files: int
    signature: dict[str, Signature] | None = None
    framework: str | None = None
    framework_version: str | None = None
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Registration:
    """What is to be registered under `name`: `path`, and what is said about it. Fields as in `ModelVersion`. `force`
    makes a version of content that is there already."""

    name: str
    path: str
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    framework: str | None = None
    framework_version: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, float] | None = None
    environment: str | None = None
    data: tuple[str, ...] = ()
    sample_input: str | None = None
    force: bool = False


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model.

    `path` is where its files lay in the run's record (`outputs/model`); `content_hash` is `sha256:` and the digest of
    the tree (`tracking.content`); `created` in seconds since the epoch. `same_as`: the number of a version with equal
    content: of an earlier one, or the version's own when registering found it there already. `properties` are added to
    and never change. `resources`: what serving it asks for (`cpu`, `memory_gb`, `gpu`). `environment` and `data`
    (`NAME:VERSION`) are those of its run; `sample_input` is a dataset to try it with.
    """

    name: str
    version: int
    run_id: str | None
    path: str
    content_hash: str
    created: float
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    framework: str | None = None
    framework_version: str | None = None
    signature: Mapping[str, Signature] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    same_as: int | None = None
    format: str = "files"
    bytes: int = 0
    files: int = 0
    properties: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, float] | None = None
    environment: str | None = None
    data: tuple[str, ...] = ()
    sample_input: str | None = None

    @property
    def id(self) -> str:
        """`name:version`, as the SDK writes it."""
        return f"{self.name}:{self.version}"

    def to_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "data": list(self.data), "id": self.id}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> ModelVersion:
        """The version that `to_json` wrote. Unknown keys (written by a newer version) are left out."""
        known = {f.name for f in dataclasses.fields(cls)}
        values: dict[str, Any] = {k: v for k, v in raw.items() if k in known}
        values["data"] = tuple(values.get("data", ()))
        return cls(**values)
