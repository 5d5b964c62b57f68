"""The run card in a real JupyterLab: a notebook that was saved elsewhere, is not trusted, and of which no cell has run here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from jupyter_mltrain.widgets.card_html import card
from jupyter_mltrain.widgets.output import MIME

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
FIXTURES = Path(__file__).parents[1] / "fixtures"


def saved(kind: str) -> dict[str, Any]:
    payload = json.loads((FIXTURES / f"run-{kind}.json").read_text("utf-8"))
    return {MIME: payload, "text/html": card(payload), "text/plain": "Run(…)"}


@pytest.fixture
def page(lab, browser, request) -> Iterator[Page]:
    """A page in the colour scheme and width that the test asks for; an error in its console fails the test."""
    theme, width = getattr(request, "param", ("light", 1100))
    context = browser.new_context(viewport={"width": width, "height": 1700}, color_scheme=theme)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors


@pytest.mark.parametrize("page", [("light", 1100), ("dark", 1100), ("light", 520)], indirect=True, ids=str)
def test_a_saved_run_shows_as_a_card(lab, page, artifact, request):
    lab.write("saved.ipynb", [saved(kind) for kind in ("failed", "running", "completed")])
    lab.visit(page, "saved.ipynb")
    failed = page.get_by_role("group", name="Run quiet-heron-2, Failed")
    expect(failed).to_be_visible(timeout=60_000)
    expect(failed.locator(".mlt-why b")).to_have_text(
        "Out of memory on rank 1: the process used 4.0 GB of its 4 GB limit and was killed."
    )
    expect(page.get_by_role("img", name="val_accuracy, last value 0.9835")).to_be_visible()
    expect(page.locator(".mlt-foot").first).to_contain_text("recorded on 23 Nov 2026")
    # Drawn by our renderer, not by the HTML fallback, which brings its own <style>.
    assert page.locator(".mlt-card").count() == 3
    assert page.locator(".jp-RenderedHTML .mlt-card").count() == 0
    page.wait_for_timeout(500)  # fonts and the theme's style sheet
    page.screenshot(path=artifact / f"card-{'-'.join(map(str, request.node.callspec.params['page']))}.png")
    box = failed.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= page.viewport_size["width"]


def test_names_are_text_and_never_markup(lab, page):
    run = saved("completed")
    evil = '<img src=x onerror="window.pwned = 1"><script>window.pwned = 1</script>'
    run[MIME]["state"] |= {"display_name": evil, "experiment": evil, "notices": [evil], "tags": {evil: evil}}
    run[MIME]["series"][0]["name"] = run[MIME]["state"]["metrics"][0]["name"] = evil
    run[MIME]["log"]["tail"] = evil
    lab.write("evil.ipynb", [run])
    lab.visit(page, "evil.ipynb")
    expect(page.locator(".mlt-name")).to_contain_text("<script>", timeout=60_000)
    assert page.evaluate("window.pwned") is None
    assert page.locator(".mlt-card img, .mlt-card script").count() == 0


def test_a_payload_that_is_no_run_says_so(lab, page):
    lab.write("broken.ipynb", [{MIME: {"format": 99, "run": "r", "state": {"status": "Completed"}}}, {MIME: [1, 2]}])
    lab.visit(page, "broken.ipynb")
    cards = page.locator(".mlt-card")
    expect(cards.nth(0)).to_contain_text("newer version", timeout=60_000)
    expect(cards.nth(1)).to_contain_text("no run")
