"""The service's OpenAPI document: of each route what its annotation says that it answers.

Answers are plain dicts that nothing checks on their way out: the annotations of `core.wire` are for pyright, for the
tests that hold real answers to them, and for the front end's types. They become a schema when the document is asked for,
so that they cost a start of the service nothing.

    python -m jupyter_mltrain.service.openapi        prints it
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from types import GenericAlias
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args, get_origin

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from pydantic import ConfigDict, TypeAdapter
from typing_extensions import is_typeddict

from jupyter_mltrain import core
from jupyter_mltrain.core import wire

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service

_ANSWER = "x-answer"
"""Key in a route's description: the name of its document; taken out again where the schema is put in."""
_SCHEMAS = "#/components/schemas/"


class Router(APIRouter):
    """Routes whose return annotation is their document: a type of `core.wire`, or, for one that writes its body itself,
    `Annotated[Response, type]` (`bytes`: no JSON)."""

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **given: Any) -> None:
        document: Any = inspect.signature(endpoint, eval_str=True).return_annotation
        if get_origin(document) is Annotated:
            document = get_args(document)[1]
            # What the endpoint makes is sent as it is; FastAPI would describe it as JSON.
            given["response_model"] = None
            given["response_class"] = Response
        else:
            # Written by pydantic, in one go, but not checked against the document.
            given["response_model"] = dict[str, Any]
        given["openapi_extra"] = {_ANSWER: document.__name__}
        super().add_api_route(path, endpoint, **given)


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of `app`, whose routes are of `Router`."""
    found = get_openapi(title=app.title, version=app.version, routes=app.routes)
    for path in found["paths"].values():
        for operation in path.values():
            responses = operation["responses"]
            # What is wrong with a request is said like any other error.
            responses.pop("422", None)
            name = operation.pop(_ANSWER)
            for status in responses:
                responses[status]["content"] = _content(name)
            responses["default"] = {"description": "An error", "content": _content(wire.ErrorAnswer.__name__)}
    requests: dict[str, Any] = found.get("components", {}).get("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        requests.pop(unused, None)
    found["components"] = {"schemas": {**requests, **_documents()}}
    return found


def _content(name: str) -> dict[str, Any]:
    if name == bytes.__name__:
        return {"application/octet-stream": {}}
    if name == dict.__name__:
        return {"application/json": {"schema": {"type": "object"}}}
    return {"application/json": {"schema": {"$ref": _SCHEMAS + name}}}


def _documents() -> dict[str, Any]:
    """The schemas of all documents of `core.wire*`, those that only the door sends among them. No other key is allowed."""
    names = sorted(module.name for module in iter_modules(core.__path__) if module.name.startswith("wire"))
    documents = [
        found
        for module in (import_module(f"{core.__name__}.{name}") for name in names)
        for found in vars(module).values()
        if is_typeddict(found) and found.__module__ == module.__name__
    ]
    config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    every: Any = GenericAlias(tuple, tuple(documents))
    adapter: TypeAdapter[Any] = TypeAdapter(every, config=config)
    schemas = adapter.json_schema(mode="serialization", ref_template=_SCHEMAS + "{model}")["$defs"]
    for document in documents:
        for base in document.__orig_bases__:
            if is_typeddict(base):
                # What is inherited comes without its docstrings.
                schemas[document.__name__]["properties"] |= schemas[base.__name__]["properties"]
    return schemas


def main() -> None:
    from jupyter_mltrain.service.app import create_app  # noqa: PLC0415 - it needs this module

    # Making routes asks nothing of the service.
    app = create_app(cast("Service", None))
    sys.stdout.write(json.dumps(describe(app), indent=1) + "\n")


if __name__ == "__main__":
    main()
