"""What the files of a model say about it, without running or loading it: a model is code.

Everything here may be hostile: sizes are capped before anything is read, and what cannot be read is told in
`Inspection.problem`, never raised.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from jupyter_mltrain.core.model import Inspection
from jupyter_mltrain.core.wire_models import Signature, TensorSpec
from jupyter_mltrain.tracking.saved_model import read_saved_model

MAX_GRAPH = 256 << 20
"""Bytes of a `saved_model.pb` that is read; a larger one is recognised, its signatures are not told."""
MAX_CONFIG = 16 << 20
"""Bytes of `config.json` in a `.keras` file, unpacked."""
MAX_MEMBERS = 10_000
MAX_SIGNATURE = 90_000
"""Characters of a signature as JSON (MLflow keeps 100,000)."""

_HDF5 = b"\x89HDF\r\n\x1a\n"


def inspect(path: Path) -> Inspection:
    """What the model at `path` is: a folder (SavedModel), a `.keras` or an HDF5 file; else `files`."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    size, count = sum(each.stat().st_size for each in files), len(files)
    if (path / "saved_model.pb").is_file():
        return _saved_model(path / "saved_model.pb", size, count)
    if len(files) == 1:
        path = files[0]  # the copy of a model that is one file is a folder that holds it
    if path.is_file() and zipfile.is_zipfile(path):
        found = _keras(path, size, count)
        if found:
            return found
    if path.is_file() and _starts_with(path, _HDF5):
        return Inspection("HDF5", size, count, framework="Keras")
    return Inspection("files", size, count)


def _saved_model(graph: Path, size: int, count: int) -> Inspection:
    def told(**about: Any) -> Inspection:
        return Inspection("SavedModel", size, count, framework="TensorFlow", **about)

    if graph.stat().st_size > MAX_GRAPH:
        return told(problem=f"saved_model.pb is larger than {MAX_GRAPH >> 20} MiB; its signatures were not read")
    try:
        signatures, version = read_saved_model(graph.read_bytes())
    except DecodeError:
        return told(problem="saved_model.pb cannot be read: it is damaged, or no SavedModel")
    version = version[:100] if version else None
    if len(json.dumps(signatures)) > MAX_SIGNATURE:
        return told(framework_version=version, problem="its signatures are too long to be kept")
    return told(signature=signatures or None, framework_version=version)


def _keras(path: Path, size: int, count: int) -> Inspection | None:
    """None if the archive is not Keras'."""
    try:
        with zipfile.ZipFile(path) as archive:
            if len(archive.infolist()) > MAX_MEMBERS or "config.json" not in archive.namelist():
                return None
            config = _member(archive, "config.json")
            about = _member(archive, "metadata.json") if "metadata.json" in archive.namelist() else {}
    except (zipfile.BadZipFile, ValueError, RecursionError, OSError, NotImplementedError, RuntimeError) as error:
        return Inspection(
            "Keras", size, count, framework="Keras", problem=f"its config.json cannot be read: {error}"[:300]
        )
    if "class_name" not in config:
        return None
    version = about.get("keras_version")
    try:
        signature = _keras_signature(config)
    except (TypeError, AttributeError, KeyError, ValueError, RecursionError):
        return Inspection(
            "Keras", size, count, framework="Keras", problem="the layers in its config.json are not understood"
        )
    if len(json.dumps(signature)) > MAX_SIGNATURE:
        return Inspection("Keras", size, count, framework="Keras", problem="its signature is too long to be kept")
    return Inspection(
        "Keras",
        size,
        count,
        signature=signature,
        framework="Keras",
        framework_version=version[:100] if isinstance(version, str) else None,
    )


def _member(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    # The size in the directory may lie: what counts is what comes out.
    with archive.open(name) as file:
        data = file.read(MAX_CONFIG + 1)
    if len(data) > MAX_CONFIG:
        raise ValueError(f"{name} is larger than {MAX_CONFIG >> 20} MiB")
    value = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError(f"{name} is no JSON object")  # noqa: TRY004 - the file is wrong, not a caller
    return value


def _keras_signature(config: dict[str, Any]) -> dict[str, Signature] | None:
    """Inputs from the input layers, or from the shape the model was built with. A config does not hold the shapes of
    outputs: those of a functional model are named, no more."""
    inner = config.get("config") or {}
    layers: list[dict[str, Any]] = inner.get("layers") or []
    inputs: dict[str, TensorSpec] = {}
    for layer in layers:
        if layer.get("class_name") == "InputLayer":
            about = layer["config"]
            shape = about.get("batch_shape", about.get("batch_input_shape"))
            inputs[str(about.get("name", layer.get("name")))] = _spec(about.get("dtype"), shape)
    if not inputs:
        shape = (config.get("build_config") or {}).get("input_shape")
        if shape is None:
            return None
        inputs["input"] = _spec(None, shape)
    outputs: dict[str, TensorSpec] = {
        name: {"dtype": None, "shape": None} for name in _names(inner.get("output_layers"))
    }
    return {"call": {"inputs": inputs, "outputs": outputs}}


def _spec(dtype: Any, shape: Any) -> TensorSpec:
    if isinstance(dtype, dict):  # a dtype policy
        dtype = (dtype.get("config") or {}).get("name")
    dims = [each if isinstance(each, int) else None for each in shape] if isinstance(shape, list) else None
    return {"dtype": dtype if isinstance(dtype, str) else None, "shape": dims}


def _names(layers: Any) -> list[str]:
    """Names in Keras' notation: `["out", 0, 0]`, or a list or dict of such."""
    if isinstance(layers, dict):
        return [str(key) for key in layers]
    if isinstance(layers, list) and layers and isinstance(layers[0], str):
        return [layers[0]]
    return [name for each in layers or [] for name in _names(each)] if isinstance(layers, list) else []


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic
