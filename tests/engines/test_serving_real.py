"""Real TensorFlow models behind real endpoints: no code, the article's limits, formats, replacement, damage."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain import (
    AciWebservice,
    Experiment,
    Model,
    ResourceConfiguration,
    ScriptRunConfig,
    Webservice,
    Workspace,
)
from jupyter_mltrain.commands import verbs
from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.errors import WebserviceException
from tests.documents import Documents
from tests.faults.world import World, eventually, kill

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TRAIN = """
import json, keras, numpy as np
keras.utils.set_random_seed(7)
model = keras.Sequential([keras.layers.Input((784,)), keras.layers.Dense(16, activation="relu"), keras.layers.Dense(10, activation="softmax")])
model.export("outputs/model")
model.save("outputs/mlp.keras")
model.save("outputs/mlp.h5")
sample = np.linspace(0, 1, 784, dtype=np.float32)[None]
json.dump(model(sample).numpy().tolist(), open("outputs/expected.json", "w"))
"""
SAMPLE = [[round(i / 783, 7) for i in range(784)]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Workspace, Any]]:
    """A workspace with one run of the curated environment, whose outputs hold the model in three formats."""
    folder = tmp_path_factory.mktemp("serving")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_MLTRAIN_STATE", str(folder / "state"))
        patch.setenv("JUPYTER_MLTRAIN_IDLE_SECONDS", "300")
        with World(folder / "w") as world:
            workspace = Workspace(world.root)
            config = ScriptRunConfig(script="train.py", files={"train.py": TRAIN}, environment="tensorflow")
            run = Experiment(workspace, "serving").submit(config)
            run.wait_for_completion(wait_post_processing=True)
            yield world, workspace, run
            for service in Webservice.list(workspace):
                service.delete()


def post(port: int, path: str, body: Any) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST" if body is not None else "GET", path, None if body is None else json.dumps(body))
    response = connection.getresponse()
    found = json.loads(response.read())
    connection.close()
    return response.status, found


def test_the_articles_deployment(trained: tuple[World, Workspace, Any], capsys: pytest.CaptureFixture[str]) -> None:
    world, workspace, run = trained
    run.download_file("outputs/expected.json", world.base / "expected.json")
    expected = json.loads((world.base / "expected.json").read_text())
    model = run.register_model(
        model_name="tf-mnist",
        model_path="outputs/model",
        model_framework=Model.Framework.TENSORFLOW,
        model_framework_version="2.0",
        resource_configuration=ResourceConfiguration(cpu=1, memory_in_gb=0.5),
    )
    service = Model.deploy(workspace, "tensorflow-web-service", [model])
    service.wait_for_deployment(show_output=True)
    assert "instead of 0.5" in capsys.readouterr().out, "the limit was raised without a word"
    assert service.state == "Healthy"
    assert service.run({"instances": SAMPLE})["predictions"] == [pytest.approx(expected[0], abs=1e-5)]
    assert service.run(json.dumps({"inputs": SAMPLE}))["outputs"] == [pytest.approx(expected[0], abs=1e-5)]
    port = service.entry["port"]
    for path in ("/v1/models/tf-mnist:predict", "/v1/models/tf-mnist/versions/1:predict"):
        status, answer = post(port, path, {"signature_name": "serving_default", "instances": SAMPLE * 3})
        assert status == 200
        assert len(answer["predictions"]) == 3
    assert post(port, "/v1/models/tf-mnist", None)[1]["model_version_status"][0]["state"] == "AVAILABLE"
    metadata = post(port, "/v1/models/tf-mnist/versions/1/metadata", None)[1]
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    [tensor] = signature["inputs"].values()
    assert tensor["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in tensor["tensor_shape"]["dim"]] == ["-1", "784"]
    status, answer = post(port, "/score", {"instances": [[0.0] * 783]})
    assert (status, "the model takes [any, 784]" in answer["error"]) == (400, True)
    assert post(port, "/v1/models/other:predict", {"instances": SAMPLE})[0] == 404
    swagger = post(port, "/swagger.json", None)[1]
    assert "/v1/models/tf-mnist:predict" in swagger["paths"]
    entry = Webservice(workspace, "tensorflow-web-service").entry
    assert entry["image"]["shape"] == [784]
    assert entry["framework"].startswith("TensorFlow 2.")
    assert 0.2e9 < entry["memory_bytes"] < 0.9e9
    assert entry["restarts"] == 0


class Clients:
    """Ask for predictions on and on, each checked: some with a new connection each time, some with one that is kept."""

    def __init__(self, port: int, expected: list[float], count: int = 3) -> None:
        self._port, self._expected, self._stop = port, expected, threading.Event()
        self.answered, self.failed = 0, list[str]()
        self._threads = [threading.Thread(target=self._ask, args=(bool(i % 2),)) for i in range(count)]
        for thread in self._threads:
            thread.start()

    def more(self, count: int = 20) -> None:
        """Wait for so many more answers."""
        goal = self.answered + count
        eventually(lambda: self.answered >= goal, "nobody answers: {}", lambda: self.failed[-3:])

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, keep: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        body = json.dumps({"instances": SAMPLE})
        while not self._stop.is_set():
            try:
                connection.request("POST", "/score", body)
                response = connection.getresponse()
                status, found = response.status, json.loads(response.read())
                if status == 200 and found["predictions"][0] == pytest.approx(self._expected, abs=1e-5):
                    self.answered += 1
                else:
                    self.failed.append(f"{status} {found}")
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.failed.append(repr(error))
                connection.close()
            if not keep:
                connection.close()
            time.sleep(0.005)
        connection.close()


def test_a_killed_service_and_an_update_cost_no_request_whatever_the_model(
    trained: tuple[World, Workspace, Any],
) -> None:
    world, workspace, run = trained
    service = Webservice(workspace, "tensorflow-web-service")
    [expected] = service.run({"instances": SAMPLE})["predictions"]
    models = [run.register_model("keras-mnist", "outputs/mlp.keras"), Model(workspace, "tf-mnist")]
    for model, framework in zip(models, ("Keras 3", "TensorFlow 2"), strict=True):
        clients = Clients(service.entry["port"], expected)
        try:
            clients.more()
            before = _state(world)
            world.kill_service()
            clients.more()
            assert (_state(world)["keeper"], _state(world)["pid"]) == (before["keeper"], before["pid"])
            assert world.service_pid() is None, "who asked an endpoint started a service"
            service.update_deployment_state()
            assert (service.state, service.entry["restarts"]) == ("Healthy", 0), "the next service does not find it"
            clients.more()
            service.update(models=[model])
            service.wait_for_deployment()
            clients.more()
        finally:
            clients.end()
        assert not clients.failed, clients.failed[:3]
        assert service.entry["framework"].startswith(framework)
        assert _state(world)["pid"] != before["pid"]


def test_a_killed_process_is_followed_by_another_and_only_what_it_held_is_lost(
    trained: tuple[World, Workspace, Any],
) -> None:
    world, workspace, _ = trained
    service = Webservice(workspace, "tensorflow-web-service")
    [expected] = service.run({"instances": SAMPLE})["predictions"]
    clients = Clients(service.entry["port"], expected)
    try:
        clients.more()
        kill(_state(world)["pid"])
        clients.more()
    finally:
        clients.end()
    lost = [each for each in clients.failed if not each.startswith("503 ")]
    assert len(lost) <= 3, f"more than one request of each client: {lost}"
    service.update_deployment_state()
    assert service.entry["restarts"] == 1


def _state(world: World) -> dict[str, Any]:
    """What the keeper says, without a service."""
    folder = world.layout.folder / "endpoints" / "tensorflow-web-service"
    return json.loads((folder / "state.json").read_text())


def test_what_is_damaged_or_unknown_is_refused_and_the_endpoint_goes_on(trained: tuple[World, Workspace, Any]) -> None:
    _, workspace, run = trained
    service = Webservice(workspace, "tensorflow-web-service")
    model = Model(workspace, "tf-mnist")
    graph = Path(model.path) / "variables" / "variables.data-00000-of-00001"
    whole = graph.read_bytes()
    graph.chmod(0o600)
    graph.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    try:
        with pytest.raises(WebserviceException, match="not those that were registered"):
            service.update(models=[model])
        with pytest.raises(WebserviceException, match="not those that were registered"):
            Model.deploy(workspace, "another", [model])
    finally:
        graph.write_bytes(whole)
    unknown = run.register_model("expected", "outputs/expected.json")
    with pytest.raises(WebserviceException, match="in no format that is served as it is"):
        Model.deploy(workspace, "another", [unknown])
    assert service.state == "Healthy"
    assert len(service.run({"instances": SAMPLE})["predictions"]) == 1


def test_a_smoke_prediction_runs_where_it_can_do_no_harm(trained: tuple[World, Workspace, Any]) -> None:
    world, _, run = trained
    old = run.register_model("old-mnist", "outputs/mlp.h5")
    documents = Documents(world.connection.get("/openapi.json"))
    found = world.connection.post(f"/v1/models/{old.name}/{old.version}/smoke", {"sample": SAMPLE}, timeout=300)
    documents.holds("POST /v1/models/{name}/{version}/smoke", found)
    assert found["ok"], found["failure"]
    [[outputs]] = found["outputs"].values()
    assert sum(outputs) == pytest.approx(1, abs=1e-4)
    assert found["network"] is False
    wrong = world.connection.post(f"/v1/models/{old.name}/{old.version}/smoke", {"sample": [[1]]}, timeout=300)
    assert not wrong["ok"]
    assert "the model takes [any, 784]" in wrong["failure"]["title"]
    documents.holds("POST /v1/models/{name}/{version}/smoke", wrong)
    left = world.connection.post(f"/v1/runs/{run.id}/smoke", {"path": "outputs/model"}, timeout=300)
    documents.holds("POST /v1/runs/{key}/smoke", left)
    assert left["ok"], left["failure"]


def test_keys_are_asked_for_where_they_are_wanted(trained: tuple[World, Workspace, Any]) -> None:
    _, workspace, _ = trained
    service = Webservice(workspace, "tensorflow-web-service")
    service.update(auth_enabled=True)
    assert post(service.entry["port"], "/score", {"instances": SAMPLE})[0] == 401
    assert isinstance(service, AciWebservice)
    asked = str(verbs.call(Context(folder=workspace.root), "endpoints", ["test", service.name]))
    assert asked.startswith("200 in "), "zeros in the model's own shape are not taken"
    assert len(service.run({"instances": SAMPLE})["predictions"]) == 1
    service.delete()
    eventually(lambda: not Webservice.list(workspace), "it is still listed")
