"""The output of a registered model: what it is, and, where our extension is, a form that deploys it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from html import escape
from typing import Any

from jupyter_mltrain.widgets import formats
from jupyter_mltrain.widgets.bounds import clean
from jupyter_mltrain.widgets.card_html import stylesheet
from jupyter_mltrain.widgets.output import FORMAT

MIME = "application/vnd.mltrain.model+json"

KEPT = (
    "id", "name", "version", "path", "created", "description", "tags", "framework", "framework_version", "signature",
    "metrics", "format", "bytes", "files", "environment", "data", "run_id",
)  # fmt: skip
"""Keys of `core.wire_models.ModelVersion` that are shown."""


def bundle(entry: Mapping[str, Any], workspace: str, plain: str) -> dict[str, Any]:
    """The mime bundle of a registered version: our mime type, static HTML, `plain` text."""
    kept = {key: clean(entry[key], key) for key in KEPT if key in entry}
    shown = {"format": FORMAT, "workspace": workspace, "recorded": time.time(), "model": kept}
    return {MIME: shown, "text/html": _card(kept), "text/plain": plain}


def _card(model: Mapping[str, Any]) -> str:
    metrics = ", ".join(f"{name} {formats.number(value)}" for name, value in (model.get("metrics") or {}).items())
    rows = [
        ("Format", model.get("format")),
        ("Framework", f"{model.get('framework') or ''} {model.get('framework_version') or ''}".strip()),
        ("Size", f"{formats.count(int(model['files']), 'file')}, {formats.size(float(model['bytes']))}"),
        ("Metrics", metrics),
        ("Environment", model.get("environment")),
        ("Data", ", ".join(map(str, model.get("data") or []))),
        ("Description", model.get("description")),
    ]
    cells = "".join(f"<dt>{name}</dt><dd>{_text(value)}</dd>" for name, value in rows if value)
    return (
        f'<style>{stylesheet()}</style><div class="mlt-card" role="group" aria-label="Model {escape(str(model["id"]))}">'
        f'<div class="mlt-head"><div class="mlt-name">{_text(model["id"])}</div></div>'
        f'<dl class="mlt-kv">{cells}</dl></div>'
    )


def _text(value: Any) -> str:
    return escape(str(value), quote=False)
