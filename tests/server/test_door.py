"""The door: closed without credentials, narrow with them."""

from __future__ import annotations

import base64
import json
import re
from contextlib import asynccontextmanager

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.web import Application
from tornado.websocket import websocket_connect

from jupyter_mltrain.client import workspaces
from jupyter_mltrain.core.door import passes, takes, visible
from jupyter_mltrain.server.routes import ScriptHandler, add_routes
from jupyter_mltrain.widgets import front_end


def all_routes():
    """Every route that the extension adds, with the methods that its handler answers."""
    added = []

    class Spy(Application):
        def add_handlers(self, host_pattern, host_handlers):
            added.extend(host_handlers)

    add_routes(Spy(base_url="/"))
    found = []
    for pattern, handler, *_ in added:
        if handler is ScriptHandler:
            continue  # for anybody: see test_the_widgets_scripts_are_for_anybody
        methods = [m for m in ("get", "post", "patch", "put", "delete") if m in vars(handler)]
        assert methods, handler
        found.extend((m.upper(), pattern) for m in methods)
    return found


def test_the_list_of_routes_is_complete():
    assert {p for _, p in all_routes()} == {
        "/mltrain/live",
        "/mltrain/workspaces",
        "/mltrain/workspaces/([^/]+)/open",
        "/mltrain/workspaces/([^/]+)/(.+)",
    }


def test_the_widgets_scripts_are_for_anybody_and_nothing_else_is(server):
    base = f"mltrain/static/{front_end.version()}"
    anybody = server.client()
    for name in front_end.SERVED:
        answer = anybody.get(f"{base}/{name}")
        assert answer.status_code == 200
        assert answer.content == front_end.read(name)
        assert "javascript" in answer.headers["content-type"]
    for name in ("", ".", "../front_end.py", "..%2ffront_end.py", "%2e%2e/front_end.py", "/etc/passwd", "other.js"):
        assert anybody.get(f"{base}/{name}").status_code in {302, 403, 404}, name
    # A kernel whose package is another does not get ours.
    assert anybody.get("mltrain/static/0123456789abcdef/card.js").status_code in {302, 403, 404}


@pytest.mark.parametrize(("method", "pattern"), all_routes())
def test_every_route_refuses_without_credentials(server, workspace, method, pattern):
    path = pattern.lstrip("/").replace("([^/]+)", workspace.id, 1).replace("(.+)", "runs")
    for headers in ({}, {"Authorization": "token wrong"}, {"Cookie": "_xsrf=1"}):
        answer = server.client(**headers).request(method, path)
        assert answer.status_code in {403, 302}, (method, path, answer.status_code)
        assert answer.status_code != 302 or "login" in answer.headers["location"]
        assert workspace.id not in answer.text


@pytest.mark.parametrize("path", ["runs/{run}/cancel", "runs/{run}/rerun", "runs/{run}/models", "open"])
def test_commands_by_cookie_need_the_xsrf_token(server, workspace, run, path):
    client = server.client()
    client.post("login", params={"token": server.token})
    client.get("login", params={"token": server.token})
    assert client.cookies, "signed in"
    url = f"mltrain/workspaces/{workspace.id}/{path.format(run=run.id)}"
    assert client.get(f"mltrain/workspaces/{workspace.id}/runs").status_code == 200
    assert client.post(url, json={}).status_code == 403
    assert client.post(url, json={}, headers={"X-XSRFToken": "wrong"}).status_code == 403


def test_a_foreign_origin_is_refused(server, workspace):
    foreign = {**server.auth, "Origin": "http://evil.example"}
    cookie = server.client()
    cookie.get("login", params={"token": server.token})
    assert cookie.get(
        f"mltrain/workspaces/{workspace.id}/runs", headers={"Origin": "http://evil.example"}
    ).status_code in {403, 404}
    assert server.client(**foreign).get("mltrain/workspaces").status_code == 404


def test_states_metrics_logs_and_files_pass(server, workspace, run):
    base = f"mltrain/workspaces/{workspace.id}"
    with server.trusted() as client:
        assert {"id": workspace.id, "name": "door"} in client.get("mltrain/workspaces").json()["workspaces"]
        assert client.get(f"{base}/runs").json()["total"] == 1
        state = client.get(f"{base}/runs/{run.id}").json()
        assert state["status"] == "Completed"
        assert state["metrics"][0]["count"] == 100
        assert str(workspace.root) not in json.dumps(state)
        series = client.get(f"{base}/runs/{run.id}/series", params={"name": "loss", "points": 20}).json()
        assert series["total"] == 100
        assert len(series["values"]) <= 40
        log = client.get(f"{base}/runs/{run.id}/log")
        assert log.content == b"said\n"
        assert log.headers["x-next-offset"] == "5"


def test_a_file_of_a_run_is_never_a_page_of_this_server(server, workspace, run):
    answer = server.trusted().get(
        f"mltrain/workspaces/{workspace.id}/runs/{run.id}/file", params={"path": "outputs/page.html"}
    )
    assert answer.content == b"<script>alert(1)</script>"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "hello"),
        ("POST", "handover"),
        ("POST", "runs"),
        ("GET", "runs/latest/spec"),
        ("GET", "models/m/1/path"),
        ("GET", "doctor"),
        ("GET", "runs/../hello"),
        ("GET", "runs/x%2f..%2f..%2fhello"),
        ("POST", "datasets/mnist/fetch"),
        ("GET", "openapi.json"),
    ],
)
def test_what_is_not_in_the_table_is_refused(server, workspace, run, method, path):
    answer = server.trusted().request(method, f"mltrain/workspaces/{workspace.id}/{path}")
    assert answer.status_code in {404, 405}, answer.text


@pytest.mark.parametrize(
    "path",
    ["../spec.json", "outputs/../../spec.json", "/etc/passwd", "outputs/%2e%2e/spec.json", "spec.json", "work/cell.py"],
)
def test_paths_outside_a_runs_areas_are_refused(server, workspace, run, path):
    answer = server.trusted().get(f"mltrain/workspaces/{workspace.id}/runs/{run.id}/file", params={"path": path})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found.path"


def test_an_unregistered_workspace_is_never_opened(server, tmp_path):
    stranger = workspaces.create_root(tmp_path / "stranger")
    identity = workspaces.read_config(stranger).id
    (workspaces.registry_folder() / f"{identity}.json").unlink()
    with server.trusted() as client:
        for method, path in (("GET", "runs"), ("POST", "open")):
            answer = client.request(method, f"mltrain/workspaces/{identity}/{path}")
            assert answer.status_code == 404
            assert answer.json()["error"]["code"] == "not_found.workspace"
    assert not (stranger / ".mltrain" / "service.log").exists()


def test_showing_never_starts_a_service_and_a_click_does(server, tmp_path):
    quiet = workspaces.create_root(tmp_path / "quiet")
    identity = workspaces.read_config(quiet).id
    with server.trusted() as client:
        answer = client.get(f"mltrain/workspaces/{identity}/runs")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service.unavailable")
        assert not (quiet / ".mltrain" / "service.json").exists()
        assert client.post(f"mltrain/workspaces/{identity}/open").status_code == 200
        assert client.get(f"mltrain/workspaces/{identity}/runs").json()["total"] == 0
    from jupyter_mltrain.client.connection import Connection

    Connection(quiet).post("/v1/handover")


@asynccontextmanager
async def live(server, headers):
    url = re.sub("^http", "ws", server.base) + "mltrain/live"
    socket = await websocket_connect(HTTPRequest(url, headers=headers))
    try:
        yield socket
    finally:
        socket.close()
        while socket.protocol is not None and await socket.read_message() is not None:
            pass


async def test_the_socket_refuses_without_credentials_and_from_elsewhere(server):
    for headers in ({}, {"Authorization": "token wrong"}, {**server.auth, "Origin": "http://evil.example"}):
        with pytest.raises(HTTPClientError) as refused:
            async with live(server, headers):
                pass
        assert refused.value.code == 403


async def test_one_socket_carries_states_and_logs(server, workspace, run):
    async with live(server, {**server.auth, "Origin": f"http://127.0.0.1:{server.port}"}) as socket:
        await socket.write_message(json.dumps({"op": "watch", "id": "w", "workspace": workspace.id, "run": run.id}))
        ask = {
            "op": "log",
            "id": "l",
            "workspace": workspace.id,
            "run": run.id,
            "name": "user_logs/std_log.txt",
            "offset": 2,
        }
        await socket.write_message(json.dumps(ask))
        seen = {}
        while set(seen) != {"state", "log"}:
            message = json.loads(await socket.read_message())
            seen[message["type"]] = message
        assert seen["state"]["state"]["status"] == "Completed"
        assert base64.b64decode(seen["log"]["data"]) == b"id\n"
        assert seen["log"]["complete"] is True


async def test_a_change_reaches_the_page_at_once_and_a_stopped_watch_is_silent(server, workspace, run):
    async with live(server, server.auth) as socket:
        await socket.write_message(json.dumps({"op": "watch", "id": "w", "workspace": workspace.id, "run": run.id}))
        first = json.loads(await socket.read_message())
        run.tag("seen", "yes")
        while True:
            message = json.loads(await socket.read_message())
            if message.get("state", {}).get("tags", {}).get("seen") == "yes":
                break
        assert message["state"]["revision"] > first["state"]["revision"]
        await socket.write_message(json.dumps({"op": "stop", "id": "w"}))
        await socket.write_message(json.dumps({"op": "watch", "id": "x", "workspace": workspace.id, "run": "nobody"}))
        message = json.loads(await socket.read_message())
        while message.get("id") == "w":
            message = json.loads(await socket.read_message())
        assert (message["id"], message["error"]["code"]) == ("x", "not_found.run")


async def test_what_is_not_understood_closes_the_socket(server):
    for text in ("{", "[]", '{"op": "explode", "id": 1}'):
        async with live(server, server.auth) as socket:
            await socket.write_message(text)
            assert await socket.read_message() is None
            assert socket.close_code == 1003


def test_the_tables_of_the_door():
    assert passes("GET", "runs/a b/series")
    assert not passes("DELETE", "runs/x")
    assert passes("POST", "environments/preview")
    assert passes("GET", "environments/mine:1/dockerfile")
    assert not passes("POST", "environments/prune")
    assert not passes("DELETE", "environments/mine")
    assert not passes("GET", "runs/x/y/z")
    assert visible({"a": [{"source_directory": "/home/me", "b": 1}]}) == {"a": [{"b": 1}]}


def test_the_table_for_endpoints_and_models():
    for path in ("endpoints", "endpoints/e", "endpoints/e/log", "endpoints/e/latency", "runs/r/logged"):
        assert passes("GET", path), path
    for path in ("endpoints/e/test", "endpoints/e/reload", "models/m/1/smoke", "models/m/1/deploy", "runs/r/smoke"):
        assert passes("POST", path), path
        assert not passes("GET", path), path
    assert passes("DELETE", "endpoints/e")
    for method, path in (
        ("GET", "endpoints/e/keys"),
        ("POST", "endpoints/e/keys"),
        ("POST", "endpoints"),
        ("PATCH", "endpoints/e"),
        ("DELETE", "endpoints"),
        ("DELETE", "models/m/1"),
        ("GET", "models/m/1/path"),
        ("POST", "models"),
    ):
        assert not passes(method, path), (method, path)


@pytest.mark.parametrize("key", ["interpreter", "kernel_python", "source_directory", "inference"])
def test_a_page_names_no_interpreter_and_no_file(server, workspace, run, key):
    assert takes({"name": "mine", key: None})
    answer = server.trusted().post(
        f"mltrain/workspaces/{workspace.id}/environments/preview", json={"name": "mine", key: "/usr/bin/python3"}
    )
    assert answer.status_code == 400
    assert "no interpreter" in answer.json()["error"]["message"]
