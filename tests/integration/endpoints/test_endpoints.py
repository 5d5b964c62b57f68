"""Endpoints with an entry script, in this interpreter: deployed, asked, replaced, ended. Real processes throughout."""

from __future__ import annotations

import http.client
import json
import os
import time
from pathlib import Path

import pytest

from jupyter_mltrain import AciWebservice, InferenceConfig, LocalWebservice, Model, Webservice
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.commands import verbs
from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.errors import MLTrainError, ModelNotFound, UsageError, WebserviceException, WebserviceNotFound
from tests.faults.world import PATIENCE, World, alive, eventually, kill
from tests.integration.endpoints.scoring import Clients, Source, deploy, place_of


def test_a_script_answers_where_the_sdk_would_have_it(
    world: World, workspace: Workspace, source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    service = Model.deploy(workspace, "scorer", [], source.config(), LocalWebservice.deploy_configuration())
    service.wait_for_deployment(show_output=True)
    said = capsys.readouterr().out
    assert f"Local webservice is running at http://localhost:{service.port}" in said
    assert service.state == "running"
    answer = service.run(json.dumps({}))
    app = place_of(world).app(1)
    assert answer["cwd"] == str(app)
    assert answer["model_dir"] == str(app / "azureml-models")
    assert (app / "scoring" / "deep" / "score.py").exists(), "the source is not below its own name"
    assert "init in app" in service.get_logs()
    with pytest.raises(WebserviceException, match="unexpected error occurred in scoring script"):
        service.run({"fail": True})
    assert "ValueError: as asked" in service.get_logs(50)
    with pytest.raises(NotImplementedError):
        service.get_keys()
    assert workspace.webservices["scorer"].scoring_uri == service.scoring_uri
    assert type(Webservice(workspace, "scorer")) is LocalWebservice


def test_what_listens_is_this_machine_alone_and_asks_for_keys_when_told(workspace: Workspace, source: Source) -> None:
    config = AciWebservice.deploy_configuration(auth_enabled=True, tags={"of": "test"}, description="d")
    service = Model.deploy(workspace, "scorer", [], source.config(), config)
    service.wait_for_deployment()
    assert service.state == "Healthy"
    assert (service.tags, service.description) == ({"of": "test"}, "d")
    port = service.entry["port"]

    def status(headers: dict[str, str], path: str = "/score") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request("POST" if path == "/score" else "GET", path, b"{}", headers)
        code = connection.getresponse().status
        connection.close()
        return code

    primary, secondary = service.get_keys()
    assert status({"Authorization": f"Bearer {primary}"}) == 200
    assert status({"Authorization": f"Bearer {secondary}"}) == 200
    for wrong in (
        {},
        {"Authorization": "Bearer x"},
        {"Authorization": f"Basic {primary}"},
        {"Authorization": "Bearer "},
    ):
        assert status(wrong) == 401
    assert status({}, "/metrics") == 401
    assert status({}, "/") == 200
    service.regen_key("Primary")
    assert status({"Authorization": f"Bearer {primary}"}) == 401, "the old key is still taken"
    assert status({"Authorization": f"Bearer {secondary}"}) == 200
    service.update(auth_enabled=False)
    assert status({}) == 200
    assert status({"Origin": "http://evil.example"}) == 403
    assert status({"Host": "evil.example"}) == 403
    told = json.dumps(service.serialize())
    assert primary not in told
    assert secondary not in told
    listening = Path("/proc/net/tcp").read_text()
    assert f"0100007F:{port:04X}" in listening
    assert f"00000000:{port:04X}" not in listening


def test_a_new_version_takes_over_and_no_request_fails(workspace: Workspace, source: Source) -> None:
    service = deploy(workspace, source)
    port = service.entry["port"]
    clients = Clients(port)
    try:
        for version in (2, 3):
            eventually(lambda: len(clients.answers) > 50, "nobody answers: {}", lambda: clients.failed[:3])
            source.version(version)
            service.reload(wait=True)
            eventually(lambda v=version: clients.seen(v), "the new version does not answer")
        eventually(lambda: len(clients.answers) > 200, "nobody answers: {}", lambda: clients.failed[:3])
    finally:
        clients.end()
    assert not clients.failed, f"{len(clients.failed)} of {len(clients.answers)} failed: {clients.failed[:5]}"
    assert {answer["version"] for answer in clients.answers} == {1, 2, 3}
    assert service.entry["port"] == port
    pids = {answer["pid"] for answer in clients.answers}
    eventually(lambda: sum(map(alive, pids)) == 1, "the old processes do not end")


def test_a_version_that_does_not_start_changes_nothing(workspace: Workspace, source: Source) -> None:
    service = deploy(workspace, source)
    clients = Clients(service.entry["port"])
    try:
        source.folder.joinpath("deep", "helper.py").write_text("raise RuntimeError('broken on purpose')\n")
        with pytest.raises(WebserviceException, match="broken on purpose") as error:
            service.reload(wait=True)
        assert "Revision 1 goes on serving" in error.value.message
        time.sleep(0.3)
    finally:
        clients.end()
    assert not clients.failed, clients.failed[:5]
    assert {answer["version"] for answer in clients.answers} == {1}
    service.update_deployment_state()
    assert (service.entry["phase"], service.entry["serving"], service.entry["revision"]) == ("running", 1, 2)
    source.version(3)
    service.reload(wait=True)
    assert service.run({})["version"] == 3


def test_a_first_version_that_does_not_start_is_failed_with_its_cause(workspace: Workspace, source: Source) -> None:
    source.folder.joinpath("deep", "score.py").write_text("def init():\n    1 / 0\n\ndef run(raw):\n    return 1\n")
    service = Model.deploy(workspace, "scorer", [], source.config(), LocalWebservice.deploy_configuration())
    with pytest.raises(WebserviceException, match="ZeroDivisionError") as error:
        service.wait_for_deployment()
    assert "Did your init method fail?" in error.value.mend
    assert service.state == "failed"
    source.folder.joinpath("deep", "score.py").write_text("def run(raw):\n    return 1\n")
    with pytest.raises(WebserviceException, match="no function `init`"):
        service.reload(wait=True)


def test_a_limit_below_the_floor_is_raised_and_said(
    workspace: Workspace, source: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    config = LocalWebservice.deploy_configuration(memory_gb=0.01, cpu_cores=0.1)
    service = Model.deploy(workspace, "scorer", [], source.config(), config)
    service.wait_for_deployment(show_output=True)
    assert "memory_gb: 0.2 instead of 0.01" in capsys.readouterr().out
    assert len(os.sched_getaffinity(service.run({})["pid"])) == 1


def test_strict_refuses_to_raise_a_limit(world: World, workspace: Workspace, source: Source) -> None:
    text = world.layout.config.read_text()
    world.layout.config.write_text(text.replace("strict = false", "strict = true"))
    with pytest.raises(Exception, match=r"0\.2 can be given"):
        Model.deploy(workspace, "scorer", [], source.config(), LocalWebservice.deploy_configuration(memory_gb=0.01))


def test_the_port_is_kept_and_one_in_use_is_refused(world: World, workspace: Workspace, source: Source) -> None:
    import socket

    service = deploy(workspace, source)
    port = service.entry["port"]
    world.connection.post("/v1/handover")
    keeper = json.loads(place_of(world).state.read_text())["keeper"]
    server = service.run({})["pid"]
    kill(keeper)
    kill(server)
    eventually(lambda: service.state == "running", "it does not come back")
    assert service.run({})["pid"] != server
    assert service.entry["port"] == port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        with pytest.raises(WebserviceException, match=f"port {number} cannot be used"):
            deploy(workspace, source, "another", port=number)
    with pytest.raises(WebserviceException, match="is that of the endpoint 'scorer'"):
        deploy(workspace, source, "another", port=port)


def test_names_and_scripts_are_refused_in_one_line(workspace: Workspace, source: Source, tmp_path: Path) -> None:
    for name in ("a", "ab", "Upper", "1abc", "a_b", "abc-", "a" * 33, "a b", "ä-b"):
        with pytest.raises(WebserviceException, match="not allowed"):
            Model.deploy(workspace, name, [], source.config())
    with pytest.raises(WebserviceException, match="is not in"):
        Model.deploy(workspace, "scorer", [], InferenceConfig("nope.py", source_directory=source.folder))
    with pytest.raises(ModelNotFound):
        Model.deploy(workspace, "scorer", ["nope"])
    with pytest.raises(WebserviceException, match="no entry script"):
        Model.deploy(workspace, "scorer", [])
    with pytest.raises(WebserviceNotFound):
        Webservice(workspace, "scorer")
    assert not Webservice.list(workspace)


def test_a_name_that_is_taken_needs_overwrite_for_a_cloud_service(workspace: Workspace, source: Source) -> None:
    service = Model.deploy(workspace, "scorer", [], source.config())
    service.wait_for_deployment()
    with pytest.raises(WebserviceException, match="exists already"):
        Model.deploy(workspace, "scorer", [], source.config())
    source.version(2)
    service = Model.deploy(workspace, "scorer", [], source.config(), overwrite=True)
    service.wait_for_deployment()
    assert service.run({})["version"] == 2
    service.delete()
    assert service.state == "deleted"
    with pytest.raises(WebserviceNotFound):
        Webservice(workspace, "scorer")


def test_requests_are_bounded_and_measured(world: World, workspace: Workspace, source: Source) -> None:
    service = deploy(workspace, source)
    connection = http.client.HTTPConnection("127.0.0.1", service.entry["port"], timeout=PATIENCE)
    connection.putrequest("POST", "/score")
    connection.putheader("Content-Length", str(1 << 40))
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 413
    assert "larger than 67 MB" in json.loads(response.read())["error"]
    # All of it is sent, and the answer is read all the same.
    for body, headers, status, says in (
        (b"x" * (68 << 20), {}, 413, "larger than 67 MB"),
        (b"\x1f\x8b", {"Content-Encoding": "gzip"}, 415, "as it is"),
    ):
        connection.close()
        connection.request("POST", "/score", body, headers)
        response = connection.getresponse()
        assert (response.status, says in json.loads(response.read())["error"]) == (status, True)
    connection.close()
    for _ in range(5):
        service.run({})
    counted = {"200": 5, "413": 2, "415": 1}
    # A request is counted once its answer has gone out.
    latency = eventually(
        lambda: (now := world.connection.get("/v1/endpoints/scorer/latency"))["requests"] == counted and now,
        "not counted",
    )
    assert 0 < latency["p50_ms"] <= latency["p99_ms"]
    passed = world.connection.post("/v1/endpoints/scorer/test", {"body": {}})
    assert passed["status"] == 200
    assert passed["body"]["version"] == 1
    line = 'mltrain_requests_total{service="scorer",status="200",version="1"} 6.0'
    asked = {"path": "/metrics"}
    eventually(lambda: line in world.connection.post("/v1/endpoints/scorer/test", asked)["body"], "not counted")


def test_the_verbs(world: World, workspace: Workspace, source: Source) -> None:
    context = Context(folder=world.root)
    assert "No endpoints here yet" in repr(verbs.call(context, "endpoints", []))
    with pytest.raises(WebserviceNotFound):
        verbs.call(context, "endpoints", ["show", "scorer"])
    with pytest.raises(ModelNotFound):
        verbs.call(context, "deploy", ["nope", "--cpu", "1", "--memory", "512MB", "--auth"])
    for bad in (["nope", "--name", "X"], ["nope", "--port", "0"], ["nope", "--cpu", "0"], ["nope:x"]):
        with pytest.raises(MLTrainError) as refused:
            verbs.call(context, "deploy", bad)
        assert not isinstance(refused.value, ModelNotFound), bad
    deploy(workspace, source)
    [row] = verbs.call(context, "endpoints", ["list"])
    assert (row["name"], row["phase"], row["entry_script"]) == ("scorer", "running", "scoring/deep/score.py")
    assert "scorer" in repr(verbs.call(context, "endpoints", []))
    asked = str(verbs.call(context, "endpoints", ["test", "scorer", "--data", '{"fail": false}']))
    assert asked.startswith("200 in ")
    with pytest.raises(UsageError, match="has an entry script"):
        verbs.call(context, "endpoints", ["test", "scorer"])
    with pytest.raises(UsageError, match="no JSON"):
        verbs.call(context, "endpoints", ["test", "scorer", "--data", "{"])
    assert len(str(verbs.call(context, "endpoints", ["logs", "scorer", "--tail", "2"])).splitlines()) == 2
    assert "is gone" in str(verbs.call(context, "endpoints", ["rm", "scorer"]))
    assert not Webservice.list(workspace)
