"""What TensorFlow Serving's own server says of itself over REST, in the words of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

_TYPES = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_HALF": "float16"}
_DEFAULT = "serving_default"


def about(model: str, get: Callable[[str], tuple[int, bytes]]) -> dict[str, Any] | None:
    """What a server that can answer says of itself; None before it can. `get`: status and body of a path there."""
    base = f"/v1/models/{model}"
    status, data = get(base)
    states = json.loads(data).get("model_version_status", []) if status == 200 else []
    if not any(each.get("state") == "AVAILABLE" for each in states):
        return None
    status, data = get(f"{base}/metadata")
    found = json.loads(data) if status == 200 else {}
    described = found.get("metadata", {}).get("signature_def", {}).get("signature_def", {})
    signatures = {
        name: {side: _tensors(one.get(side, {})) for side in ("inputs", "outputs")}
        for name, one in described.items()
        if not name.startswith("__")
    }
    default = _DEFAULT if _DEFAULT in signatures else next(iter(signatures), None)
    return {
        "signatures": signatures or None,
        "default": default,
        "framework": "TensorFlow Serving",
        "schema": None,
        "score": f"{base}:predict",
    }


def _tensors(given: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {
            "dtype": _TYPES.get(one["dtype"], one["dtype"].removeprefix("DT_").lower()),
            "shape": _shape(one.get("tensor_shape", {})),
        }
        for name, one in given.items()
    }


def _shape(said: dict[str, Any]) -> list[int | None] | None:
    if said.get("unknown_rank"):
        return None
    sizes = [int(each["size"]) for each in said.get("dim", [])]
    return [None if size < 0 else size for size in sizes]
