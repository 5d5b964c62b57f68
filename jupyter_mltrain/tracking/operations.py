"""What the child process can be asked, by name. Arguments and results are JSON. Imported by the child only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_mltrain.core.model import Registration
from jupyter_mltrain.tracking import content, inspection, publication, registry
from jupyter_mltrain.tracking.registry import tidy
from jupyter_mltrain.tracking.store import Store, open_store

__all__ = ["OPERATIONS", "open_store", "tidy"]


def publish(store: Store, *, run_id: str, folder: str, state: dict[str, Any], budget: float) -> dict[str, int]:
    return publication.publish(store, run_id, Path(folder), state, budget)


def register(store: Store, *, run_id: str, folder: str, given: dict[str, Any]) -> dict[str, Any]:
    return registry.register(store, Registration(**given), run_id=run_id, folder=Path(folder)).to_json()


def register_files(store: Store, *, source: str, given: dict[str, Any]) -> dict[str, Any]:
    return registry.register_files(store, Registration(**given), Path(source)).to_json()


def change(store: Store, *, name: str, version: int, **given: Any) -> dict[str, Any]:
    return registry.change(store, name, version, **given).to_json()


def delete(store: Store, *, name: str, version: int) -> None:
    registry.delete(store, name, version)


def inspect(_: Store, *, folder: str, path: str) -> dict[str, Any]:
    kept, source = content.find(Path(folder), path)
    return {"path": kept, **inspection.inspect(source).to_json()}


def models(store: Store) -> list[dict[str, Any]]:
    return [version.to_json() for version in registry.everything(store)]


def model(store: Store, *, name: str) -> list[dict[str, Any]]:
    found = registry.versions(store, name)
    # With none, `get` raises the error that names the nearest.
    return [version.to_json() for version in found or [registry.get(store, name, None)]]


def version(store: Store, *, name: str, version: int | None) -> dict[str, Any]:
    return registry.get(store, name, version).to_json()


def path(store: Store, *, name: str, version: int | None) -> str:
    return str(registry.path(store, name, version))


OPERATIONS: dict[str, Callable[..., Any]] = {
    "publish": publish,
    "register": register,
    "register_files": register_files,
    "change": change,
    "delete": delete,
    "inspect": inspect,
    "models": models,
    "model": model,
    "version": version,
    "path": path,
}
