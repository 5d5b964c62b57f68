"""What the OpenAPI document says is what a real service answers: each route, key by key."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from jupyter_mltrain.data.datasets import folder_of
from jupyter_mltrain.data.ready_made import READY_MADE
from jupyter_mltrain.errors import MLTrainError
from jupyter_mltrain.widgets.output import payload
from tests.documents import Documents
from tests.faults.world import Submitted, World, eventually, steady

ALL_KINDS = """
for i, value in enumerate([0.1, float("nan"), float("inf"), float("-inf"), 2**60 + 1]):
    run.log("odd", value, step=i)
run.log("only", float("nan"))
run.log("word", "yes")
run.log_row("table", x=1, y=2.5)
run.tag("by", "script")
run.tag("bare")
run.add_properties({"answer": 42})
run.progress(3, 4)
open("outputs/model.txt", "w").write("weights")
"""

RAW_RECORDS = """
import glob, json
run.log("loss", 1.0)
with open(glob.glob(os.environ["MLTRAIN_STREAMS"] + "/*.metrics")[0], "a") as stream:
    for record in (
        {"k": "tag", "key": 1, "value": {"not": "text"}, "t": 1.0},
        {"k": "property", "value": None, "t": 1.0},
        {"k": "progress", "value": True, "total": "many", "t": None},
        {"k": "progress", "label": 7, "value": 10**400, "total": 3, "t": 1.0},
        {"k": "progress", "label": 7, "value": %s, "total": float("inf"), "t": None},
    ):
        stream.write(json.dumps(record) + "\\n")
"""


BYTES = {
    "GET /v1/runs/{key}/log",
    "GET /v1/runs/{key}/file",
    "GET /v1/runs/{key}/snapshot",
    "GET /v1/environments/{name}/log",
    "GET /v1/endpoints/{name}/log",
}
ELSEWHERE = {
    "GET /v1/environments/{name}/dockerfile",  # of what a package index resolved
    # Load a real model: tests/engines/test_serving_real.py.
    "POST /v1/models/{name}/{version}/deploy",
    "POST /v1/models/{name}/{version}/smoke",
    "POST /v1/runs/{key}/smoke",
    "POST /v1/attached-targets",  # needs an engine beside this machine's own
}


@pytest.fixture
def documents(world: World) -> Documents:
    return Documents(world.connection.get("/openapi.json"))


@pytest.mark.slow
def test_every_route_answers_what_the_document_says(world: World, documents: Documents) -> None:
    """One life of a workspace; at its end no route may be left that was not held to the document."""
    ask = world.connection
    documents.holds("GET /v1/hello", ask.get("/v1/hello"))
    run = _runs(world, documents)
    _records(world, documents, run)
    _models(world, documents, run)
    _environments(world, documents)
    _datasets(world, documents)
    _datastores(world, documents)
    _targets(world, documents)
    _endpoints(world, documents)
    documents.holds("POST /v1/targets/{name}/prune", ask.post("/v1/targets/local/prune", {"dry_run": True}))
    documents.holds("POST /v1/prune", ask.post("/v1/prune", {"older_than": 0, "keep": 0}, timeout=60))
    documents.holds("GET /v1/doctor", ask.get("/v1/doctor", timeout=60))
    documents.holds("POST /v1/handover", ask.post("/v1/handover"))
    assert documents.operations - documents.seen == BYTES | ELSEWHERE


def _runs(world: World, documents: Documents) -> Submitted:
    """A run that completes, gives everything there is to give and is changed; its state at every stage."""
    ask = world.connection
    _, body = world.request("", tags={"of": "test"}, resources={"cpus": 1, "memory_gb": 2})
    documents.holds("POST /v1/plan", ask.post("/v1/plan", body))
    run, body = world.request(ALL_KINDS, tags={"of": "test"}, resources={"cpus": 1, "memory_gb": 2})
    state = ask.post("/v1/runs", body)
    documents.holds("POST /v1/runs", state)
    while state["status"] != "Completed":
        documents.holds("GET /v1/runs/{key}", state)
        state = ask.get(f"/v1/runs/{run.id}", after=state["revision"], wait=1)
    documents.holds("GET /v1/runs/{key}", state)
    assert state["progress"]["value"] == 3, "the run did not say what this test is about"
    changes = {"notes": "good", "pinned": True, "tags": {"a": "b"}}
    documents.holds("PATCH /v1/runs/{key}", ask.patch(f"/v1/runs/{run.id}", changes))
    documents.holds("POST /v1/runs/{key}/rerun", ask.post(f"/v1/runs/{run.id}/rerun", {}))
    documents.holds("GET /v1/runs/{key}/spec", ask.get(f"/v1/runs/{run.id}/spec"))
    documents.holds("GET /v1/runs", ask.get("/v1/runs"))
    documents.holds("GET /v1/usage", ask.get("/v1/usage"))
    documents.holds("GET /v1/experiments", ask.get("/v1/experiments"))
    own = {"run_id": "mine_1", "experiment": "mine", "kernel_python": sys.executable}
    documents.holds("POST /v1/notebook-runs", ask.post("/v1/notebook-runs", own))
    ask.post("/v1/runs/mine_1/cancel", {})
    stopped = world.submit(steady(10_000))
    world.wait_running(stopped)
    documents.holds("GET /v1/runs/{key}", world.state(stopped))
    _system(world, documents, stopped)
    documents.holds("POST /v1/runs/{key}/cancel", ask.post(f"/v1/runs/{stopped.id}/cancel", {"grace": 1}))
    world.wait(stopped)
    return run


def _system(world: World, documents: Documents, run: Submitted) -> None:
    path = f"/v1/runs/{run.id}/system"
    eventually(lambda: len(world.connection.get(path)["series"]) >= 2, "the run is not sampled")
    usage = world.connection.get(path)
    documents.holds("GET /v1/runs/{key}/system", usage)
    assert [one["name"] for one in usage["series"]] == ["cpu_percent", "memory_bytes"]
    answer = world.connection.get(f"{path}/series", name="memory_bytes")
    documents.holds("GET /v1/runs/{key}/system/series", answer)
    assert answer["values"][0] > 1e6
    assert [one["name"] for one in world.connection.get(f"/v1/runs/{run.id}/metrics")["series"]] == ["loss"]


def _records(world: World, documents: Documents, run: Submitted) -> None:
    def get(what: str, **asked: Any) -> None:
        documents.holds(
            f"GET /v1/runs/{{key}}/{what}", world.connection.get(f"/v1/runs/{run.id}/{what}", timeout=60, **asked)
        )

    get("metrics")
    get("ranks")
    get("values")
    get("logged")
    get("series", name="odd")
    get("series", name="not logged")
    get("logs")
    get("files")
    get("inspect", path="outputs/model.txt")


def _models(world: World, documents: Documents, run: Submitted) -> None:
    ask = world.connection
    request = {"name": "weights", "path": "outputs/model.txt", "tags": {"of": "test"}}
    documents.holds("POST /v1/runs/{key}/models", ask.post(f"/v1/runs/{run.id}/models", request, timeout=100))
    documents.holds("GET /v1/models", ask.get("/v1/models"))
    documents.holds("GET /v1/models/{name}", ask.get("/v1/models/weights"))
    documents.holds("GET /v1/models/{name}/{version}", ask.get("/v1/models/weights/1"))
    documents.holds("GET /v1/models/{name}/{version}/path", ask.get("/v1/models/weights/1/path"))
    listed = ask.get("/v1/models/weights/1/files")
    documents.holds("GET /v1/models/{name}/{version}/files", listed)
    assert [(one["path"], one["size"] > 0) for one in listed["files"]] == [("model.txt", True)]
    documents.holds("GET /v1/runs/{key}", world.state(run))
    changes = {"tags": {"a": "b"}, "properties": {"p": "q"}, "description": "d"}
    documents.holds("PATCH /v1/models/{name}/{version}", ask.patch("/v1/models/weights/1", changes))
    found = world.base / "found.txt"
    found.write_text("of no run")
    files = {"name": "found", "path": str(found), "resources": {"cpu": 1, "memory_gb": 0.5}}
    documents.holds("POST /v1/models", ask.post("/v1/models", files))
    documents.holds("DELETE /v1/models/{name}/{version}", ask.delete("/v1/models/found/1"))


def _environments(world: World, documents: Documents) -> None:
    ask = world.connection
    mine = {"name": "mine", "interpreter": sys.executable}
    documents.holds("POST /v1/environments", ask.post("/v1/environments", mine))
    ask.post("/v1/environments", {"name": "gone", "interpreter": "/no/such/python"})
    documents.holds("GET /v1/environments", ask.get("/v1/environments"))
    documents.holds("GET /v1/environments/{name}", ask.get("/v1/environments/mine"))
    documents.holds("GET /v1/environments/{name}", ask.get("/v1/environments/tensorflow"))
    documents.holds("GET /v1/environments/{name}/build", ask.get("/v1/environments/mine/build"))
    for name, end in (("mine", "ready"), ("gone", "failed")):
        documents.holds("POST /v1/environments/{name}/build", ask.post(f"/v1/environments/{name}/build"))
        built = eventually(
            lambda path=f"/v1/environments/{name}/build": (found := ask.get(path))["state"] != "building" and found,
            "still building",
        )
        assert built["state"] == end, built
        documents.holds("GET /v1/environments/{name}/build", built)
    documents.holds("POST /v1/environments/preview", ask.post("/v1/environments/preview", {**mine, "name": "next"}))
    documents.holds("POST /v1/environments/prune", ask.post("/v1/environments/prune", {}))
    documents.holds("DELETE /v1/environments/{name}", ask.delete("/v1/environments/gone"))


def _datasets(world: World, documents: Documents) -> None:
    ask = world.connection
    documents.holds("GET /v1/datasets", ask.get("/v1/datasets"))
    # As if it had been fetched: no network is asked for what this test is not about.
    (name, definition), *_ = READY_MADE.items()
    folder = folder_of(definition)
    folder.mkdir(parents=True)
    for file in definition.files:
        (folder / file.name).touch()
    documents.holds("POST /v1/datasets/{name}/fetch", ask.post(f"/v1/datasets/{name}/fetch"))
    (world.base / "rows.csv").write_text("a,b\n1,2\n")
    rows = {"name": "rows", "sources": [str(world.base / "rows.csv")], "tags": {"of": "test"}}
    documents.holds("POST /v1/datasets", ask.post("/v1/datasets", rows))
    for one in (name, "rows"):
        documents.holds("GET /v1/datasets/{name}", ask.get(f"/v1/datasets/{one}"))
        documents.holds("GET /v1/datasets/{name}/fetch", ask.get(f"/v1/datasets/{one}/fetch"))
    documents.holds("GET /v1/datasets/{name}/paths", ask.get("/v1/datasets/rows/paths"))
    documents.holds("POST /v1/datasets/{name}/fetch", ask.post("/v1/datasets/rows/fetch"))
    documents.holds("GET /v1/datasets", ask.get("/v1/datasets"))
    documents.holds("POST /v1/datasets/{name}/remove", ask.post("/v1/datasets/rows/remove", {"what": "definition"}))


def _datastores(world: World, documents: Documents) -> None:
    ask = world.connection
    (world.base / "store").mkdir()
    made = ask.post("/v1/datastores", {"name": "shelf", "url": (world.base / "store").as_uri()})
    documents.holds("POST /v1/datastores", made)
    documents.holds("GET /v1/datastores", ask.get("/v1/datastores"))
    documents.holds("GET /v1/datastores/{name}", ask.get("/v1/datastores/shelf"))
    lent = ask.post("/v1/datastores/shelf/values", {"values": {"NAME": "value"}})
    documents.holds("POST /v1/datastores/{name}/values", lent)
    files = [[str(world.base / "rows.csv"), "in/rows.csv"]]
    documents.holds("POST /v1/datastores/{name}/upload", ask.post("/v1/datastores/shelf/upload", {"files": files}))
    documents.holds("POST /v1/datastores/{name}/remove", ask.post("/v1/datastores/shelf/remove"))


def _targets(world: World, documents: Documents) -> None:
    ask = world.connection
    sizes = ask.get("/v1/sizes")
    documents.holds("GET /v1/sizes", sizes)
    pool = {"name": "pool", "size": sizes["sizes"][0]["name"], "max_nodes": 1}
    documents.holds("POST /v1/targets", ask.post("/v1/targets", pool))
    documents.holds("GET /v1/targets", ask.get("/v1/targets"))
    documents.holds("GET /v1/targets/{name}", ask.get("/v1/targets/pool"))
    documents.holds("PATCH /v1/targets/{name}", ask.patch("/v1/targets/pool", {"description": "d"}))
    documents.holds("DELETE /v1/targets/{name}", ask.delete("/v1/targets/pool"))


def _endpoints(world: World, documents: Documents) -> None:
    """One with an entry script: before, while and after it is there."""
    ask = world.connection
    folder = world.base / "scoring"
    folder.mkdir()
    (folder / "score.py").write_text("def init():\n    pass\n\ndef run(raw):\n    return raw\n")
    script = {"entry_script": "score.py", "source_directory": str(folder), "environment": "current"}
    limits = {"kind": "Local", "memory_gb": 0.1}
    body = {"name": "scorer", "inference": script, "deployment": limits, "kernel_python": sys.executable}
    documents.holds("POST /v1/endpoints/plan", ask.post("/v1/endpoints/plan", body))
    plan = "/v1/models/weights/1/deployment-plan"
    documents.holds("POST /v1/models/{name}/{version}/deployment-plan", ask.post(plan, {"name": "weights"}))
    state = ask.post("/v1/endpoints", body)
    documents.holds("POST /v1/endpoints", state)
    while state["phase"] != "running":
        documents.holds("GET /v1/endpoints/{name}", state)
        assert state["phase"] != "failed", state["failure"]
        state = ask.get("/v1/endpoints/scorer", after=state["news"], wait=1)
    documents.holds("GET /v1/endpoints/{name}", state)
    documents.holds("GET /v1/endpoints", ask.get("/v1/endpoints"))
    documents.holds("POST /v1/endpoints/{name}/test", ask.post("/v1/endpoints/scorer/test", {"body": {}}))
    documents.holds("GET /v1/endpoints/{name}/latency", ask.get("/v1/endpoints/scorer/latency"))
    documents.holds("GET /v1/endpoints/{name}/keys", ask.get("/v1/endpoints/scorer/keys"))
    documents.holds("POST /v1/endpoints/{name}/keys", ask.post("/v1/endpoints/scorer/keys", {"key": "primary"}))
    documents.holds("PATCH /v1/endpoints/{name}", ask.patch("/v1/endpoints/scorer", {"description": "d"}))
    (folder / "score.py").write_text("1 / 0\n")
    state = ask.post("/v1/endpoints/scorer/reload")
    documents.holds("POST /v1/endpoints/{name}/reload", state)
    failed = eventually(lambda: ask.get("/v1/endpoints/scorer")["failure"], "it does not fail")
    assert failed["revision"] == 2
    documents.holds("GET /v1/endpoints/{name}", ask.get("/v1/endpoints/scorer"))
    documents.holds("DELETE /v1/endpoints/{name}", ask.delete("/v1/endpoints/scorer"))


@pytest.mark.parametrize("value", ["5", "float('nan')", "'text'"])
def test_what_a_script_writes_past_the_run_client_does_not_break_the_document(
    world: World, documents: Documents, value: str
) -> None:
    run = world.submit(RAW_RECORDS % value)
    state = world.wait(run)
    assert state["status"] == "Completed", world.connection.bytes(f"/v1/runs/{run.id}/log")[0].decode()
    documents.holds("GET /v1/runs/{key}", state)
    assert state["tags"] == {"1": "{'not': 'text'}"}
    assert state["progress"] == ({"label": "7", "value": 5, "total": None, "eta": None} if value == "5" else None)


def test_a_failure_and_what_is_refused(world: World, documents: Documents) -> None:
    ask = world.connection
    run = world.submit("raise ValueError('no')")
    state = world.wait(run)
    assert state["failure"] is not None
    documents.holds("GET /v1/runs/{key}", state)
    for question in (
        lambda: ask.get("/v1/runs/nobody"),
        lambda: ask.post(f"/v1/runs/{run.id}/cancel", {}),
        lambda: ask.post("/v1/runs", {"experiment": "x", "unknown": 1}),
        lambda: ask.get(f"/v1/runs/{run.id}/series", name="x", points=1),
    ):
        with pytest.raises(MLTrainError) as refused:
            question()
        documents.is_a("WireError", refused.value.to_wire())


def test_what_a_notebook_saves(world: World, documents: Documents) -> None:
    run = world.submit(ALL_KINDS + "print('said')")
    saved = payload(world.wait(run), world.connection)
    assert saved["series"]
    assert saved["log"]
    documents.is_a("SavedRun", saved)


def test_the_document_is_no_sieve(documents: Documents) -> None:
    """What this file relies on: a key too few, one too many and a wrong type are each told."""
    good = {"name": "weights", "version": 1}
    documents.is_a("ModelName", good)
    for bad in ({"name": "weights"}, {**good, "more": 1}, {**good, "version": "1"}):
        with pytest.raises(AssertionError, match="ModelName"):
            documents.is_a("ModelName", bad)
