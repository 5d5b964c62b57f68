"""Endpoints in containers: what would run, there and here."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_mltrain import runclient
from jupyter_mltrain.core.deployment import EndpointPlan, EndpointSpec
from jupyter_mltrain.core.serving import KEYS, PORT, REVISION, START, ServingOrder
from jupyter_mltrain.deployments.local import MAX_BODY
from jupyter_mltrain.deployments.place import MODELS, Place

RELAY = "jupyter_mltrain.service.relaying"
STOCK_PORT = 8501
"""Of `tensorflow/serving`, for REST."""
_HERE = ("PATH", "HOME", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR")
"""Of the service's own variables what reaching an engine may need."""


@dataclass(frozen=True)
class ContainerInputs:
    """All that the plan needs beside the spec. `id`, `folder`: the endpoint's, on this machine; `engine`, `settings`: how
    to reach the engine; `image`, `python`, `overlay`, `variables`, `shm_size`: as they are in the container."""

    id: str
    folder: Path
    engine: str
    settings: Mapping[str, Any]
    image: str = ""
    python: str = ""
    overlay: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    shm_size: str = ""
    published: bool = True
    workspace: str = ""


def plan(spec: EndpointSpec, inputs: ContainerInputs) -> EndpointPlan:
    """What would run. Pure."""
    place = Place(inputs.folder)
    revision = place.revision(spec.revision)
    order = _stock(spec, inputs, revision) if spec.image is not None else _ours(spec, inputs, revision)
    env = {name: os.environ[name] for name in _HERE if name in os.environ}
    env |= {
        "PYTHONUNBUFFERED": "1",
        "MLTRAIN_ENDPOINT": spec.name,
        "MLTRAIN_INJECT": str(revision / "inject"),
        "PYTHONPATH": str(Path(runclient.__file__).parents[2]),
    }
    return EndpointPlan(
        id=inputs.id,
        folder=str(inputs.folder),
        revision=spec.revision,
        argv=(sys.executable, "-P", "-m", RELAY),
        cwd="/",
        env=dict(sorted(env.items())),
        serve=_serve(spec, inputs),
        port=spec.port,
        memory_bytes=None,
        cpus=None,
        container=order.to_json(),
    )


def _ours(spec: EndpointSpec, inputs: ContainerInputs, revision: Path) -> ServingOrder:
    chosen = {**inputs.variables, **spec.environment_variables}
    inject, app = f"{REVISION}/inject", f"{REVISION}/app"
    env = {
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TF_CPP_MIN_LOG_LEVEL": "1",
        "CUDA_VISIBLE_DEVICES": "-1",
        "HOME": f"{START}/home",
        **chosen,
        "AZUREML_MODEL_DIR": _model_dir(app, spec),
        "MLTRAIN_ENDPOINT": spec.name,
        # Its container's own network; of the host's only the loopback leads there.
        "MLTRAIN_LISTEN": f"{'0.0.0.0' if inputs.published else '127.0.0.1'}:{PORT}",  # noqa: S104
        "PYTHONPATH": f"{inject}:{chosen['PYTHONPATH']}" if chosen.get("PYTHONPATH") else inject,
    }
    return ServingOrder(
        engine=inputs.engine,
        settings=inputs.settings,
        endpoint=inputs.id,
        revision=spec.revision,
        image=inputs.image,
        argv=(inputs.python, f"{inject}/mltrain_endpoint", f"{REVISION}/serve.json", START),
        env=dict(sorted(env.items())),
        cwd=app,
        files={name: str(revision / name) for name in ("app", "inject", "serve.json")},
        uses=(inputs.python, *inputs.overlay),
        ready="/summary.json",
        workspace=inputs.workspace,
        memory_bytes=None if spec.memory_gb is None else round(spec.memory_gb * 1e9),
        cpus=spec.cpu,
        shm_size=inputs.shm_size,
    )


def _stock(spec: EndpointSpec, inputs: ContainerInputs, revision: Path) -> ServingOrder:
    """The image's own server, which TensorFlow Serving's has been since its first: one folder of numbered versions."""
    [model] = spec.models
    return ServingOrder(
        engine=inputs.engine,
        settings=inputs.settings,
        endpoint=inputs.id,
        revision=spec.revision,
        image=inputs.image,
        argv=(),
        env={**spec.environment_variables, "MODEL_NAME": model.name, "MODEL_BASE_PATH": f"{REVISION}/models"},
        cwd="/",
        files={f"models/{model.name}/{model.version}": str(_model(revision, spec))},
        port=STOCK_PORT,
        stock=model.name,
        workspace=inputs.workspace,
        ready=f"/v1/models/{model.name}",
        memory_bytes=None if spec.memory_gb is None else round(spec.memory_gb * 1e9),
        cpus=spec.cpu,
    )


def _model(revision: Path, spec: EndpointSpec) -> Path:
    [model] = spec.models
    return revision / "app" / MODELS / model.name / str(model.version) / model.basename


def _serve(spec: EndpointSpec, inputs: ContainerInputs) -> dict[str, Any]:
    app = f"{REVISION}/app"
    return {
        "name": spec.name,
        "models": [
            {
                "name": model.name,
                "version": model.version,
                "path": f"{app}/{MODELS}/{model.name}/{model.version}/{model.basename}",
                "format": model.format,
                "hash": model.content_hash,
                # Size, time and inode are others there: the hash tells.
                "seal": f"{REVISION}/no-seal",
            }
            for model in spec.models
        ],
        "script": None if spec.entry_script is None else {"path": f"{app}/{spec.entry_script}"},
        "keys": f"{START}/{KEYS}",
        "overlay": list(inputs.overlay),
        "max_body": MAX_BODY,
    }


def _model_dir(app: str, spec: EndpointSpec) -> str:
    """What the SDK's AZUREML_MODEL_DIR is: the version's folder of one model, the root of several."""
    if len(spec.models) == 1:
        return f"{app}/{MODELS}/{spec.models[0].name}/{spec.models[0].version}"
    return f"{app}/{MODELS}"
