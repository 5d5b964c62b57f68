"""The document of an endpoint: its state in the SDK's words and in ours, and the snippets that ask it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from jupyter_mltrain.core import wire_endpoints as wire
from jupyter_mltrain.core.deployment import EndpointSpec
from jupyter_mltrain.core.target import LOCAL

if TYPE_CHECKING:
    from jupyter_mltrain.service.endpoints import Held
    from jupyter_mltrain.service.service import Service

_STATES = {
    "ACI": {
        "deploying": "Transitioning", "running": "Healthy", "restarting": "Unhealthy", "failed": "Failed",
        "stopped": "Failed", "unknown": "Unhealthy",
    },
    "Local": {"deploying": "deploying", "running": "running", "restarting": "deploying", "failed": "failed",
              "stopped": "unknown", "unknown": "unknown"},
}  # fmt: skip
_PIXELS = (28, 28)


def phase_of(held: Held) -> wire.EndpointPhase:
    record, seen = held.record, held.seen
    if record["problem"] is not None and seen.serving is None:
        return "failed"
    if record["preparing"] is not None or (record["problem"] is None and seen.handled != record["applied"]):
        return "deploying" if seen.serving is None or seen.state != "restarting" else "restarting"
    if seen.state in ("running", "restarting", "failed", "stopped"):
        return cast("wire.EndpointPhase", seen.state)
    return "unknown" if seen.serving is None else "running"


def endpoint_state(service: Service, held: Held) -> wire.Endpoint:
    """What a client is told of the endpoint."""
    record, spec, seen = held.record, held.spec, held.seen
    phase = phase_of(held)
    port = seen.port or spec.port
    url = f"http://localhost:{port}" if port and (seen.serving is not None or phase == "deploying") else None
    about: dict[str, Any] = dict(seen.about or {})
    signatures = about.get("signatures")
    keys = json.loads(held.place.keys.read_text("utf-8"))
    image = image_of(signatures, about.get("default"))
    return {
        "name": held.name,
        "kind": record["kind"],
        "state": _STATES[record["kind"]][phase],
        "phase": phase,
        "step": record["preparing"]["step"] if record["preparing"] else "starting" if phase == "deploying" else "",
        "revision": record["revision"],
        "serving": seen.serving,
        "models": [{"id": m.id, "name": m.name, "version": m.version, "format": m.format} for m in spec.models],
        "entry_script": spec.entry_script,
        "environment": spec.environment,
        "framework": about.get("framework") or "",
        "url": url,
        "scoring_uri": f"{url}{score_path(about)}" if url else None,
        "swagger_uri": f"{url}/swagger.json" if url and spec.image is None else None,
        "port": port,
        "auth_enabled": keys["required"],
        "cpu": spec.cpu,
        "memory_gb": spec.memory_gb,
        "memory_bytes": seen.memory,
        "created": record["created"],
        "updated": record["updated"],
        "since": seen.since if seen.serving is not None else None,
        "restarts": seen.restarts,
        "failure": _failure(record, seen.failure, seen.serving),
        "substitutions": [cast("Any", vars(each)) for each in spec.substitutions],
        "notices": [*spec.notices, *_where(spec)],
        "description": record["description"],
        "tags": record["tags"],
        "properties": record["properties"],
        "signatures": signatures,
        "default_signature": about.get("default"),
        "image": image,
        "snippets": _snippets(held.name, spec, url, keys["required"], about),
        "news": held.news,
        "workspace": {"id": service.config.id, "name": service.config.name},
        "recorded": time.time(),
    }


def _where(spec: EndpointSpec) -> list[str]:
    if spec.target == LOCAL:
        return []
    whose = f", with the server of {spec.image}" if spec.image else ""
    return [f"Runs in a container on the target {spec.target}{whose}."]


def score_path(about: Mapping[str, Any]) -> str:
    """Where requests go: an image's own server has a path of its own for that."""
    return str(about.get("score") or "/score")


def _failure(record: dict[str, Any], seen: Any, serving: int | None) -> wire.EndpointFailure | None:
    problem = record["problem"]
    if problem is not None:
        evidence = [str(value)[:4000] for value in problem.get("details", {}).values() if value]
        return {
            "title": problem["message"], "evidence": evidence, "traceback": None, "mend": problem["mend"],
            "revision": problem.get("revision"),
        }  # fmt: skip
    if seen is None:
        return None
    return {
        "title": seen["title"],
        "evidence": list(seen.get("evidence", ())),
        "traceback": seen.get("traceback"),
        "mend": seen.get("mend", ""),
        "revision": seen.get("revision", serving),
    }


def image_of(signatures: Any, default: str | None) -> wire.EndpointImage | None:
    """The one input of the signature, if it holds grey images of 28×28."""
    if not signatures or default not in signatures:
        return None
    inputs = signatures[default]["inputs"]
    if len(inputs) != 1:
        return None
    [(name, tensor)] = inputs.items()
    shape = (tensor["shape"] or [])[1:]
    height, width = _PIXELS
    if tensor["dtype"] not in ("float32", "float64", "float16", "uint8", "int32") or None in shape:
        return None
    if [each for each in shape if each != 1] not in ([height, width], [height * width]):
        return None
    return {"input": name, "height": height, "width": width, "shape": shape, "dtype": tensor["dtype"]}


def _snippets(
    name: str, spec: EndpointSpec, url: str | None, auth: bool, about: dict[str, Any]
) -> wire.EndpointSnippets:
    signatures, default = about.get("signatures"), about.get("default")
    address = f"{url or 'http://localhost:PORT'}{score_path(about)}"
    sample = _sample(signatures, default)
    body = json.dumps({"instances": [sample]}) if spec.entry_script is None else '{"data": [[0, 1, 2]]}'
    shown = body if len(body) <= 300 else '{"instances": [SAMPLE]}'
    key = " -H 'Authorization: Bearer KEY'" if auth else ""
    headers = ', headers={"Authorization": "Bearer KEY"}' if auth else ""
    value = _expression(signatures, default) if spec.entry_script is None else '{"data": [[0, 1, 2]]}'
    serve = ""
    if spec.entry_script is None and spec.models and spec.models[0].format == "SavedModel":
        model = spec.models[0]
        folder = (
            f".mltrain/endpoints/{name}/revisions/{spec.revision}/app/azureml-models"
            f"/{model.name}/{model.version}/{model.basename}"
        )
        serve = (
            f'docker run --rm -p 8501:8501 -v "$PWD/{folder}:/models/{model.name}/{model.version}:ro"'
            f" -e MODEL_NAME={model.name} tensorflow/serving"
        )
    models = ", ".join(f'"{model.id}"' for model in spec.models)
    models += f'], deployment_target="{spec.target}"' if spec.target != LOCAL else "]"
    return {
        "curl": f"curl -s{key} -H 'Content-Type: application/json' -d '{shown}' {address}",
        "python": f'import requests\n\nrequests.post("{address}", json={value}{headers}).json()',
        "serve": serve,
        "deploy": (
            f"from jupyter_mltrain import Model, Workspace\n\nws = Workspace.from_config()\n"
            f'service = Model.deploy(ws, "{name}", [{models}, overwrite=True)\nservice.wait_for_deployment(show_output=True)'
        ),
    }


def _sample(signatures: Any, default: str | None) -> Any:
    if not signatures or default not in signatures:
        return 0
    inputs = {name: _zeros(tensor) for name, tensor in signatures[default]["inputs"].items()}
    return next(iter(inputs.values())) if len(inputs) == 1 else inputs


def _zeros(tensor: Any) -> Any:
    value: Any = "" if tensor["dtype"] == "string" else False if tensor["dtype"] == "bool" else 0
    for size in reversed((tensor["shape"] or [])[1:]):
        value = [value] * (size or 1)
    return value


def _expression(signatures: Any, default: str | None) -> str:
    """The body as Python that a person would write: `[0.0] * 784`, not 784 zeros."""
    if not signatures or default not in signatures:
        return '{"instances": [SAMPLE]}'

    def of(tensor: Any) -> str:
        text = {"string": '""', "bool": "False"}.get(tensor["dtype"], "0.0")
        for size in reversed((tensor["shape"] or [])[1:]):
            text = f"[{text}] * {size or 1}"
        return text

    inputs = {name: of(tensor) for name, tensor in signatures[default]["inputs"].items()}
    if len(inputs) == 1:
        return f'{{"instances": [{next(iter(inputs.values()))}]}}'
    return '{"instances": [{' + ", ".join(f'"{name}": {text}' for name, text in inputs.items()) + "}]}"
