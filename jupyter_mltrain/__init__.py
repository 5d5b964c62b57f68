"""Train TensorFlow models from a notebook: `%load_ext jupyter_mltrain`, then `%%mltrain` cells.

Public names load on first use (PEP 562): importing the package costs a kernel almost nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jupyter_mltrain._version import __version__

if TYPE_CHECKING:
    from jupyter_mltrain.api.run import Run as Run
    from jupyter_mltrain.api.workspace import Workspace as Workspace

_NAMES = {
    "AciWebservice": "api.webservice",
    "ActivityFailedException": "errors",
    "AmlCompute": "api.compute",
    "AttachConfiguration": "api.compute",
    "ComputeTarget": "api.compute",
    "ComputeTargetException": "errors",
    "CondaDependencies": "api.conda",
    "DEFAULT_CPU_IMAGE": "core.environment",
    "DEFAULT_GPU_IMAGE": "core.environment",
    "DataPathComputeBinding": "api.resuming",
    "Dataset": "api.dataset",
    "Datastore": "api.datastore",
    "DeployForm": "widgets.forms",
    "DockerCompute": "api.docker",
    "Environment": "api.environment",
    "EnvironmentForm": "widgets.forms",
    "Experiment": "api.experiment",
    "FileDataset": "api.dataset",
    "InferenceConfig": "api.deployment",
    "LocalWebservice": "api.webservice",
    "Model": "api.model",
    "ModelNotFoundException": "errors",
    "ModelPathNotFoundException": "errors",
    "MpiConfiguration": "api.distributed",
    "ResourceConfiguration": "api.resources",
    "Run": "api.run",
    "RunConfiguration": "api.config",
    "RunDetails": "widgets.run_details",
    "RunWidget": "widgets.run_widget",
    "ScriptRunConfig": "api.config",
    "SnapshotException": "errors",
    "TensorflowConfiguration": "api.distributed",
    "UserErrorException": "errors",
    "Webservice": "api.webservice",
    "WebserviceException": "errors",
    "Workspace": "api.workspace",
    "compare": "api.comparison",
    "latest": "api.lookup",
    "run": "api.lookup",
}

VERSION = __version__
"""As in the SDK."""

__all__ = ["VERSION", "__version__", *_NAMES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'jupyter_mltrain' has no attribute {name!r}")
    value = getattr(import_module(f"jupyter_mltrain.{_NAMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext jupyter_mltrain`."""
    from jupyter_mltrain.magics import register

    register(ipython)


def _jupyter_labextension_paths() -> list[dict[str, str]]:  # pyright: ignore[reportUnusedFunction] - Jupyter calls it
    return [{"src": "labextension", "dest": "jupyter-mltrain"}]
