"""Real answers held to the OpenAPI document: every key that it promises is there, none that it does not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator


class Documents:
    """The documents of an OpenAPI. `seen` collects the operations (`GET /v1/runs`) whose answers were held to it."""

    def __init__(self, openapi: Mapping[str, Any]) -> None:
        self._openapi = openapi
        self.seen: set[str] = set()

    @property
    def operations(self) -> set[str]:
        return {f"{method.upper()} {path}" for path, found in self._openapi["paths"].items() for method in found}

    def holds(self, operation: str, answer: object) -> None:
        """`answer` is what the document says that `operation` answers."""
        self.seen.add(operation)
        method, path = operation.split()
        responses = self._openapi["paths"][path][method.lower()]["responses"]
        (good,) = [found for status, found in responses.items() if status.startswith("2")]
        self._holds(good["content"]["application/json"]["schema"], answer, operation)

    def is_a(self, name: str, answer: object) -> None:
        """`answer` is a document of that name."""
        self._holds({"$ref": f"#/components/schemas/{name}"}, answer, name)

    def _holds(self, schema: Mapping[str, Any], answer: object, what: str) -> None:
        validator = Draft202012Validator({**schema, "components": self._openapi["components"]})
        wrong = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(answer)]
        assert not wrong, f"{what}:\n" + "\n".join(wrong)
