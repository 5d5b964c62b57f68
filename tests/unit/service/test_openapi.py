"""The OpenAPI document: made without a service, whole, and in step with what it describes."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import Response

from jupyter_mltrain.core import compute, environment, model, spec, wire
from jupyter_mltrain.core.status import TERMINAL, Change, Status
from jupyter_mltrain.errors import RunNotFound
from jupyter_mltrain.service.app import create_app
from jupyter_mltrain.service.openapi import Router, describe
from tests.documents import Documents


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    return create_app(cast("Any", None)).openapi()


@pytest.fixture(scope="module")
def documents(openapi: dict[str, Any]) -> Documents:
    return Documents(openapi)


def test_every_route_says_what_it_answers(openapi: dict[str, Any]) -> None:
    silent = set()
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            (good,) = [found for status, found in operation["responses"].items() if status.startswith("2")]
            ((media, content),) = good["content"].items()
            if media == "application/json" and "$ref" not in content["schema"]:
                silent.add(f"{method} {path}")
            assert "422" not in operation["responses"], "the service says that as any other error"
    assert silent == {"get /v1/runs/{key}/values"}, "names and values of a user have no fixed keys"


def test_every_document_that_is_named_is_there(openapi: dict[str, Any]) -> None:
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(openapi)))
    assert named - set(openapi["components"]["schemas"]) == set()


def test_the_names_of_statuses_are_those_of_the_table() -> None:
    assert set(get_args(wire.StatusName.__value__)) == {status.value for status in Status}
    assert set(get_args(wire.OutcomeName.__value__)) == {status.value for status in TERMINAL}


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("RunSpec", spec.RunSpec("r", "e", "d", "local", "tensorflow").to_json()),
        ("DataInput", dataclasses.asdict(spec.DataInput("mnist"))),
        ("Substitution", dataclasses.asdict(spec.Substitution("k", "a", "g", "r"))),
        ("Resources", dataclasses.asdict(spec.Resources())),
        ("EnvironmentDefinition", environment.EnvironmentDefinition("e").to_json()),
        ("Packages", dataclasses.asdict(environment.Packages())),
        ("LaunchPlan", compute.LaunchPlan("r", "local", "/", (), "", "").to_json()),
        ("RankPlan", dataclasses.asdict(compute.RankPlan(0, ("python",), {}))),
        ("Mount", compute.Mount("mnist", Path("/"), "V", "k").to_json()),
        ("Capabilities", dataclasses.asdict(compute.Capabilities())),
        ("Capacity", dataclasses.asdict(compute.Capacity(1, 1, 1.0, ("GPU",)))),
        ("Health", dataclasses.asdict(compute.Health(ok=True))),
        ("ModelVersion", model.ModelVersion("m", 1, None, "outputs/m", "sha256:", 0.0).to_json()),
        ("Inspection", {"path": "outputs/m", **model.Inspection("files", 0, 0).to_json()}),
        ("Change", Change(Status.RUNNING, 0.0).to_json()),
        ("WireError", RunNotFound.of("x").to_wire()),
    ],
)
def test_what_is_written_from_a_class_has_the_keys_of_its_document(
    documents: Documents, name: str, answer: object
) -> None:
    documents.is_a(name, json.loads(json.dumps(answer)))


async def test_an_answer_is_described_and_not_checked() -> None:
    """The cost of an answer does not depend on how well it is described, and a wrong one is shown, not refused."""
    routes = Router(prefix="/v1")

    @routes.get("/wrong")
    async def wrong() -> wire.Usage:
        return cast("wire.Usage", {"runs": "many", "more": 1})

    @routes.get("/bytes")
    async def raw() -> Annotated[Response, bytes]:
        return Response(b"\0", media_type="application/octet-stream")

    app = FastAPI()
    app.include_router(routes)
    found = describe(app)
    assert found["paths"]["/v1/wrong"]["get"]["responses"]["200"]["content"] == {
        "application/json": {"schema": {"$ref": "#/components/schemas/Usage"}}
    }
    assert list(found["paths"]["/v1/bytes"]["get"]["responses"]["200"]["content"]) == ["application/octet-stream"]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://service") as client:
        assert (await client.get("/v1/wrong")).json() == {"runs": "many", "more": 1}
        assert (await client.get("/v1/bytes")).content == b"\0"


def test_the_kernel_does_not_load_it() -> None:
    code = (
        "import sys, jupyter_mltrain.magics, jupyter_mltrain.api.run; print('jupyter_mltrain.core.wire' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
