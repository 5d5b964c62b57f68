"""`/swagger.json`: what can be asked, from the model's signature or the script's schema."""

from __future__ import annotations

from typing import Any, Mapping

from .script import Script
from .signatures import Loaded, Tensor


def describe(
    name: str, model: str, version: str, loaded: Loaded | None, script: Script | None, auth: bool
) -> dict[str, Any]:
    """The OpenAPI 3 document of the endpoint `name`."""
    paths: dict[str, Any] = {"/": {"get": _operation("Whether it answers.", None, {"type": "string"})}}
    if script is not None:
        paths["/score"] = {
            "post": _operation("The script's `run`.", script.input_schema or {}, script.output_schema or {})
        }
    if loaded is not None:
        default = loaded.signatures[loaded.default]
        operation = _operation("Predictions for samples.", _request(default.inputs), _answer(default.outputs))
        paths["/score"] = {"post": operation}
        paths[f"/v1/models/{model}:predict"] = {"post": operation}
        paths[f"/v1/models/{model}/versions/{version}:predict"] = {"post": operation}
        for suffix, says in (("", "The state of the model."), ("/metadata", "Its signatures.")):
            paths[f"/v1/models/{model}{suffix}"] = {"get": _operation(says, None, {"type": "object"})}
    document: dict[str, Any] = {
        "openapi": "3.0.3",
        "info": {"title": name, "version": version},
        "paths": paths,
    }
    if auth:
        document["components"] = {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}}
        document["security"] = [{"key": []}]
    return document


def _operation(summary: str, request: Any, answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": summary,
        "responses": {"200": {"description": "The answer.", "content": {"application/json": {"schema": answer}}}},
    }
    if request is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": request}}}
    return found


def _request(inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    samples = {name: _schema(tensor, 1) for name, tensor in inputs.items()}
    one = next(iter(samples.values())) if len(samples) == 1 else _object(samples)
    whole = {name: _schema(tensor) for name, tensor in inputs.items()}
    rows = _object({"instances": {"type": "array", "items": one, "minItems": 1}})
    return {"oneOf": [rows, _object({"inputs": next(iter(whole.values())) if len(whole) == 1 else _object(whole)})]}


def _answer(outputs: Mapping[str, Tensor]) -> dict[str, Any]:
    results = {name: _schema(tensor, 1) for name, tensor in outputs.items()}
    one = next(iter(results.values())) if len(results) == 1 else _object(results)
    return {"type": "object", "properties": {"predictions": {"type": "array", "items": one}, "outputs": {}}}


def _object(members: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(members), "required": list(members)}


def _schema(tensor: Tensor, skip: int = 0) -> dict[str, Any]:
    """Nested lists of the tensor's values, without its first `skip` dimensions."""
    kind = {"string": "string", "bool": "boolean"}.get(tensor.dtype, "integer" if "int" in tensor.dtype else "number")
    found: dict[str, Any] = {"type": kind}
    if tensor.shape is None:
        return {}
    for size in reversed(list(tensor.shape)[skip:]):
        found = {"type": "array", "items": found}
        if size is not None:
            found.update(minItems=size, maxItems=size)
    return found
