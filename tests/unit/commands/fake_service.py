"""A service in memory: what the commands ask of a `Connection`, answered from dictionaries. Tests drive its runs."""

from __future__ import annotations

import threading
import time
from typing import Any
from urllib.parse import unquote

from jupyter_mltrain._version import __version__
from jupyter_mltrain.core.status import STAGES, Status
from jupyter_mltrain.errors import (
    ConflictError,
    DatasetNotFound,
    EnvironmentNotFound,
    ModelNotFound,
    PathNotFound,
    RunNotFound,
)

WORKSPACE = "7b0f4a52-0000-4000-8000-000000000000"


INSTEAD = {"kind": "package", "asked": "azureml-defaults", "given": "left out", "reason": "runs bring <b>"}


class FakeConnection:
    """`get`, `post`, `patch`, `bytes` as `client.connection.Connection` has them; `requests` is what was asked."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.logs: dict[tuple[str, str], bytearray] = {}
        self.files: dict[str, list[str]] = {}
        self.models: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str, Any]] = []
        self.environments = ["tensorflow", "tensorflow-horovod"]
        self.fail: Exception | None = None
        self.script: list[tuple[str, bytes]] = []
        self.built: dict[str, Any] = {
            "state": "ready",
            "cached": False,
            "seconds": 5.2,
            "python": "/envs/x y/bin/python",
        }
        self.nodes: list[dict[str, Any]] = []
        self.samples: list[dict[str, Any]] = []
        self.pruned: list[dict[str, Any]] = []
        self.build_log = b"Resolving\nInstalled 40 packages\n"
        self.source = "npm"
        self.facts: dict[str, Any] = {
            "service": {"version": __version__, "protocol": 1, "python": "/usr/bin/python3", "pid": 7},
            "workspace": {"root": "/w", "id": WORKSPACE, "free_bytes": 1},
            "cache": "/cache",
            "targets": {"local": {"ok": True, "slots": 1, "cpus": 2, "memory_gb": 8.0, "gpus": ["NVIDIA A <x>"]}},
            "index": {"reachable": True},
        }
        self.problems: list[dict[str, str]] = []
        self._changed = threading.Condition()

    # what a test does

    def advance(self, run_id: str, status: str, **changes: Any) -> dict[str, Any]:
        with self._changed:
            state = self.runs[run_id]
            now = Status(status)
            reached = STAGES.index(now) if now in STAGES else len(STAGES)
            for index, stage in enumerate(state["stages"]):
                stage["state"] = "done" if index < reached else "active" if index == reached else "pending"
            state.update(status=status, revision=state["revision"] + 1, recorded=time.time(), **changes)
            if now.terminal:
                state["ended"] = time.time()
            self._changed.notify_all()
            return state

    def write(self, run_id: str, data: bytes, name: str = "user_logs/std_log.txt") -> None:
        with self._changed:
            self.logs.setdefault((run_id, name), bytearray()).extend(data)
            self._changed.notify_all()

    # what a Connection does

    def get(self, path: str, *, timeout: float = 30, **params: Any) -> dict[str, Any]:  # noqa: C901 - a list of routes
        self.requests.append(("GET", path, params))
        if self.fail is not None:
            raise self.fail
        match path.split("/")[2:]:
            case ["hello"]:
                return {
                    "version": "0",
                    "protocol": 1,
                    "pid": 1,
                    "started": 0.0,
                    "python": "/usr/bin/python3",
                    "workspace": {"id": WORKSPACE, "name": "w", "root": "/w"},
                }
            case ["usage"]:
                return {"runs": 1_500_000, "snapshots": 500_000}
            case ["runs"]:
                found = [dict(r) for r in reversed(self.runs.values()) if params.get("status") in {None, r["status"]}]
                return {"runs": found[: params.get("limit") or 100], "total": len(found)}
            case ["runs", key]:
                return self._wait(key, params.get("after"), params.get("wait") or 0)
            case ["runs", key, "logs"]:
                run = self._run(key)["id"]
                return {
                    "logs": [{"name": n, "size": len(d), "rank": 0} for (r, n), d in self.logs.items() if r == run],
                    "complete": True,
                }
            case ["runs", key, "files"]:
                return {
                    "files": [{"path": p, "size": 1, "modified": 0} for p in self.files.get(self._run(key)["id"], [])]
                }
            case ["runs", _, "system"]:
                return {"nodes": self.nodes, "series": self.samples}
            case ["runs", _, "system", "series"]:
                return {"name": params["name"], "rank": 0, "total": 1, "steps": [0], "times": [1.5], "values": [50.0]}
            case ["runs", _, "series"]:
                return {"name": params["name"], "total": 2, "steps": [0, 1], "times": [0.0, 1.0], "values": [0.5, 0.25]}
            case ["models"]:
                return {"models": self.models}
            case ["environments"]:
                return {"environments": [self._environment(name) for name in [*self.environments, "current"]]}
            case ["environments", name]:
                return self._environment(unquote(name))
            case ["environments", _, "build"]:
                return self.built
            case ["environments", _, "dockerfile"]:
                return {"dockerfile": "FROM python\n", "files": {}}
            case ["datasets"]:
                return {"datasets": [self._dataset("mnist"), {**self._dataset("fashion-mnist"), "cached": True}]}
            case ["datasets", name]:
                return self._dataset(unquote(name))
            case ["datasets", name, "paths"]:
                return {"paths": [f"part-{i:02}.csv" for i in range(25)]}
            case ["datasets", name, "fetch"]:
                return {"state": "fetching", "source": "npm", "done": 0, "total": 0}
            case ["doctor"]:
                return {"facts": self.facts, "problems": self.problems}
            case ["models", name]:
                found = [m for m in self.models if m["name"] == name]
                if not found:
                    raise ModelNotFound.of(name, [m["name"] for m in self.models])
                return {"models": found}
            case _:
                raise AssertionError(f"GET {path}")

    def post(self, path: str, body: Any = None, *, timeout: float = 60, **params: Any) -> dict[str, Any]:  # noqa: C901 - a table of routes
        self.requests.append(("POST", path, body))
        if self.fail is not None:
            raise self.fail
        match path.split("/")[2:]:
            case ["runs"]:
                return self._submit(body)
            case ["plan"]:
                return {
                    "plan": {
                        "engine": "local",
                        "ranks": [{"argv": ["<python of tensorflow>", body["script"], *body["arguments"]]}],
                    },
                    "environment": {
                        "name": "tensorflow",
                        "version": 3,
                        "state": "to build",
                        "cached": False,
                        "key": "",
                    },
                    "snapshot": {"files": 1, "bytes": 120, "ignored": 0, "secrets": [".env"]},
                    "notices": ["One file looks like a secret."],
                }
            case ["environments", name, "build"]:
                self._environment(unquote(name))
                return {"state": "building"}
            case ["environments", "prune"]:
                return {"removed": self.pruned, "bytes": sum(one["bytes"] for one in self.pruned)}
            case ["environments"]:
                return {"version": 1, **body, "substitutions": [INSTEAD] if "azureml-defaults" in body["pip"] else []}
            case ["datasets", name, "fetch"]:
                if not name.startswith("mnist"):
                    raise DatasetNotFound.of(name, ["mnist"])
                return {
                    "source": self.source, "bytes": 11_600_000, "seconds": 3.21, "path": "/cache/mnist", "changed": [],
                }  # fmt: skip
            case ["datasets"]:
                return {**self._dataset(body["name"]), "sources": body["sources"]}
            case ["datasets", _, "remove"]:
                return {"bytes": 11_600_000 if body["what"] == "cache" else 0}
            case ["runs", key, "cancel"]:
                run = self._run(key)
                if Status(run["status"]).terminal:
                    raise ConflictError(f"{run['display_name']} is {run['status']} already: nothing to cancel.")
                return dict(self.advance(run["id"], "CancelRequested"))
            case ["runs", key, "models"]:
                run = self._run(key)
                version = {
                    "name": body["name"], "version": len(self.models) + 1, "id": f"{body['name']}:{len(self.models) + 1}", "run_id": run["id"],
                    "path": body["path"], "created": 0.0, "tags": body["tags"], "framework": "TensorFlow", "framework_version": "2.21",
                    "metrics": {"val_accuracy": 0.97512}, "same_as": None,
                }  # fmt: skip
                self.models.append(version)
                return version
            case _:
                raise AssertionError(f"POST {path}")

    def delete(self, path: str, *, timeout: float = 60, **params: Any) -> dict[str, Any]:
        self.requests.append(("DELETE", path, params))
        name = unquote(path.rpartition("/")[2])
        return {"removed": [f"{self._environment(name)['name']}:{v}" for v in (1, 2)]}

    def patch(self, path: str, body: Any, *, timeout: float = 30) -> dict[str, Any]:
        raise AssertionError(f"PATCH {path}")

    def bytes(self, path: str, *, timeout: float = 60, **params: Any) -> tuple[bytes, dict[str, str]]:
        self.requests.append(("GET", path, params))
        if self.fail is not None:
            raise self.fail
        if path.startswith("/v1/environments/"):
            offset = params["offset"]
            data = self.build_log[offset : offset + 7]
            at = offset + len(data)
            return data, {"x-next-offset": str(at), "x-complete": str(int(at >= len(self.build_log)))}
        run, name, offset = self._run(path.split("/")[3]), params["name"], params["offset"]
        deadline = time.monotonic() + min(params.get("wait") or 0, 0.05)
        with self._changed:
            while True:
                ended = Status(run["status"]).terminal
                data = self.logs.get((run["id"], name))
                if data is None and ended:
                    raise PathNotFound.of(name, [n for r, n in self.logs if r == run["id"]])
                data = data or bytearray()
                start = max(0, len(data) + offset) if offset < 0 else offset
                piece = bytes(data[start : start + params["limit"]])
                left = deadline - time.monotonic()
                if piece or ended or left <= 0:
                    at = start + len(piece)
                    complete = str(int(ended and at >= len(data)))
                    return piece, {"x-offset": str(start), "x-next-offset": str(at), "x-complete": complete}
                self._changed.wait(left)

    def _wait(self, key: str, after: int | None, wait: float) -> dict[str, Any]:
        run = self._run(key)
        with self._changed:
            if after is not None:
                self._changed.wait_for(lambda: run["revision"] > after, timeout=min(wait, 0.05))
            return {**run, "stages": [dict(s) for s in run["stages"]]}

    def _run(self, key: str) -> dict[str, Any]:
        if key == "latest" and self.runs:
            return list(self.runs.values())[-1]
        for run in self.runs.values():
            if key in {run["id"], run["display_name"]}:
                return run
        raise RunNotFound.of(key, [r["display_name"] for r in self.runs.values()])

    def _dataset(self, reference: str) -> dict[str, Any]:
        name, _, version = reference.partition(":")
        if not name.startswith(("mnist", "fashion-mnist", "own")):
            raise DatasetNotFound.of(name, ["mnist"])
        return {
            "name": name, "version": int(version or 1), "id": "d1", "kind": "registered", "description": "Digits <b>",
            "tags": {"by": "me"}, "key": "sha256:ab12", "files": 2, "bytes": 11_600_000, "cached": False,
            "sources": ["http://h/a", "http://h/b", "http://h/c", "http://h/d"], "created": 0.0, "versions": [1, 2],
            "selection": [{"kind": "split", "share": 0.8, "seed": 7, "part": 0}], "path": None, "cached_bytes": 0,
            "substitutions": [{"kind": "data", "asked": "http://old", "given": "tiny", "reason": "it is gone"}],
        }  # fmt: skip

    def _environment(self, reference: str) -> dict[str, Any]:
        name = reference.partition(":")[0]
        if name not in [*self.environments, "current"]:
            raise EnvironmentNotFound.of(name, self.environments)
        state = "" if name == "current" else "to build"
        return {
            "name": name, "version": None if name == "current" else 3, "state": state, "key": "ab" * 20, "python": ">=3.10", "packages": ["numpy==2.0"],
            "description": "TF <i>", "pip": ["tensorflow-cpu>=2.20"], "pip_gpu": [], "environment_variables": {"TF_CPP_MIN_LOG_LEVEL": "1"},
        }  # fmt: skip

    def _submit(self, body: dict[str, Any]) -> dict[str, Any]:
        wanted = (body["environment"] or "tensorflow").partition(":")[0]
        if wanted not in [*self.environments, "current"]:
            raise EnvironmentNotFound.of(wanted, self.environments)
        number = len(self.runs) + 1
        state = {
            "id": body["run_id"], "number": number, "experiment": body["experiment"], "display_name": f"brave-otter-{number}",
            "status": "NotStarted", "revision": 1, "created": 1_760_000_000.0, "started": 1_760_000_001.0, "ended": None, "duration": 42.0,
            "target": body["target"] or "local", "environment": {"name": wanted, "version": 3, "key": "k"},
            "data": [{"name": d["name"], "version": d["version"]} for d in body["data"]], "arguments": body["arguments"], "command": None,
            "script": body["script"], "stages": [{"name": s.value, "state": "pending", "started": None, "ended": None, "note": ""} for s in STAGES],
            "history": [], "progress": None, "failure": None, "tracking": {"state": "pending", "pending": 0, "message": ""}, "metrics": [],
            "metric_points": 0, "substitutions": [], "tags": body["tags"], "notes": "", "pinned": False, "git": {}, "resources": body["resources"],
            "snapshot": {"files": 1, "bytes": 10, "digest": "d"}, "outputs": {"files": 2, "bytes": 2048}, "models": [], "queue_position": None,
            "notices": [], "workspace": {"id": WORKSPACE, "name": "w"}, "recorded": time.time(), "properties": {}, "rerun_of": None,
        }  # fmt: skip
        self.runs[state["id"]] = state
        for status, data in self.script:
            if data:
                self.write(state["id"], data)
            failure = (
                {"title": "exit code 3", "evidence": [], "traceback": None, "rank": 0, "mend": ""}
                if status == "Failed"
                else None
            )
            self.advance(state["id"], status, failure=failure)
        return {**state, "stages": [dict(s) for s in state["stages"]]}
