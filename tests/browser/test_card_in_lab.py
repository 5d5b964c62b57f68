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
from tests.browser.cards import fits
from tests.browser.conftest import seen

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
FIXTURES = Path(__file__).parents[1] / "fixtures"


def saved(kind: str) -> dict[str, Any]:
    payload = json.loads((FIXTURES / f"run-{kind}.json").read_text("utf-8"))
    return {MIME: payload, "text/html": card(payload), "text/plain": "Run(…)"}


@pytest.fixture
def page(lab, browser) -> Iterator[Page]:
    with seen(browser, viewport={"width": 1100, "height": 1700}, color_scheme="light") as page:
        yield page


def test_a_saved_run_shows_as_a_card(lab, page, artifact):
    lab.write("saved.ipynb", [saved(kind) for kind in ("failed", "running", "completed")])
    lab.visit(page, "saved.ipynb")
    failed = page.get_by_role("group", name="Run quiet-heron-2, Failed")
    expect(failed.locator(".mlt-why b")).to_have_text(
        "Out of memory on rank 1: the process used 4.0 GB of its 4 GB limit and was killed."
    )
    expect(page.get_by_role("img", name="val_accuracy, last value 0.9835")).to_be_visible()
    expect(page.locator(".mlt-foot").first).to_contain_text("recorded on 23 Nov 2026")
    # Drawn by our renderer, not by the HTML fallback, which brings its own <style>.
    expect(page.locator(".mlt-card")).to_have_count(3)
    assert page.locator(".jp-RenderedHTML .mlt-card").count() == 0
    for theme, width in (("light", 1100), ("dark", 1100), ("light", 520)):
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size({"width": width, "height": 1700})
        expect(page.locator("body")).to_have_attribute("data-jp-theme-light", str(theme == "light").lower())
        fits(page, ".mlt-card")
        page.screenshot(path=artifact / f"card-{theme}-{width}.png")


def test_names_are_text_and_what_is_no_run_says_so(lab, page):
    run = saved("completed")
    evil = '<img src=x onerror="window.pwned = 1"><script>window.pwned = 1</script>'
    run[MIME]["state"] |= {"display_name": evil, "experiment": evil, "notices": [evil], "tags": {evil: evil}}
    run[MIME]["series"][0]["name"] = run[MIME]["state"]["metrics"][0]["name"] = evil
    run[MIME]["log"]["tail"] = evil
    newer = {"format": 99, "run": "r", "state": {"status": "Completed"}}
    lab.write("evil.ipynb", [run, {MIME: newer}, {MIME: [1, 2]}])
    lab.visit(page, "evil.ipynb")
    cards = page.locator(".mlt-card")
    expect(cards.nth(0).locator(".mlt-name")).to_contain_text("<script>")
    expect(cards.nth(1)).to_contain_text("newer version")
    expect(cards.nth(2)).to_contain_text("no run")
    assert page.evaluate("window.pwned") is None
    assert page.locator(".mlt-card img, .mlt-card script").count() == 0
