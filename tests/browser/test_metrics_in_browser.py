"""The Metrics tab in a real JupyterLab: Plotly where it is seen, SVG before and without it, one range and one pointer for all."""

from __future__ import annotations

import itertools
import re
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from jupyter_mltrain.api.workspace import Workspace
from tests.browser.cards import axe, submitted

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

POINTS = 20_000
METRICS = ("accuracy", "loss", "rate")
LOGS = """
    import math
    from jupyter_mltrain import Run
    run = Run.get_context()
    for step in range({points}):
        run.log("loss", math.exp(-step / 5000) + 0.1 * math.sin(step) ** 2, step=step)
        run.log("accuracy", float("nan") if step == 9000 else 1 - math.exp(-step / 4000), step=step)
        run.log("rate", 1e-3 / (1 + step / 1000), step=step)
"""


@pytest.fixture
def workspace(folder: Path) -> Workspace:
    return Workspace.create("metrics", folder)


@pytest.fixture
def card(lab, page: Page, folder: Path, workspace: Workspace) -> Locator:
    """The live card of a run that has logged three metrics, 20,000 points each."""
    run = submitted(workspace, textwrap.dedent(LOGS.format(points=POINTS)), until="Completed")
    lab.write(f"{folder.name}/metrics.ipynb", [run._repr_mimebundle_()])
    lab.visit(page, f"{folder.name}/metrics.ipynb")
    card = page.locator(".mlt-alive")
    expect(card).to_be_visible(timeout=90_000)
    return card


def chart(card: Locator, name: str) -> Locator:
    return card.get_by_role("img", name=re.compile(f"^{name}, "))


def drawn_by_plotly(card: Locator) -> None:
    # A line with gaps is several paths.
    drawn = card.locator(".mlt-plotted").filter(has=card.page.locator(".js-line"))
    expect(drawn).to_have_count(len(METRICS), timeout=30_000)


def ends(card: Locator) -> list[tuple[str, ...]]:
    """What each chart says that its horizontal axis begins and ends with."""
    texts = "charts => charts.map(chart => [...chart.querySelectorAll('.mlt-from, .mlt-to')].map(t => t.textContent))"
    return [tuple(pair) for pair in card.locator(".mlt-frame").evaluate_all(texts)]


def drag(page: Page, over: Locator, start: float, stop: float) -> None:
    """With the mouse, from one share of the chart's width to another."""
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    assert box
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + (start + stop) / 2 * box["width"], y, steps=4)
    page.mouse.move(box["x"] + stop * box["width"], y, steps=4)
    page.mouse.up()


@pytest.mark.parametrize("page", [("light", 1100), ("dark", 1100), ("light", 520)], indirect=True, ids=str)
def test_small_charts_are_plotly_and_show_one_range(page, card, artifact, request):
    drawn_by_plotly(card)
    whole = ends(card)
    assert whole == [("0", "step 19,999")] * 3
    name = "-".join(map(str, request.node.callspec.params["page"]))
    page.wait_for_timeout(300)
    card.screenshot(path=artifact / f"metrics-{name}.png")
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if "/series?" in one.url else None)
    drag(page, chart(card, "loss"), 0.4, 0.6)
    expect(card.get_by_role("button", name="Reset zoom")).to_be_visible()
    page.wait_for_timeout(1000)
    zoomed = ends(card)
    assert len(set(zoomed)) == 1
    assert zoomed[0] != whole[0]
    # Each chart has fetched the window's own points, once.
    assert sorted(re.findall(r"name=(\w+)", url)[0] for url in asked if "start=" in url) == sorted(METRICS), asked
    card.screenshot(path=artifact / f"metrics-zoomed-{name}.png")
    assert axe(page) == []
    box = card.bounding_box()
    assert box
    assert box["x"] + box["width"] <= page.viewport_size["width"]
    chart(card, "rate").dblclick()
    expect(card.get_by_role("button", name="Reset zoom")).to_have_count(0)
    page.wait_for_timeout(300)
    assert ends(card) == whole


def test_one_pointer_reads_all_charts(page, card, artifact):
    drawn_by_plotly(card)
    chart(card, "accuracy").hover()
    readings = card.locator(".mlt-reading text")
    expect(readings).to_have_count(3)
    words = [text.split(" · step ")[1] for text in readings.all_text_contents()]
    places = [int(word.replace(",", "")) for word in words]
    assert max(places) - min(places) < POINTS / 100
    card.screenshot(path=artifact / "metrics-hover.png")
    card.get_by_role("button", name="Enlarge loss").click()
    large = card.locator(".mlt-plotted-large")
    expect(large.locator(".js-line")).to_have_count(1, timeout=30_000)
    chart(card, "rate").hover()
    expect(large.locator(".hoverlayer text").first).to_be_visible()
    # What the label says has room in its box.
    label, text = (large.locator(f".hoverlayer {part}").last.bounding_box() for part in (".bg", "text.legendtext"))
    assert label
    assert text
    assert text["x"] + text["width"] <= label["x"] + label["width"]
    page.mouse.move(0, 0)
    expect(readings).to_have_count(0)
    large.hover()
    expect(readings).to_have_count(3)
    card.screenshot(path=artifact / "metrics-large.png")
    drag(page, large, 0.5, 0.7)
    expect(card.get_by_role("button", name="Reset zoom")).to_be_visible()
    page.wait_for_timeout(500)
    assert len(set(ends(card))) == 1
    assert ends(card)[0][0] != "0"
    card.screenshot(path=artifact / "metrics-large-zoomed.png")


def test_zooming_needs_no_mouse(page, card):
    drawn_by_plotly(card)
    card.get_by_role("button", name="Zoom in").focus()
    page.keyboard.press("Enter")
    expect(card.get_by_role("button", name="Reset zoom")).to_be_visible()
    middle = ends_as_numbers(page, card)
    assert middle == pytest.approx((POINTS / 4, POINTS * 3 / 4), abs=5)
    card.get_by_role("button", name="Enlarge loss").focus()
    page.keyboard.press("ArrowLeft")
    assert ends_as_numbers(page, card) == pytest.approx((POINTS / 8, POINTS * 5 / 8), abs=5)
    page.keyboard.press("+")
    first, last = ends_as_numbers(page, card)
    assert last - first == pytest.approx(POINTS / 4, abs=5)
    page.keyboard.press("-")
    assert ends_as_numbers(page, card) == pytest.approx((POINTS / 8, POINTS * 5 / 8), abs=5)
    # In a cell, 0 twice asks whether to restart the kernel; here it shows the whole run.
    page.keyboard.press("0")
    page.keyboard.press("0")
    expect(card.get_by_role("button", name="Reset zoom")).to_have_count(0)
    expect(page.get_by_role("dialog")).to_have_count(0)


def ends_as_numbers(page: Page, card: Locator) -> tuple[float, float]:
    page.wait_for_timeout(300)
    (pair,) = set(ends(card))
    first, last = (float(text.replace("step ", "").replace(",", "")) for text in pair)
    return first, last


def test_without_plotly_the_charts_are_svg(lab, page, folder, workspace, artifact):
    page.route(re.compile(r"extensions/jupyter-mltrain/static/"), _without_plotly)
    run = submitted(workspace, textwrap.dedent(LOGS.format(points=500)), until="Completed")
    lab.write(f"{folder.name}/metrics.ipynb", [run._repr_mimebundle_()])
    lab.visit(page, f"{folder.name}/metrics.ipynb")
    card = page.locator(".mlt-alive")
    expect(card.locator(".mlt-frame > svg .mlt-line")).to_have_count(3, timeout=90_000)
    page.wait_for_timeout(1000)
    expect(card.locator(".js-line")).to_have_count(0)
    chart(card, "loss").hover()
    expect(card.locator(".mlt-reading")).to_have_count(3)
    card.get_by_role("button", name="Zoom in").click()
    assert ends_as_numbers(page, card) == pytest.approx((125, 375), abs=2)
    card.screenshot(path=artifact / "metrics-svg.png")
    card.get_by_role("button", name="Enlarge loss").click()
    expect(card.get_by_text("The large chart could not be loaded")).to_be_visible()


def _without_plotly(route: Any) -> None:
    """No file of the extension is as large as Plotly's chunk."""
    answer = route.fetch()
    if len(answer.body()) > 500_000:
        route.abort()
    else:
        route.fulfill(response=answer)


def test_charts_follow_the_theme(page, card, artifact):
    drawn_by_plotly(card)
    colours = "nodes => nodes.map(node => getComputedStyle(node).stroke)"
    card.get_by_role("button", name="Enlarge rate").click()
    expect(card.locator(".mlt-plotted-large .js-line")).to_have_count(1, timeout=30_000)
    lines = card.locator(".js-line")
    light = lines.evaluate_all(colours)
    page.emulate_media(color_scheme="dark")
    expect(page.locator("body[data-jp-theme-light=false]")).to_have_count(1, timeout=30_000)
    page.wait_for_timeout(1500)
    dark = lines.evaluate_all(colours)
    assert len(light) == 5  # of four charts, one with a gap
    assert all(one != other for one, other in zip(light, dark, strict=True)), (light, dark)
    text = card.locator(".mlt-frame > svg text").first.evaluate("node => getComputedStyle(node).fill")
    ink = card.locator(".mlt-title small").first.evaluate("node => getComputedStyle(node).color")
    assert text == ink
    card.screenshot(path=artifact / "metrics-changed-to-dark.png")


def test_a_drawing_made_for_a_wider_card_does_not_widen_it(page, card):
    drawn_by_plotly(card)
    card.get_by_role("button", name="Enlarge rate").click()
    expect(card.locator(".mlt-plotted-large .js-line")).to_have_count(1, timeout=30_000)
    narrower = "card => { card.parentElement.style.width = '300px'; return [card.clientWidth, card.scrollWidth] }"
    # Within one task: no chart was drawn anew yet.
    shown, needed = card.evaluate(narrower)
    assert shown < 300
    assert needed <= shown


MANY = """
    from jupyter_mltrain import Run
    run = Run.get_context()
    for step in range(30):
        for number in range(24):
            run.log(f"metric_{number:02}", number + step, step=step)
"""


def test_only_charts_that_are_seen_are_plotly(lab, page, folder, workspace):
    run = submitted(workspace, textwrap.dedent(MANY), until="Completed")
    asked: set[str] = set()
    # What a chart asks for: the record that the page keeps in the notebook, made anew as soon as MLflow has the run, has
    # fewer points, of every chart.
    page.on("request", lambda one: asked.update(re.findall(r"/series\?name=(\w+)&.*points=1200", one.url)))
    lab.write(f"{folder.name}/metrics.ipynb", [run._repr_mimebundle_()])
    page.set_viewport_size({"width": 700, "height": 700})
    lab.visit(page, f"{folder.name}/metrics.ipynb")
    card = page.locator(".mlt-alive")
    expect(card.locator(".mlt-plotted .js-line").first).to_be_visible(timeout=90_000)
    page.wait_for_timeout(1500)
    seen = card.locator(".mlt-plotted .js-line").count()
    assert 0 < seen < 12
    assert len(asked) == seen
    # All of them are there to be read, drawn or not.
    expect(card.get_by_role("img")).to_have_count(12)
    card.get_by_role("button", name="Show 12 more").click()
    chart(card, "metric_23").scroll_into_view_if_needed()
    expect(chart(card, "metric_23").locator(".js-line")).to_have_count(1, timeout=10_000)
    assert "metric_23" in asked
    expect(chart(card, "metric_00").locator(".js-line")).to_have_count(0, timeout=20_000)
    expect(chart(card, "metric_00").locator("svg .mlt-line")).to_have_count(1)


LIVE = """
    import time
    from jupyter_mltrain import Run
    run = Run.get_context()
    for step in range(400):
        for number in range(200):
            run.log(f"metric_{number:03}", number * 1000 + step, step=step)
        time.sleep(0.25)
"""


def test_all_of_two_hundred_metrics_are_there_and_fresh(lab, page, folder, workspace, artifact):
    run = submitted(workspace, textwrap.dedent(LIVE))
    while run.refresh()["metric_series"] < 200:
        page.wait_for_timeout(50)
    asked: list[float] = []
    listed = re.compile(r"/metrics(\?|$)")
    page.on("request", lambda one: asked.append(time.monotonic()) if listed.search(one.url) else None)
    lab.write(f"{folder.name}/metrics.ipynb", [run._repr_mimebundle_()])
    lab.visit(page, f"{folder.name}/metrics.ipynb")
    card = page.locator(".mlt-alive")
    tab = card.get_by_role("tab", name="Metrics")
    expect(tab).to_have_text("Metrics 200", timeout=90_000)
    # In the order in which they were logged; the last of them come with the list alone.
    for count in range(24, 61, 12):
        card.get_by_role("button", name="Show 12 more").click()
        expect(card.locator(".mlt-chart")).to_have_count(count)
    assert [name[-3:] for name in card.locator(".mlt-title > span:first-child").all_text_contents()] == [
        f"{number:03}" for number in range(60)
    ]
    card.get_by_role("searchbox", name="Filter metrics").fill("metric_199")
    last = card.locator(".mlt-title > .mlt-num")
    expect(last).to_have_count(1)
    chart(card, "metric_199").scroll_into_view_if_needed()
    expect(chart(card, "metric_199").locator(".js-line")).to_have_count(1, timeout=30_000)
    before = last.inner_text()
    expect(last).not_to_have_text(before, timeout=6_000)
    behind = run.refresh()["metrics"][0]["last"] - (int(last.inner_text().replace(",", "")) - 199_000)
    assert behind < 5 / 0.25
    card.screenshot(path=artifact / "metrics-200.png")
    assert len(asked) > 1
    assert all(later - one > 1.9 for one, later in itertools.pairwise(asked)), asked
    tab.press("ArrowRight")
    page.wait_for_timeout(500)
    asked.clear()
    page.wait_for_timeout(3000)
    assert asked == []  # nobody looks
    run.cancel()
