"""An exported notebook in a browser that has no network: its charts are drawn, and it asks for nothing."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import plotly.graph_objects as go
import pytest
from playwright.sync_api import Request, expect

from jupyter_mltrain.export import export_notebook
from jupyter_mltrain.export.outputs import PLOTLY
from jupyter_mltrain.widgets.output import MIME
from tests.browser.cards import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
FIXTURES = Path(__file__).parents[1] / "fixtures"
HOSTILE = "<script>window.pwned = 1</script><img src='https://example.invalid/x.png' onerror='window.pwned = 1'>"


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    v4 = nbformat.v4
    runs = [json.loads((FIXTURES / f"run-{kind}.json").read_text("utf-8")) for kind in ("completed", "failed")]
    figures = [go.Figure(go.Bar(x=["a", "b"], y=[1, 3])), go.Figure(go.Heatmap(z=[[1, 2], [3, 4]]))]
    bundles = [{MIME: run, "text/plain": "Run(…)"} for run in runs]
    bundles += [{PLOTLY: json.loads(figure.to_json()), "text/plain": "Figure(…)"} for figure in figures]
    bundles.append({"text/html": f"<b>kept</b>{HOSTILE}"})
    cells = [v4.new_markdown_cell("# Train MNIST\n\nFrom a notebook cell. ![x](https://example.invalid/y.png)")]
    cells += [v4.new_code_cell("run", outputs=[v4.new_output("display_data", bundle)]) for bundle in bundles]
    path = tmp_path_factory.mktemp("export") / "tutorial.ipynb"
    nbformat.write(v4.new_notebook(cells=cells), path)
    return export_notebook(path)


@pytest.mark.parametrize(("theme", "width"), [("light", 1100), ("dark", 420)])
def test_charts_are_drawn_and_nothing_is_asked_for(browser, exported, artifact, theme, width):
    context = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=theme, offline=True)
    page = context.new_page()
    requests: list[Request] = []
    errors: list[str] = []
    page.on("request", lambda request: requests.append(request))  # noqa: PLW0108 - Playwright takes no bound builtin
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(exported.as_uri())
    expect(page.locator(".mlt-plot .main-svg").first).to_be_visible()
    expect(page.locator(".mlt-plot .js-plotly-plot")).to_have_count(5)
    expect(page.locator(".mlt-plot .heatmaplayer image, .mlt-plot .heatmaplayer path").first).to_be_attached()
    line = page.locator(".mlt-chart .scatterlayer path.js-line").first
    until(page, lambda: (line.bounding_box() or {"width": 0})["width"] > 150, line.bounding_box)
    assert page.evaluate("window.pwned") is None
    page.screenshot(path=artifact / f"export-{theme}-{width}.png", full_page=True)
    page.wait_for_function(f"document.documentElement.scrollWidth <= {width}")
    # What outputs and text ask for is stopped by the page's policy before it becomes a request of the network.
    asked = [request for request in requests if not request.url.startswith(("file:", "data:", "blob:"))]
    until(page, lambda: {request.failure for request in asked} == {"csp"}, lambda: asked)
    assert {request.url for request in asked} == {"https://example.invalid/x.png", "https://example.invalid/y.png"}
    assert not errors
    context.close()


def test_charts_follow_the_readers_theme(browser, exported):
    context = browser.new_context(color_scheme="light", offline=True)
    page = context.new_page()
    page.goto(exported.as_uri())
    line = page.locator(".mlt-chart .scatterlayer path.js-line").first
    expect(line).to_have_css("stroke", "rgb(31, 119, 180)")
    page.emulate_media(color_scheme="dark")
    expect(line).to_have_css("stroke", "rgb(108, 182, 255)")
    context.close()


def test_without_scripts_the_drawings_stay(browser, exported):
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(exported.as_uri())
    expect(page.get_by_role("img", name="val_accuracy, last value 0.9835")).to_be_visible()
    context.close()
