"""The Metrics tab in a real JupyterLab: Plotly where it is seen, SVG before and without it, one range and one pointer for all."""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace
from tests.browser.cards import axe, fits, settled, submitted, until
from tests.browser.conftest import PATIENCE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

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


@pytest.fixture(scope="module")
def logged(lab) -> Iterator[Run]:
    """A run that has logged three metrics, 20,000 points each."""
    folder = lab.folder / "logged"
    folder.mkdir()
    workspace = Workspace.create("metrics", folder)
    run = submitted(workspace, textwrap.dedent(LOGS.format(points=POINTS)), until="Completed")
    run.wait_for_completion(wait_post_processing=True)
    yield run
    workspace.connection.post("/v1/handover")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def card(lab, page: Page, folder: Path, logged: Run) -> Locator:
    """Its live card, drawn."""
    lab.write(f"{folder.name}/metrics.ipynb", [logged._repr_mimebundle_()])
    lab.visit(page, f"{folder.name}/metrics.ipynb")
    card = page.locator(".mlt-alive")
    drawn_by_plotly(card)
    return card


def chart(card: Locator, name: str) -> Locator:
    return card.get_by_role("img", name=re.compile(f"^{name}, "))


def drawn_by_plotly(card: Locator) -> None:
    # A line with gaps is several paths.
    drawn = card.locator(".mlt-plotted").filter(has=card.page.locator(".js-line"))
    expect(drawn).to_have_count(len(METRICS))


def ends(card: Locator) -> list[tuple[str, ...]]:
    """What each chart says that its horizontal axis begins and ends with."""
    texts = "charts => charts.map(chart => [...chart.querySelectorAll('.mlt-from, .mlt-to')].map(t => t.textContent))"
    return [tuple(pair) for pair in card.locator(".mlt-frame").evaluate_all(texts)]


def drag(page: Page, over: Locator, start: float, stop: float) -> None:
    """With the mouse, from one share of the chart's width to another."""
    over.scroll_into_view_if_needed()
    settled(page)
    box = over.bounding_box()
    assert box
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + (start + stop) / 2 * box["width"], y, steps=4)
    page.mouse.move(box["x"] + stop * box["width"], y, steps=4)
    page.mouse.up()


@pytest.mark.parametrize("page", [("light", 1100), ("dark", 520)], indirect=True, ids=str)
def test_small_charts_are_plotly_and_show_one_range(page, card, artifact, request):
    whole = [("0", "step 19,999")] * 3
    until(page, lambda: ends(card) == whole, lambda: ends(card))
    name = "-".join(map(str, request.node.callspec.params["page"]))
    settled(page)
    card.screenshot(path=artifact / f"metrics-{name}.png")
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if "/series?" in one.url and "start=" in one.url else None)
    drag(page, chart(card, "loss"), 0.4, 0.6)
    reset = card.get_by_role("button", name="Reset zoom")
    expect(reset).to_be_visible()
    until(page, lambda: ends(card)[0] != whole[0] and len(set(ends(card))) == 1, lambda: ends(card))
    # Each chart has fetched the window's own points, once.
    until(page, lambda: len(asked) >= len(METRICS), lambda: asked, times=20)
    assert sorted(re.findall(r"name=(\w+)", url)[0] for url in asked) == sorted(METRICS), asked
    card.screenshot(path=artifact / f"metrics-zoomed-{name}.png")
    assert axe(page) == []
    fits(page)
    for _ in range(10):
        chart(card, "rate").dblclick()
        with contextlib.suppress(AssertionError):  # a page that is busy hears two clicks too far apart to be one
            expect(reset).to_have_count(0, timeout=3_000)
            break
    until(page, lambda: ends(card) == whole, lambda: ends(card))
    expect(reset).to_have_count(0)


def test_keys_zoom_and_one_pointer_reads_all_charts(page, card, artifact):
    reset = card.get_by_role("button", name="Reset zoom")
    card.get_by_role("button", name="Zoom in").focus()
    page.keyboard.press("Enter")
    expect(reset).to_be_visible()
    range_is(page, card, POINTS / 4, POINTS * 3 / 4, abs=5)
    card.get_by_role("button", name="Enlarge loss").focus()
    page.keyboard.press("ArrowLeft")
    range_is(page, card, POINTS / 8, POINTS * 5 / 8, abs=5)
    page.keyboard.press("+")
    range_is(page, card, POINTS / 4, POINTS / 2, abs=5)
    page.keyboard.press("-")
    range_is(page, card, POINTS / 8, POINTS * 5 / 8, abs=5)
    # In a cell, 0 twice asks whether to restart the kernel; here it shows the whole run.
    page.keyboard.press("0")
    page.keyboard.press("0")
    expect(reset).to_have_count(0)
    expect(page.get_by_role("dialog")).to_have_count(0)
    range_is(page, card, 0, POINTS - 1, abs=0)

    chart(card, "accuracy").hover()
    readings = card.locator(".mlt-reading text")
    expect(readings).to_have_count(3)
    words = [text.split(" · step ")[1] for text in readings.all_text_contents()]
    places = [int(word.replace(",", "")) for word in words]
    assert max(places) - min(places) < POINTS / 100
    card.screenshot(path=artifact / "metrics-hover.png")
    card.get_by_role("button", name="Enlarge loss").click()
    large = card.locator(".mlt-plotted-large")
    expect(large.locator(".js-line")).to_have_count(1)
    settled(page)
    chart(card, "rate").hover()
    # What the label says has room in its box.
    label, text = (large.locator(f".hoverlayer {part}").last for part in (".bg", "text.legendtext"))
    expect(label).to_be_visible()
    until(page, lambda: right_of(text) <= right_of(label), lambda: (right_of(text), right_of(label)))
    page.mouse.move(0, 0)
    expect(readings).to_have_count(0)
    large.hover()
    expect(readings).to_have_count(3)
    card.screenshot(path=artifact / "metrics-large.png")
    drag(page, large, 0.5, 0.7)
    expect(reset).to_be_visible()
    until(page, lambda: len(set(ends(card))) == 1 and ends(card)[0][0] != "0", lambda: ends(card))
    card.screenshot(path=artifact / "metrics-large-zoomed.png")


def right_of(shown: Locator) -> float:
    box = shown.bounding_box()
    assert box
    return box["x"] + box["width"]


def range_is(page: Page, card: Locator, first: float, last: float, *, abs: float) -> None:  # noqa: A002 - pytest's name
    """All charts come to show this range."""
    wanted = pytest.approx((first, last), abs=abs)
    until(page, lambda: {tuple(map(_number, pair)) == wanted for pair in ends(card)} == {True}, lambda: ends(card))


def _number(text: str) -> float:
    return float(text.replace("step ", "").replace(",", ""))


def test_without_plotly_the_charts_are_svg(lab, page, folder, workspace, artifact):
    kept: list[str] = []

    def without_plotly(route: Route) -> None:
        """No file of the extension is as large as Plotly's chunk."""
        answer = route.fetch(timeout=PATIENCE)
        if len(answer.body()) > 500_000:
            kept.append(route.request.url)
            route.abort()
        else:
            route.fulfill(response=answer)

    page.route(re.compile(r"extensions/jupyter-mltrain/static/"), without_plotly)
    run = submitted(workspace, textwrap.dedent(LOGS.format(points=500)), until="Completed")
    lab.write(f"{folder.name}/metrics.ipynb", [run._repr_mimebundle_()])
    lab.visit(page, f"{folder.name}/metrics.ipynb")
    card = page.locator(".mlt-alive")
    expect(card.locator(".mlt-frame > svg .mlt-line")).to_have_count(3)
    until(page, lambda: len(kept) == 1, lambda: kept)
    settled(page)
    expect(card.locator(".js-line")).to_have_count(0)
    chart(card, "loss").hover()
    expect(card.locator(".mlt-reading")).to_have_count(3)
    card.get_by_role("button", name="Zoom in").click()
    range_is(page, card, 125, 375, abs=2)
    card.screenshot(path=artifact / "metrics-svg.png")
    card.get_by_role("button", name="Enlarge loss").click()
    expect(card.get_by_text("The large chart could not be loaded")).to_be_visible()


def test_charts_follow_the_theme_and_the_width(page, card, artifact):
    colours = "nodes => nodes.map(node => getComputedStyle(node).stroke)"
    card.get_by_role("button", name="Enlarge rate").click()
    expect(card.locator(".mlt-plotted-large .js-line")).to_have_count(1)
    lines = card.locator(".js-line")
    expect(lines).to_have_count(5)  # of four charts, one with a gap
    light = lines.evaluate_all(colours)
    page.emulate_media(color_scheme="dark")
    expect(page.locator("body[data-jp-theme-light=false]")).to_have_count(1)

    def changed() -> bool:
        dark = lines.evaluate_all(colours)
        return len(dark) == 5 and all(one != other for one, other in zip(light, dark, strict=True))

    until(page, changed, lambda: (light, lines.evaluate_all(colours)))
    # The words on the axes have the ink of the others.
    ink = card.locator(".mlt-title small").first.evaluate("node => getComputedStyle(node).color")
    expect(card.locator(".mlt-frame > svg text").first).to_have_css("fill", ink)
    card.screenshot(path=artifact / "metrics-changed-to-dark.png")
    # A drawing made for a wider card does not widen a narrower one. Within one task: no chart was drawn anew yet.
    narrower = "card => { card.parentElement.style.width = '300px'; return [card.clientWidth, card.scrollWidth] }"
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
    drawn = card.locator(".mlt-plotted .js-line")
    expect(drawn.first).to_be_visible()
    until(page, lambda: len(asked) == drawn.count(), lambda: (asked, drawn.count()), times=20)
    assert 0 < drawn.count() < 12
    # All of them are there to be read, drawn or not.
    expect(card.get_by_role("img")).to_have_count(12)
    card.get_by_role("button", name="Show 12 more").click()
    chart(card, "metric_23").scroll_into_view_if_needed()
    expect(chart(card, "metric_23").locator(".js-line")).to_have_count(1)
    assert "metric_23" in asked
    expect(chart(card, "metric_00").locator(".js-line")).to_have_count(0)
    expect(chart(card, "metric_00").locator("svg .mlt-line")).to_have_count(1)


LIVE = """
    import time
    from jupyter_mltrain import Run
    run = Run.get_context()
    for step in range(4000):
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
    # By the browser's clock: this process may hear of two at once.
    page.on("requestfinished", lambda one: asked.append(one.timing["startTime"]) if listed.search(one.url) else None)
    lab.write(f"{folder.name}/metrics.ipynb", [run._repr_mimebundle_()])
    lab.visit(page, f"{folder.name}/metrics.ipynb")
    card = page.locator(".mlt-alive")
    tab = card.get_by_role("tab", name="Metrics")
    expect(tab).to_have_text("Metrics 200")
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
    expect(chart(card, "metric_199").locator(".js-line")).to_have_count(1)
    expect(last).not_to_have_text(last.inner_text())

    def behind() -> float:
        return run.refresh()["metrics"][0]["last"] - (_number(last.inner_text()) - 199_000)

    until(page, lambda: behind() < 5 / 0.25, behind)
    card.screenshot(path=artifact / "metrics-200.png")
    until(page, lambda: len(asked) > 2)
    assert all(later - one > 1_900 for one, later in itertools.pairwise(sorted(asked))), asked
    tab.press("ArrowRight")
    expect(card.get_by_role("tab", name="Logs")).to_have_attribute("aria-selected", "true")
    settled(page)
    left = page.evaluate("Date.now()")
    page.wait_for_timeout(3000)
    assert [one for one in asked if one > left] == []  # nobody looks
    run.cancel()
