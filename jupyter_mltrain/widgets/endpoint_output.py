"""The output of an endpoint: what a notebook saves of a web service, and every front end can show. Never a key."""

from __future__ import annotations

import time
from collections.abc import Mapping
from html import escape
from typing import Any

from jupyter_mltrain.errors import MLTrainError
from jupyter_mltrain.widgets import formats
from jupyter_mltrain.widgets.bounds import clean
from jupyter_mltrain.widgets.card_html import stylesheet
from jupyter_mltrain.widgets.output import FORMAT, LOG_BYTES, Source, last_lines

MIME = "application/vnd.mltrain.endpoint+json"

KEPT = (
    "name", "kind", "state", "phase", "step", "revision", "serving", "models", "entry_script", "environment", "framework",
    "url", "scoring_uri", "auth_enabled", "cpu", "memory_gb", "memory_bytes", "created", "updated", "since", "restarts",
    "failure", "substitutions", "notices", "description", "tags", "signatures", "default_signature", "image", "snippets",
)  # fmt: skip
"""Keys of `core.wire_endpoints.Endpoint` that the card shows."""

_TONES = {"running": "mlt-ok", "failed": "mlt-bad", "deploying": "mlt-live", "restarting": "mlt-warn"}


def bundle(entry: Mapping[str, Any], workspace: str, connection: Source | None, plain: str) -> dict[str, Any]:
    """The mime bundle of an endpoint as it stands: our mime type, static HTML, `plain` text. With a `connection` its
    latency and the end of its log are fetched; what cannot be fetched is left out."""
    shown = payload(entry, workspace, connection)
    return {MIME: shown, "text/html": card(shown), "text/plain": plain}


def payload(entry: Mapping[str, Any], workspace: str, connection: Source | None) -> dict[str, Any]:
    """The value of our mime type (`core.wire_page.SavedEndpoint`)."""
    path = f"/v1/endpoints/{entry['name']}"
    latency: Any = None
    log: Any = None
    if connection is not None and entry["phase"] != "deleted":
        try:
            latency = connection.get(f"{path}/latency")
            raw, _ = connection.bytes(f"{path}/log", offset=-LOG_BYTES, limit=LOG_BYTES)
            tail = last_lines(raw)
            log = {"name": "endpoint", "tail": tail} if tail.strip() else None
        except MLTrainError:
            pass  # the state itself can be shown
    return {
        "format": FORMAT,
        "workspace": workspace,
        "endpoint": str(entry["name"]),
        "recorded": float(entry.get("recorded") or time.time()),
        "state": {key: clean(entry[key], key) for key in KEPT if key in entry},
        "latency": clean(latency),
        "log": log,
    }


def card(shown: Mapping[str, Any]) -> str:
    """The static card: self-contained, no script, every word escaped; it says when it was recorded."""
    state: Mapping[str, Any] = shown["state"]
    models = " · ".join(str(model["id"]) for model in state["models"]) or str(state.get("entry_script") or "")
    pill = _TONES.get(str(state["phase"]), "")
    label = escape(f"Endpoint {state['name']}, {state['state']}")
    parts = [
        f"<style>{stylesheet()}</style>",
        f'<div class="mlt-card" role="group" aria-label="{label}">',
        f'<div class="mlt-head"><div class="mlt-name">{_text(state["name"])}</div>',
        f'<span class="mlt-pill {pill}">{_text(state["state"])}</span>',
        f'<span class="mlt-chip">{_text(models)}</span></div>',
        _why(state.get("failure")),
        _notes(state),
        _figures(state, shown.get("latency") or {}),
        _use(state),
        _log(shown.get("log")),
        f'<div class="mlt-foot"><span class="mlt-num">recorded on {formats.date(shown["recorded"])}</span>',
        f'<code class="mlt-back">{_text(_way_back(state))}</code></div></div>',
    ]
    return "".join(parts)


def _figures(state: Mapping[str, Any], latency: Mapping[str, Any]) -> str:
    requests: Mapping[str, int] = latency.get("requests") or {}
    errors = sum(count for status, count in requests.items() if int(status) >= 400)
    rows = [
        ("URL", state.get("scoring_uri") or "–"),
        *((name, _milliseconds(latency.get(f"{name}_ms"))) for name in ("p50", "p95", "p99")),
        ("requests", formats.number(sum(requests.values()))),
        ("errors", formats.number(errors)),
        ("memory", formats.size(float(state.get("memory_bytes") or 0))),
        ("environment", state.get("environment") or ""),
        ("framework", state.get("framework") or ""),
    ]
    cells = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in rows if value)
    return f'<dl class="mlt-kv">{cells}</dl>'


def _milliseconds(value: Any) -> str:
    return f"{formats.number(value)} ms" if isinstance(value, int | float) else "–"


def _use(state: Mapping[str, Any]) -> str:
    snippets: Mapping[str, Any] = state.get("snippets") or {}
    text = "\n\n".join(str(snippets[key]) for key in ("curl", "python", "serve") if snippets.get(key))
    return f'<details><summary>Use</summary><pre class="mlt-log">{_text(text)}</pre></details>' if text else ""


def _why(failure: Mapping[str, Any] | None) -> str:
    if not failure:
        return ""
    evidence = " · ".join(str(each) for each in failure.get("evidence") or [])
    mend = f'<span class="mlt-mend">{_text(failure["mend"])}</span>' if failure.get("mend") else ""
    said = f'<div class="mlt-why"><b>{_text(failure.get("title"))}</b><span>{_text(evidence)}</span>{mend}</div>'
    traceback = failure.get("traceback")
    if not traceback:
        return said
    return f'{said}<details><summary>Traceback</summary><pre class="mlt-log">{_text(traceback)}</pre></details>'


def _notes(state: Mapping[str, Any]) -> str:
    lines = [
        f"{each['kind']}: {each['given']} instead of {each['asked']}: {each['reason']}"
        for each in state.get("substitutions") or []
    ]
    lines += [str(each) for each in state.get("notices") or []]
    rows = "".join(f"<div>{_text(line)}</div>" for line in lines)
    return f'<div class="mlt-notes">{rows}</div>' if rows else ""


def _log(log: Mapping[str, Any] | None) -> str:
    if not log:
        return ""
    return f'<details><summary>Last lines of its log</summary><pre class="mlt-log">{_text(log["tail"])}</pre></details>'


def _way_back(state: Mapping[str, Any]) -> str:
    return f'Webservice(Workspace.from_config(), "{state["name"]}")'


def _text(value: Any) -> str:
    return escape(str(value), quote=False)
