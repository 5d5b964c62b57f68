"""Endpoints that are hurt: killed, damaged, starved, deployed and deleted at once. Real processes throughout."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jupyter_mltrain import AciWebservice, LocalWebservice, Model, Webservice
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.errors import WebserviceException
from tests.faults.world import PATIENCE, World, alive, eventually, kill
from tests.integration.endpoints.scoring import SCORE, Clients, Source, deploy, place_of


def test_a_crash_is_followed_by_another_process(workspace: Workspace, source: Source) -> None:
    service = deploy(workspace, source)
    first = service.run({})["pid"]
    with pytest.raises(WebserviceException):
        service.run({"die": True})
    eventually(lambda: service.state == "deploying" or service.entry["restarts"] == 1, "the crash is not seen")
    service.wait_for_deployment()
    assert service.run({})["pid"] != first
    assert service.entry["restarts"] == 1
    assert "exit code 9" in service.get_logs()


@pytest.mark.slow
def test_while_a_crashed_process_takes_long_to_come_back_requests_are_answered_503(
    workspace: Workspace, source: Source, tmp_path: Path
) -> None:
    script = source.folder / "deep" / "score.py"
    slowly = f"    marker = {str(tmp_path / 'started')!r}\n    time.sleep(6 if os.path.exists(marker) else 0)\n    open(marker, 'w')\n"
    script.write_text(SCORE.replace("    global started\n", "    global started\n" + slowly))
    service = deploy(workspace, source)
    clients = Clients(service.entry["port"], 2)
    try:
        eventually(lambda: len(clients.answers) > 20, "nobody answers")
        pid = service.run({})["pid"]
        kill(pid)
        eventually(lambda: clients.answers[-1]["pid"] != pid, "it does not come back")
    finally:
        clients.end()
    told = [each for each in clients.failed if each.startswith("503 ")]
    assert told, "nobody was told"
    assert all("is being started" in each for each in told)
    lost = [each for each in clients.failed if not each.startswith("503 ")]
    assert len(lost) <= 4, f"more than what the killed process held: {lost[:10]}"


def test_files_that_were_changed_are_not_loaded_again(
    world: World, workspace: Workspace, source: Source, tmp_path: Path
) -> None:
    (tmp_path / "weights.bin").write_bytes(b"w" * 1000)
    model = Model.register(workspace, tmp_path / "weights.bin", "weights")
    config = LocalWebservice.deploy_configuration()
    service = Model.deploy(workspace, "scorer", [model], source.config(), config)
    service.wait_for_deployment()
    with pytest.raises(WebserviceException):
        service.run({"die": True})
    eventually(lambda: (service.state, service.entry["restarts"]) == ("running", 1), "untouched files are refused")
    [held] = place_of(world).app(1).glob("azureml-models/weights/1/*")
    held.chmod(0o600)
    held.write_bytes(b"v" * 1000)
    with pytest.raises(WebserviceException):
        service.run({"die": True})
    eventually(lambda: service.state == "failed", "it is {}", lambda: service.state)
    failure = service.entry["failure"]
    assert failure["title"] == "The files of weights:1 were changed after they were deployed: their hash differs."
    assert "Register the model again" in failure["mend"]
    assert service.entry["restarts"] == 2, "it was started over and over"
    with pytest.raises(WebserviceException, match="not those that were registered"):
        service.reload()
    held.write_bytes(b"w" * 1000)  # another time, the same content
    service.reload(wait=True)
    assert service.run({})["version"] == 1


def test_the_memory_limit_is_kept_and_named(workspace: Workspace, source: Source) -> None:
    service = deploy(workspace, source, memory_gb=0.3)
    assert not service.entry["substitutions"]
    with pytest.raises(WebserviceException):
        service.run({"eat": 600_000_000})
    service.update_deployment_state()
    eventually(lambda: "more memory than its limit of 0.30 GB" in service.get_logs(), "{}", service.get_logs)
    service.wait_for_deployment()
    assert service.run({})["version"] == 1


def test_the_endpoint_needs_no_service(world: World, workspace: Workspace, source: Source) -> None:
    service = deploy(workspace, source)
    pid = service.run({})["pid"]
    world.kill_service()
    connection = http.client.HTTPConnection("127.0.0.1", service.entry["port"], timeout=PATIENCE)
    connection.request("POST", "/score", b'{"die": true}')
    with pytest.raises(http.client.HTTPException):
        connection.getresponse()
    connection.close()

    def answers() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", service.entry["port"], timeout=PATIENCE)
        try:
            connection.request("POST", "/score", b"{}")
            return json.loads(connection.getresponse().read()).get("pid", pid) != pid
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    eventually(answers, "nobody started it again while there was no service")
    assert world.service_pid() is None, "a service was started"
    eventually(lambda: (service.state, service.entry["restarts"]) == ("running", 1), "{}", lambda: service.entry)


def test_a_killed_keeper_is_followed_by_another_that_takes_the_server_over(
    world: World, workspace: Workspace, source: Source
) -> None:
    service = deploy(workspace, source)
    pid = service.run({})["pid"]
    state = place_of(world).state
    first = json.loads(state.read_text())["keeper"]
    clients = Clients(service.entry["port"])
    try:
        kill(first)
        eventually(lambda: json.loads(state.read_text())["keeper"] != first, "no keeper follows")
        eventually(lambda: "went on without it" in service.get_logs(), "{}", service.get_logs)
        source.version(2)
        service.reload(wait=True)
        eventually(lambda: clients.seen(2), "the new version does not answer")
    finally:
        clients.end()
    assert not clients.failed, clients.failed[:5]
    eventually(lambda: not alive(pid), "the first server is left")


def test_one_name_deployed_twice_at_once_is_two_revisions(world: World, workspace: Workspace, source: Source) -> None:
    def again() -> Webservice:
        return Model.deploy(workspace, "scorer", [], source.config(), LocalWebservice.deploy_configuration())

    with ThreadPoolExecutor(3) as pool:
        services = [each.result() for each in [pool.submit(again) for _ in range(3)]]
    services[0].wait_for_deployment()
    services[0].update_deployment_state()
    assert (services[0].entry["revision"], services[0].entry["serving"]) == (3, 3)
    assert services[0].run({})["version"] == 1
    cloud = AciWebservice.deploy_configuration()
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(Model.deploy, workspace, "cloud", [], source.config(), cloud) for _ in range(2)]
        refused = [each.exception() for each in asked if each.exception() is not None]
    assert [type(each) for each in refused] == [WebserviceException], "both were told that the name is theirs"


def test_deleted_while_it_is_brought_up_leaves_nothing(world: World, workspace: Workspace, source: Source) -> None:
    for pause in (0.0, 0.15, 0.4):
        service = Model.deploy(workspace, "scorer", [], source.config(), LocalWebservice.deploy_configuration())
        time.sleep(pause)
        service.delete()
        assert not place_of(world).folder.exists()

    def left() -> list[str]:
        return [command for _, command in world.processes() if "keeper" in command or "mltrain_endpoint" in command]

    eventually(lambda: not left(), "{}", left)


def test_a_disk_that_refuses_is_told_and_the_endpoint_can_be_asked_for_again(
    world: World, workspace: Workspace, source: Source
) -> None:
    in_the_way = place_of(world).wanted
    in_the_way.mkdir(parents=True)
    service = Model.deploy(workspace, "scorer", [], source.config(), LocalWebservice.deploy_configuration())
    with pytest.raises(WebserviceException, match="cannot be brought up"):
        service.wait_for_deployment()
    assert service.state == "failed"
    in_the_way.rmdir()
    service.reload(wait=True)
    assert service.run({})["version"] == 1


def test_an_endpoint_whose_state_cannot_be_written_is_kept_all_the_same(
    world: World, workspace: Workspace, source: Source
) -> None:
    service = deploy(workspace, source)
    keeper, pid = json.loads(place_of(world).state.read_text())["keeper"], service.run({})["pid"]
    clients = Clients(service.entry["port"], 2)
    try:
        place_of(world).state.unlink()
        place_of(world).state.mkdir()  # what a full disk is: nothing can be written there
        kill(pid)
        eventually(lambda: clients.answers and clients.answers[-1]["pid"] != pid, "nobody started it again")
        assert alive(keeper), "the keeper gave up"
        place_of(world).state.rmdir()
        eventually(place_of(world).state.is_file, "what there was to say is lost")
    finally:
        clients.end()
    eventually(lambda: (service.state, service.entry["restarts"]) == ("running", 1), "{}", lambda: service.entry)
    lost = [each for each in clients.failed if not each.startswith("503 ")]
    assert len(lost) <= 2, lost[:5]


@pytest.mark.slow
def test_a_stuck_event_loop_is_ended(
    world: World, workspace: Workspace, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = deploy(workspace, source)
    pid = service.run({})["pid"]
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: not alive(pid), "a server that does not answer is left")
    eventually(lambda: service.state == "running", "it does not come back")
    assert "did not answer" in service.get_logs()
