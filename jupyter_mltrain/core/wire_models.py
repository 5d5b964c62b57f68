"""The documents about registered models (see `core.wire`)."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from jupyter_mltrain.core.wire import LoggedNumber


class TensorSpec(TypedDict):
    """One input or output: dtype as TensorFlow names it (`float32`), shape with None for a free dimension; None where
    the files do not say, or the rank is free."""

    dtype: str | None
    shape: list[int | None] | None


class Signature(TypedDict):
    """A function of a model that can be called: its inputs and outputs by name."""

    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]


class Inspection(TypedDict):
    """What the files of a model say of it, read without running any (`core.model.Inspection`)."""

    path: str
    """In the run's record: `outputs/model`."""
    format: str
    bytes: int
    files: int
    signature: dict[str, Signature] | None
    """By function name; None where the files do not tell."""
    framework: str | None
    framework_version: str | None
    problem: str
    """Why a part could not be read; may be empty."""


class ServingResources(TypedDict):
    """Memory in GB (10⁹ bytes)."""

    cpu: NotRequired[float]
    memory_gb: NotRequired[float]
    gpu: NotRequired[int]


class ModelVersion(TypedDict):
    """One version of a registered model (`core.model.ModelVersion`)."""

    id: str
    """`name:version`."""
    name: str
    version: int
    run_id: str | None
    path: str
    content_hash: str
    created: float
    description: str
    tags: dict[str, str]
    framework: str | None
    framework_version: str | None
    signature: dict[str, Signature] | None
    metrics: dict[str, LoggedNumber]
    same_as: int | None
    """A version with equal content: an earlier one, or its own number when registering found it there already."""
    format: str
    bytes: int
    files: int
    properties: dict[str, str]
    resources: ServingResources | None
    """What serving it asks for."""
    environment: str | None
    """`NAME:VERSION` of its run."""
    data: list[str]
    """`NAME:VERSION` each, of its run."""
    sample_input: str | None
    """A dataset to try it with."""


class ModelList(TypedDict):
    models: list[ModelVersion]


class NewestModel(ModelVersion):
    """The newest version of a name."""

    versions: list[ModelVersion]
    """All of them, oldest first."""


class ModelPath(TypedDict):
    path: str
    """Where the files lie on this machine: over the socket only."""
