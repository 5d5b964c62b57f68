"""`register`, `models`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.commands.display import Table, moment
from jupyter_mltrain.commands.lookup import find_run
from jupyter_mltrain.core.ids import check_name
from jupyter_mltrain.errors import ModelNotFound


def register(
    context: Context,
    *,
    run: str,
    name: str | None = None,
    path: str | None = None,
    tag: Sequence[tuple[str, str]] = (),
    description: str | None = None,
) -> Table[Mapping[str, Any]]:
    """Register `path` (default: the model that the run's outputs hold) as a new version of the model `name` (default:
    the experiment's name). Raises `PathNotFound` listing what is there, `InvalidName`."""
    found = find_run(context.workspace(), run)
    model = found.register_model(
        check_name(name or found.experiment.name, "Model"), path, tags=dict(tag), description=description
    )
    same = model.entry.get("same_as")
    if same == model.version:
        return _versions([model.entry], f"Registered already as {model.id}", "The same content makes no new version.")
    note = f"Its content is the same as that of version {same}." if same else ""
    return _versions([model.entry], f"Registered {model.id}", note)


def models(context: Context, *, name: str | None = None) -> Table[Mapping[str, Any]]:
    """All versions of all models, or of one, the newest first; raises `ModelNotFound` with the nearest names."""
    found: list[Mapping[str, Any]] = context.workspace().connection.get("/v1/models", timeout=60)["models"]
    versions = [v for v in found if name in {None, v["name"]}]
    if name is not None and not versions:
        raise ModelNotFound.of(name, {str(v["name"]) for v in found})
    return _versions(versions, "" if name is None else f"Versions of {name}")


def _versions(versions: Sequence[Mapping[str, Any]], title: str, note: str = "") -> Table[Mapping[str, Any]]:
    return Table(
        ("model", "version", "framework", "created", "metrics", "tags", "run"),
        [
            (
                v["name"],
                v["version"],
                " ".join(str(x) for x in (v.get("framework"), v.get("framework_version")) if x),
                moment(v.get("created")),
                ", ".join(
                    f"{k} {x:.4g}" if isinstance(x, float) else f"{k} {x}"
                    for k, x in list((v.get("metrics") or {}).items())[:3]
                ),
                ", ".join(f"{k}={x}" if x else str(k) for k, x in (v.get("tags") or {}).items()),
                v.get("run_id") or "",
            )
            for v in versions
        ],
        items=versions,
        title=title,
        note=note,
        empty="No models here yet: `%mltrain register RUN` makes one from a run's outputs.",
    )
