"""Trying a model or an endpoint: a request passed on, its log read, a prediction before there is an endpoint at all."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from jupyter_mltrain.core import wire_endpoints as wire
from jupyter_mltrain.core.deployment import MEMORY_FLOOR_GB, SCRIPT_FLOOR_GB, SERVABLE, check_service_name
from jupyter_mltrain.core.target import LOCAL
from jupyter_mltrain.deployments import smoke as smoke_process
from jupyter_mltrain.errors import MLTrainError, WebserviceException
from jupyter_mltrain.service import deploying
from jupyter_mltrain.service.endpoint_keys import read_keys
from jupyter_mltrain.service.endpoint_state import score_path
from jupyter_mltrain.service.endpoints import SMOKE, Held
from jupyter_mltrain.service.long_work import in_thread
from jupyter_mltrain.service.serving import server_packages
from jupyter_mltrain.service.wire_endpoints import (
    EndpointRequest,
    ModelReference,
    OutputSmokeRequest,
    SmokeRequest,
    TestRequest,
)
from jupyter_mltrain.tracking import content

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service

_ASK_SECONDS = 60.0
_MOST_ANSWER = 4 << 20
_LOOK_SECONDS = 0.2


async def read_log(path: Path, offset: int, limit: int, wait: float) -> tuple[bytes, int]:
    """Bytes of a log from `offset` (negative: from its end) and where they begin; waits for the first new one. A log that
    was begun anew is read from its beginning."""
    deadline = time.monotonic() + wait
    while True:
        data, start = await asyncio.to_thread(_read, path, offset, limit)
        if data or time.monotonic() >= deadline:
            return data, start
        await asyncio.sleep(_LOOK_SECONDS)


def _read(path: Path, offset: int, limit: int) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            start = max(0, size + offset) if offset < 0 else offset if offset <= size else 0
            file.seek(start)
            return file.read(limit), start
    except FileNotFoundError:
        return b"", 0


async def ask(held: Held, request: TestRequest) -> wire.EndpointAnswer:
    """What the endpoint answers. Raises `WebserviceException` if it does not."""
    port = held.seen.port
    if port is None or held.seen.serving is None:
        raise WebserviceException(f"The endpoint {held.name!r} does not answer now.", mend="Its log says more.")
    if not request.path.startswith("/") or "\n" in request.path or " " in request.path:
        raise WebserviceException(f"{request.path[:60]!r} is no path of an endpoint.", mend="Write /score.")
    return await in_thread(lambda _: _ask(held, request, port))


def _ask(held: Held, request: TestRequest, port: int) -> wire.EndpointAnswer:
    path = score_path(held.seen.about or {}) if request.path == "/score" else request.path
    posts = path == "/score" or path.endswith(":predict")
    body = request.text if request.text is not None else json.dumps(request.body)
    headers = {"Authorization": f"Bearer {read_keys(held.place)['primary']}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ASK_SECONDS)
    began = time.perf_counter()
    try:
        connection.request("POST" if posts else "GET", path, body.encode() if posts else None, headers)
        response = connection.getresponse()
        data = response.read(_MOST_ANSWER + 1)
    except OSError as error:
        raise WebserviceException(
            f"The endpoint {held.name!r} did not answer: {type(error).__name__}.", mend="Its log says more."
        ) from error
    finally:
        connection.close()
    milliseconds = round((time.perf_counter() - began) * 1000, 3)
    if len(data) > _MOST_ANSWER:
        raise WebserviceException(
            f"The answer is larger than {_MOST_ANSWER >> 20} MiB.", mend="Ask it yourself, with curl."
        )
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(ValueError):
        return {"status": response.status, "milliseconds": milliseconds, "body": json.loads(text)}
    return {"status": response.status, "milliseconds": milliseconds, "body": text}


async def plan(service: Service, request: EndpointRequest) -> wire.EndpointPlan:
    """What a deployment would do; what stands in its way is told, not raised."""
    script = request.inference is not None
    found: wire.EndpointPlan = {
        "name": request.name, "exists": False, "models": [], "environment": "", "environment_state": "",
        "memory_gb": None, "memory_floor_gb": SCRIPT_FLOOR_GB if script else MEMORY_FLOOR_GB["TensorFlow"], "cpu": None,
        "substitutions": [], "signatures": None, "servable": script, "problem": "", "deploy": _cell(request),
    }  # fmt: skip
    try:
        check_service_name(request.name)
        found["exists"] = request.name in {held.name for held in service.endpoints.all()}
        tracking = service.publication.tracking
        entries: list[dict[str, Any]] = [dict(await tracking.get(each.name, each.version)) for each in request.models]
        found["models"] = [
            {"id": f"{e['name']}:{e['version']}", "name": e["name"], "version": e["version"], "format": e["format"]}
            for e in entries
        ]
        if len(entries) == 1:
            found["signatures"] = entries[0].get("signature")
            found["servable"] = script or entries[0]["format"] in SERVABLE
        spec = await deploying.make_spec(service, request, 1, None)
        found["environment"] = spec.environment
        if spec.target == LOCAL:  # elsewhere its engine knows
            state = await asyncio.to_thread(
                service.environments.state, spec.environment, kernel_python=request.kernel_python
            )
            found["environment_state"] = state.state
        found["memory_gb"], found["cpu"] = spec.memory_gb, spec.cpu
        found["substitutions"] = [cast("Any", vars(each)) for each in spec.substitutions]
    except MLTrainError as error:
        found["problem"] = f"{error.message} {error.mend}".strip()
    return found


def _cell(request: EndpointRequest) -> str:
    models = ", ".join(f'"{m.name}:{m.version}"' if m.version else f'"{m.name}"' for m in request.models)
    asked = request.deployment
    given = {
        "cpu_cores": asked.cpu, "memory_gb": asked.memory_gb, "auth_enabled": asked.auth_enabled, "port": asked.port,
        "image": asked.image,
    }  # fmt: skip
    options = ", ".join(f"{key}={value!r}" for key, value in given.items() if value is not None)
    config = f", deployment_config=AciWebservice.deploy_configuration({options})" if options else ""
    config += f', deployment_target="{asked.target}"' if asked.target != LOCAL else ""
    config += ", overwrite=True" if request.overwrite else ""
    names = "AciWebservice, Model, Workspace" if options else "Model, Workspace"
    return (
        f"from jupyter_mltrain import {names}\n\nws = Workspace.from_config()\n"
        f'service = Model.deploy(ws, "{request.name}", [{models}]{config})\nservice.wait_for_deployment(show_output=True)'
    )


async def smoke(service: Service, name: str, version: int, request: SmokeRequest) -> wire.SmokePrediction:
    """Load the version and predict once. Raises `ModelNotFound`, `WebserviceException` for what cannot be served as it is,
    and what preparing the environment raises; what the model does is in the answer."""
    entries = await deploying.find_models(service, [ModelReference(name=name, version=version)], script=False)
    files = await service.publication.tracking.path(name, version)
    environment = request.environment or await deploying.environment_for(service, entries)
    return await _predict(service, files, entries[0]["format"], environment, request.sample)


async def smoke_output(service: Service, key: str, request: OutputSmokeRequest) -> wire.SmokePrediction:
    """The same with what a run left, before it is registered. Raises `RunNotFound`, `PathNotFound`, and like `smoke`."""
    record = await service.record(key)
    about = await service.publication.tracking.inspect(record.folder, request.path)
    if about["format"] not in SERVABLE:
        raise WebserviceException(
            f"{about['path']} is in no format that is served as it is (it is {about['format']!r}).",
            mend="Save a SavedModel (`model.export(path)`) or a .keras file.",
        )
    _, files = await asyncio.to_thread(content.find, record.folder, request.path)
    environment = await deploying.environment_for(service, [{"run_id": record.id}])
    return await _predict(service, files, about["format"], environment, request.sample)


async def _predict(service: Service, files: Path, kind: str, environment: str, sample: Any) -> wire.SmokePrediction:
    folder = service.endpoints.folder / SMOKE
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=folder))

    def work(stop: threading.Event) -> dict[str, Any]:
        ready = service.environments.prepare(environment, log=lambda _: None, cancelled=stop)
        overlay = server_packages(service.environments, ready, lambda _: None)
        return smoke_process.predict(
            scratch, python=ready.prepared.python, overlay=overlay, variables=ready.prepared.variables, files=files,
            kind=kind, sample=sample,
        )  # fmt: skip

    try:
        found: Any = await in_thread(work)
    finally:
        await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
    return found
