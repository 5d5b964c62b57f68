"""What the door says and lets through, held to the documents that the front end's types are made from."""

from __future__ import annotations

import json

import pytest

from jupyter_mltrain.service.app import create_app
from tests.documents import Documents
from tests.server.test_door import live


@pytest.fixture(scope="module")
def documents():
    return Documents(create_app(None).openapi())


def test_answers_are_the_services_own_without_what_stays_here(server, workspace, run, documents):
    with server.trusted() as client:
        documents.is_a("WorkspaceList", client.get("mltrain/workspaces").json())
        base = f"mltrain/workspaces/{workspace.id}"
        state = client.get(f"{base}/runs/{run.id}").json()
        assert "source_directory" not in state
        documents.is_a("RunState", state)
        for operation, what in {
            "GET /v1/runs": "runs",
            "GET /v1/runs/{key}/metrics": f"runs/{run.id}/metrics",
            "GET /v1/runs/{key}/ranks": f"runs/{run.id}/ranks",
            "GET /v1/runs/{key}/logs": f"runs/{run.id}/logs",
            "GET /v1/runs/{key}/files": f"runs/{run.id}/files",
            "GET /v1/usage": "usage",
            "GET /v1/targets": "targets",
            "GET /v1/environments": "environments",
            "GET /v1/datasets": "datasets",
        }.items():
            documents.holds(operation, client.get(f"{base}/{what}").json())
        for refused in (f"{base}/runs/nobody", f"{base}/hello", "mltrain/workspaces/none/runs"):
            documents.is_a("ErrorAnswer", client.get(refused).json())


@pytest.mark.slow
async def test_messages_of_the_socket(server, workspace, run, documents):
    named = {"state": "StateMessage", "log": "LogMessage", "error": "ErrorMessage", "alive": "AliveMessage"}
    async with live(server, server.auth) as socket:
        about = {"workspace": workspace.id, "run": run.id}
        await socket.write_message(json.dumps({"op": "watch", "id": "w", **about}))
        await socket.write_message(
            json.dumps({"op": "log", "id": "l", **about, "name": "user_logs/std_log.txt", "offset": 0})
        )
        await socket.write_message(json.dumps({"op": "watch", "id": "x", **about, "run": "nobody"}))
        seen = set()
        # The door says that it is alive every ten seconds.
        while seen != set(named):
            message = json.loads(await socket.read_message())
            documents.is_a(named[message["type"]], message)
            seen.add(message["type"])


async def test_offline_is_said_in_a_message_of_its_own(server, tmp_path, documents):
    from jupyter_mltrain.client import workspaces

    quiet = workspaces.read_config(workspaces.create_root(tmp_path / "quiet")).id
    async with live(server, server.auth) as socket:
        await socket.write_message(json.dumps({"op": "watch", "id": "w", "workspace": quiet, "run": "any"}))
        documents.is_a("OfflineMessage", json.loads(await socket.read_message()))
