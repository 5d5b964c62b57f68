"""Entry scripts that `inference_schema` decorates, with the real package in the endpoint's own environment."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain import (
    CondaDependencies,
    Environment,
    InferenceConfig,
    LocalWebservice,
    Model,
    Webservice,
    Workspace,
)
from tests.faults.world import World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SCORE = """
import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

def init():
    global weights
    weights = np.array([1.0, 10.0, 100.0])

@input_schema("data", NumpyParameterType(np.array([[1.0, 2.0, 3.0]])))
@input_schema("method", StandardPythonParameterType("sum"))
@output_schema(NumpyParameterType(np.array([6.0])))
def run(data, method):
    assert isinstance(data, np.ndarray), type(data)
    return (data @ weights) if method == "weighted" else data.sum(axis=1)
"""


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Webservice]:
    monkeypatch.setenv("JUPYTER_MLTRAIN_STATE", str(tmp_path / "state"))
    source = tmp_path / "scoring"
    source.mkdir()
    (source / "score.py").write_text(SCORE)
    with World(tmp_path / "w") as world:
        environment = Environment("scoring")
        environment.python.conda_dependencies = CondaDependencies.create(
            pip_packages=["inference-schema[numpy-support]==1.8"], python_version="3.11"
        )
        config = InferenceConfig("score.py", source_directory=source, environment=environment)
        deployment = LocalWebservice.deploy_configuration()
        made = Model.deploy(Workspace(world.root), "decorated", [], config, deployment)
        made.wait_for_deployment()
        yield made
        made.delete()


def test_values_come_by_name_and_swagger_shows_their_shapes(service: Webservice) -> None:
    assert service.run(json.dumps({"data": [[1, 2, 3], [4, 5, 6]], "method": "weighted"})) == [321.0, 654.0]
    assert service.run(json.dumps({"data": [[1, 2, 3]], "method": "sum"})) == [6.0]
    status, refused = asked(service, "POST", "/score", json.dumps([[1, 2, 3]]))
    assert (status, "object with the parameters" in str(refused)) == (400, True)
    for wrong in ({"data": [[1, 2, 3]], "way": "sum"}, {"method": "sum"}):
        status, refused = asked(service, "POST", "/score", json.dumps(wrong))
        assert (status, "takes (data, method)" in str(refused)) == (400, True), refused
    status, refused = asked(service, "POST", "/score", json.dumps({"data": [[1, 2]], "method": "sum"}))
    assert status == 500, "another shape than the sample's is refused by the decorator, within the script's call"
    assert "ValueError" in service.get_logs(), service.get_logs()

    status, document = asked(service, "GET", "/swagger.json")
    assert status == 200
    score = document["paths"]["/score"]["post"]
    given = score["requestBody"]["content"]["application/json"]["schema"]
    assert given["properties"]["data"]["type"] == "array"
    assert given["properties"]["data"]["items"]["items"]["type"] == "number"
    assert given["properties"]["method"]["type"] == "string"
    assert given["example"] == {"data": [[1.0, 2.0, 3.0]], "method": "sum"}
    answer = score["responses"]["200"]["content"]["application/json"]["schema"]
    assert (answer["type"], answer["items"]["type"], answer["example"]) == ("array", "number", [6.0])


def asked(service: Webservice, method: str, path: str, body: str | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    connection.request(method, path, body)
    response = connection.getresponse()
    found = json.loads(response.read())
    connection.close()
    return response.status, found
