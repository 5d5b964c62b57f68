"""Endpoints in containers of real engines: deployed, asked, replaced, hurt, deleted."""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain import AciWebservice, ComputeTarget, InferenceConfig, Model, Webservice, Workspace, computes
from jupyter_mltrain.api.compute import AmlCompute
from jupyter_mltrain.api.docker import DockerCompute
from jupyter_mltrain.api.environment import Environment
from jupyter_mltrain.commands import verbs
from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.computes.docker import housekeeping
from jupyter_mltrain.errors import EngineUnreachable, WebserviceException
from tests.faults.world import World, alive, eventually, kill
from tests.hosts.daemon import Engine
from tests.hosts.remote import RemoteHost
from tests.integration.endpoints.scoring import Clients, Source, place_of
from tests.unit.tracking.test_inspection import SERVING, graph

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("JUPYTER_MLTRAIN_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("JUPYTER_MLTRAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JUPYTER_MLTRAIN_IDLE_SECONDS", "60")
    with World(tmp_path / "w") as made:
        yield made
        for service in Webservice.list(Workspace(made.root)):
            service.delete()


@pytest.fixture
def workspace(world: World) -> Workspace:
    return Workspace(world.root)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


def attach(workspace: Workspace, engine: Engine, **settings: str) -> None:
    asked = settings or {"url": engine.url}
    ComputeTarget.attach(workspace, "box", DockerCompute.attach_configuration(**asked, base_image=engine.image))
    ready = Environment.from_docker_image("ready", engine.image)
    ready.python.user_managed_dependencies, ready.python.interpreter_path = True, "/usr/bin/python3"
    ready.register(workspace)


def deploy(workspace: Workspace, source: Source, **more: Any) -> Webservice:
    config = InferenceConfig("deep/score.py", source_directory=source.folder, environment="ready")
    configuration = AciWebservice.deploy_configuration(**more)
    service = Model.deploy(workspace, "scorer", [], config, configuration, deployment_target="box")
    service.wait_for_deployment(show_output=True)
    return service


def ours(engine: Engine, workspace: Workspace) -> list[str]:
    """What is there of the workspace's endpoints: containers and volumes by name."""
    label = "label=org.jupyter-mltrain.kind=endpoint"
    volumes = engine.docker("volume", "ls", "--filter", label, "--format", "{{.Name}}").split()
    return [name for name in servers(engine, workspace, "--all") + volumes if workspace.id[:8] in name]


def servers(engine: Engine, workspace: Workspace, *more: str) -> list[str]:
    label = "label=org.jupyter-mltrain.kind=endpoint"
    names = engine.docker("ps", *more, "--filter", label, "--format", "{{.Names}}").split()
    return [name for name in names if workspace.id[:8] in name]


def status(service: Webservice, key: str | None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", service.entry["port"], timeout=30)
    connection.request("POST", "/score", b"{}", {"Authorization": f"Bearer {key}"} if key else {})
    code = connection.getresponse().status
    connection.close()
    return code


def test_an_endpoint_in_a_container_is_one_like_any_other(
    world: World, docker_engine: Engine, workspace: Workspace, source: Source
) -> None:
    attach(workspace, docker_engine)
    service = deploy(workspace, source, auth_enabled=True, memory_gb=0.5, cpu_cores=1)
    assert service.state == "Healthy"
    answer = service.run({})
    assert (answer["cwd"], answer["model_dir"]) == ("/mltrain/endpoint/app", "/mltrain/endpoint/app/azureml-models")
    assert "init in app" in service.get_logs()
    # Keys hold in the container at once.
    primary, _ = service.get_keys()
    assert (status(service, None), status(service, primary)) == (401, 200)
    service.regen_key("Primary")
    assert status(service, primary) == 401
    service.update(auth_enabled=False)
    assert status(service, None) == 200
    # What runs may do little, and only this machine reaches it.
    [name] = servers(docker_engine, workspace)
    [container] = json.loads(docker_engine.docker("inspect", name))
    host = container["HostConfig"]
    assert container["Config"]["User"] == "1000:1000"
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["SecurityOpt"]) == (True, ["ALL"], ["no-new-privileges"])
    assert {each["HostIp"] for bound in host["PortBindings"].values() for each in bound} == {"127.0.0.1"}
    assert (host["Memory"], host["NanoCpus"]) == (500_000_000, 1_000_000_000)
    assert {mount["Destination"]: mount["RW"] for mount in container["Mounts"]} == {
        "/mltrain/endpoint": False, "/mltrain/environments": False, "/mltrain/start": True,
    }  # fmt: skip
    assert primary not in json.dumps(container)
    assert world.connection.get("/v1/endpoints/scorer/latency")["requests"]["200"] == 3
    # A new version takes over; nobody notices.
    clients = Clients(service.entry["port"])
    try:
        eventually(lambda: len(clients.answers) > 10, "nobody answers: {}", lambda: clients.failed[:3])
        source.version(2)
        service.reload(wait=True)
        eventually(lambda: clients.seen(2), "the new version does not answer")
        eventually(lambda: len(servers(docker_engine, workspace)) == 1, "the old container stays")
    finally:
        clients.end()
    assert not clients.failed, clients.failed[:5]
    source.folder.joinpath("deep", "helper.py").write_text("raise RuntimeError('broken on purpose')\n")
    with pytest.raises(WebserviceException, match="broken on purpose"):
        service.reload(wait=True)
    assert service.run({})["version"] == 2
    service.delete()
    assert ours(docker_engine, workspace) == []


@pytest.mark.parametrize("way", ["ssh", "tls"])
def test_an_endpoint_on_another_host_answers_here(
    remote_host: RemoteHost, workspace: Workspace, source: Source, way: str
) -> None:
    settings = {"url": remote_host.ssh_url} if way == "ssh" else remote_host.tls
    attach(workspace, remote_host.engine, **settings)
    service = deploy(workspace, source)
    assert service.run({})["cwd"] == "/mltrain/endpoint/app"
    [name] = servers(remote_host.engine, workspace)
    [container] = json.loads(remote_host.engine.docker("inspect", name))
    published = [each for bound in (container["HostConfig"]["PortBindings"] or {}).values() for each in bound]
    assert [each["HostIp"] for each in published] == (["127.0.0.1"] if way == "ssh" else [])
    assert [status(service, None) for _ in range(5)] == [200] * 5
    body = json.dumps({"long": "x" * 3_000_000})
    assert service.run(body)["version"] == 1
    if way == "ssh":
        remote_host.cut()
        eventually(lambda: service.state == "Unhealthy", "a host that is cut off is called {}", lambda: service.entry)
        assert remote_host.address in service.entry["failure"]["title"]
        with pytest.raises(EngineUnreachable):
            service.delete()  # nobody can say that its container is gone
        remote_host.whole()
        service.reload()
        eventually(lambda: service.state == "Healthy", "it does not come back: {}", lambda: service.entry)
        assert len(servers(remote_host.engine, workspace)) == 1
    service.delete()
    assert ours(remote_host.engine, workspace) == []


def test_who_kills_what_an_endpoint_in_a_container_is_kept(
    world: World, docker_engine: Engine, workspace: Workspace, source: Source
) -> None:
    attach(workspace, docker_engine)
    service = deploy(workspace, source, memory_gb=0.5)
    place = place_of(world)
    [first] = servers(docker_engine, workspace)
    # The service and the keeper: it goes on, and is found again.
    keeper = json.loads(place.state.read_text())["keeper"]
    world.connection.post("/v1/handover")
    kill(keeper)
    eventually(lambda: not alive(keeper), "the keeper lives")
    assert status(service, None) == 200
    assert service.state, "the next service is there"
    eventually(lambda: json.loads(place.state.read_text())["keeper"] != keeper, "nobody keeps it")
    eventually(lambda: service.state == "Healthy", "it is not found again: {}", lambda: service.entry)
    assert servers(docker_engine, workspace) == [first]
    # The container: told, and another one made.
    docker_engine.docker("kill", first)
    eventually(lambda: service.state == "Healthy" and service.entry["restarts"] == 1, "{}", lambda: service.entry)
    assert "It was ended by SIGKILL. It is started again" in service.get_logs()
    [second] = servers(docker_engine, workspace)
    assert second != first
    # What passes the connections on.
    kill(json.loads(place.state.read_text())["pid"])
    eventually(lambda: service.state == "Healthy" and service.entry["restarts"] == 2, "{}", lambda: service.entry)
    eventually(lambda: len(servers(docker_engine, workspace)) == 1, "the container that was left stays")
    assert status(service, None) == 200
    # More memory than it may have.
    with pytest.raises(WebserviceException):
        service.run({"eat": 900_000_000})
    eventually(lambda: service.state == "Healthy" and service.entry["restarts"] == 3, "{}", lambda: service.entry)
    assert "It needed more memory than its limit of 0.50 GB" in service.get_logs()
    service.delete()
    assert ours(docker_engine, workspace) == []


STAND_IN = r"""
import http.server, json, os
name, base = os.environ["MODEL_NAME"], os.environ["MODEL_BASE_PATH"]
[version] = os.listdir(f"{base}/{name}")
assert os.path.isfile(f"{base}/{name}/{version}/saved_model.pb")
print("serves", name, version, flush=True)
def tensor(dtype, *sizes):
    return {"dtype": dtype, "tensor_shape": {"dim": [{"size": str(size), "name": ""} for size in sizes]}, "name": "t"}
READS = {
    f"/v1/models/{name}": {"model_version_status": [{"version": version, "state": "AVAILABLE", "status": {}}]},
    f"/v1/models/{name}/metadata": {"metadata": {"signature_def": {"signature_def": {
        "serving_default": {"inputs": {"x": tensor("DT_FLOAT", -1, 784)}, "outputs": {"y": tensor("DT_INT32", -1)}},
        "__saved_model_init_op": {"inputs": {}, "outputs": {}},
    }}}},
}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, status, document):
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        self.answer(200 if self.path in READS else 404, READS.get(self.path, {"error": "Not found"}))
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == f"/v1/models/{name}:predict"
        self.answer(200, {"predictions": [len(row) for row in asked["instances"]]})
http.server.ThreadingHTTPServer(("0.0.0.0", 8501), Handler).serve_forever()
"""


def stand_in(engine: Engine, folder: Path) -> str:
    """An image that is started, and answers, as that of TensorFlow Serving does."""
    name = "jupyter-mltrain-test:serving"
    (folder / "serve.py").write_text(STAND_IN)
    container = engine.docker("create", engine.image, "true").strip()
    try:
        engine.docker("cp", folder / "serve.py", f"{container}:/usr/bin/serve.py")
        entry = 'ENTRYPOINT ["/usr/bin/python3", "-u", "/usr/bin/serve.py"]'
        engine.docker("commit", "--change", entry, container, name)
    finally:
        engine.docker("rm", "--force", container)
    return name


def test_a_saved_model_behind_the_server_of_an_image(
    world: World, docker_engine: Engine, workspace: Workspace, source: Source, tmp_path: Path
) -> None:
    attach(workspace, docker_engine)
    files = tmp_path / "saved"
    files.mkdir()
    (files / "saved_model.pb").write_bytes(graph(SERVING))
    model = Model.register(workspace, files, "mnist")
    image = stand_in(docker_engine, tmp_path)

    def deploy_as(image: str, target: str | None = "box", **more: Any) -> Webservice:
        config = AciWebservice.deploy_configuration(image=image, **more)
        return Model.deploy(workspace, "stock", [model], None, config, target, overwrite=True)

    with pytest.raises(WebserviceException, match="needs a target with containers"):
        deploy_as(image, None)
    with pytest.raises(WebserviceException, match="asks for no keys"):
        deploy_as(image, auth_enabled=True)
    service = deploy_as("localhost:1/no/serving")
    with pytest.raises(
        WebserviceException, match="'localhost:1/no/serving' is not on the engine, and cannot be pulled"
    ) as refused:
        service.wait_for_deployment()
    assert "or leave the image out" in refused.value.mend
    service = verbs.call(
        Context(folder=world.root), "deploy", ["mnist", "--name", "stock", "-t", "box", "--image", image]
    )
    service.wait_for_deployment()
    assert service.entry["notices"] == [f"Runs in a container on the target box, with the server of {image}."]
    assert service.scoring_uri is not None
    assert service.scoring_uri.endswith("/v1/models/mnist:predict")
    assert service.run({"instances": [[0.0] * 784]}) == {"predictions": [784]}
    assert service.sample_request() == {"instances": [[0] * 784]}
    assert "serves mnist 1" in service.get_logs()
    assert workspace.connection.post("/v1/endpoints/stock/test", {"body": {"instances": []}})["body"] == {
        "predictions": []
    }
    [name] = servers(docker_engine, workspace)
    [container] = json.loads(docker_engine.docker("inspect", name))
    assert container["HostConfig"]["ReadonlyRootfs"]
    assert list(container["HostConfig"]["PortBindings"]) == ["8501/tcp"]
    service.delete()
    assert ours(docker_engine, workspace) == []


async def test_what_endpoints_leave_is_found_when_it_is_old(
    docker_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, label = f"mltrain-endpoint-{uuid.uuid4().hex}", "org.jupyter-mltrain.kind=endpoint"
    docker_engine.docker("volume", "create", "--label", label, name)
    docker_engine.docker("create", "--label", label, "--name", name, docker_engine.image, "true")
    try:
        compute = computes.load("docker", url=docker_engine.url, base_image=docker_engine.image)
        left = {(one.kind, one.name): one.why for one in await compute.leftovers(set())}
        assert not {key for key in left if key[1] == name}, "what was made just now may be about to be used"
        monkeypatch.setattr(housekeeping, "HELPER_SECONDS", -1)
        left = {(one.kind, one.name): one.why for one in await compute.leftovers(set())}
        assert left["container", name] == "an endpoint's server that has ended"
        assert left["volume", name] == "files of an endpoint that has no server there, sent again when it starts"
    finally:
        docker_engine.docker("rm", name)
        docker_engine.docker("volume", "rm", name)


def test_a_target_without_containers_has_no_endpoints(workspace: Workspace, source: Source) -> None:
    config = InferenceConfig("deep/score.py", source_directory=source.folder, environment="current")
    pool = ComputeTarget.create(workspace, "pool", AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2"))
    with pytest.raises(WebserviceException, match="in containers of one host, not on 'pool'"):
        Model.deploy(workspace, "scorer", [], config, deployment_target=pool)
