"""The page around an exported notebook: template, policy, scripts, and where everything in it comes from."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from nbconvert import HTMLExporter

from jupyter_mltrain._version import __version__
from jupyter_mltrain.export.outputs import Exported
from jupyter_mltrain.widgets.card_html import details, stylesheet
from jupyter_mltrain.widgets.formats import date

NONE = "'none'"

_STYLE = """
.jp-Notebook{max-width:1080px;margin:0 auto;box-sizing:border-box}
body{background:var(--jp-layout-color0)}
.mlt-plot{min-height:118px}
.mlt-provenance{margin:32px 12px;padding-top:12px;border-top:1px solid var(--jp-border-color2);color:var(--jp-ui-font-color2);
font:12px/1.5 var(--jp-ui-font-family)}
.mlt-provenance h2{font-size:13px;margin:0 0 6px}
.mlt-provenance dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 12px;margin:0 0 10px}
.mlt-provenance dd{margin:0;font-family:var(--jp-code-font-family);overflow-wrap:anywhere}
@media print{.mlt-card{break-inside:avoid}}
"""


def render(exported: Exported, *, title: str) -> str:
    """The whole page. Its policy lets nothing load from anywhere and only the page's own scripts run; scripts that came
    with outputs stay in it as dead text."""
    scripts = _scripts(exported)
    # The scripts go in after nbconvert, which would parse their megabytes twice.
    place = f"<!--{secrets.token_hex(16)}-->"
    exporter = _exporter()
    resources = {
        "metadata": {"name": title},
        "mltrain": {
            "policy": _policy(scripts),
            "version": __version__,
            "style": stylesheet() + _STYLE,
            "dark_theme": _theme(exporter, "static/theme-dark.css"),
            "provenance": _provenance(exported.runs),
            "place": place,
        },
    }
    page, _ = exporter.from_notebook_node(exported.notebook, resources=resources)
    return str(page).replace(place, "".join(f"<script>{script}</script>\n" for script in scripts))


def _exporter() -> HTMLExporter:
    template = Path(str(files("jupyter_mltrain.export").joinpath("template")))
    return HTMLExporter(
        template_name=template.name,
        extra_template_basedirs=[str(template.parent)],
        require_js_url="",
        mathjax_url="",
        mermaid_js_url="",
        jquery_url="",
        jupyter_widgets_base_url="",
        embed_images=True,
    )


def _theme(exporter: HTMLExporter, name: str) -> str:
    loader = exporter.environment.loader
    assert loader is not None
    return loader.get_source(exporter.environment, name)[0]


def _scripts(exported: Exported) -> list[str]:
    if not exported.plots:
        return []
    static = files("jupyter_mltrain.export").joinpath("static")
    if exported.full_plotly:
        from plotly.offline import get_plotlyjs  # noqa: PLC0415 - only for figures that the basic bundle cannot draw

        bundle = get_plotlyjs()
    else:
        bundle = static.joinpath("plotly-basic.min.js").read_text("utf-8")
    return [_closed(bundle), _closed(static.joinpath("plots.js").read_text("utf-8"))]


def _closed(script: str) -> str:
    # In JavaScript's strings and templates `<\/` is `</`; elsewhere `</` followed by a name does not occur.
    return script.replace("</script", "<\\/script")


def _policy(scripts: Sequence[str]) -> str:
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts]
    return "; ".join(
        (
            f"default-src {NONE}",
            f"script-src {' '.join(hashes or [NONE])}",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "font-src data:",
            "media-src data:",
            f"base-uri {NONE}",
            f"form-action {NONE}",
        )
    )


def _provenance(runs: Sequence[Mapping[str, Any]]) -> str:
    lists = "".join(f"<dl>{_rows(run)}</dl>" for run in runs)
    return (
        f'<footer class="mlt-provenance"><h2>Where this comes from</h2>{lists}'
        f"<p>Exported on {date(time.time())} by jupyter-mltrain {escape(__version__)}.</p></footer>"
    )


def _rows(payload: Mapping[str, Any]) -> str:
    rows = [
        ("Status", f"{payload['state']['status']}, recorded on {date(payload['recorded'])}"),
        *details(payload["state"]),
    ]
    rows.append(("Workspace", str(payload.get("workspace", ""))))
    return "".join(f"<dt>{escape(label)}</dt><dd>{escape(value)}</dd>" for label, value in rows if value)
