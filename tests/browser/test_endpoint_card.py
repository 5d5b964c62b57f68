"""From a finished run to an endpoint that knows a drawn digit, in JupyterLab: try, register, deploy, draw, update, delete."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Locator, Page, Response, expect

from jupyter_mltrain.api.model import Model
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.webservice import Webservice
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.widgets.endpoint_output import MIME
from tests.browser.cards import axe, fits, opened, saved, settled
from tests.browser.conftest import Lab, seen
from tests.browser.digits import trained

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SEVEN = [[(0.25, 0.2), (0.72, 0.2), (0.5, 0.85)]]
FOUR_IN_A_CORNER = [[(0.14, 0.08), (0.1, 0.3), (0.3, 0.29)], [(0.28, 0.14), (0.25, 0.44)]]


@pytest.fixture(scope="module")
def place(lab: Lab) -> Iterator[Workspace]:
    workspace = Workspace.create("digits", path=lab.folder / "digits")
    yield workspace
    for service in Webservice.list(workspace):
        service.delete()
    workspace.connection.post("/v1/handover")


@pytest.fixture(scope="module")
def run(place: Workspace) -> Run:
    return trained(place)


@pytest.fixture
def wide(browser: Browser) -> Iterator[Page]:
    look = {"viewport": {"width": 1100, "height": 1000}, "color_scheme": "light", "has_touch": True}
    with seen(browser, **look) as page:
        yield page


def draw(page: Page, card: Locator, strokes: Sequence[Sequence[tuple[float, float]]]) -> None:
    """Draw as a hand does, on the canvas's unit square."""
    sheet = card.get_by_label("Drawing area")
    sheet.scroll_into_view_if_needed()
    settled(page)
    box = sheet.bounding_box()
    assert box is not None
    at = [[(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke] for stroke in strokes]
    for first, *others in at:
        page.mouse.move(*first)
        page.mouse.down()
        for point in others:
            page.mouse.move(*point, steps=8)
        page.mouse.up()


def recognised(card: Locator, digit: int) -> None:
    """It comes to take the drawing for this digit rather than for all others together."""
    best = card.locator(".mlt-best")
    expect(best).to_contain_text(re.compile(rf"^{digit}\s*(100|[5-9]\d)(\.\d+)?\s*%$"))


def test_from_a_run_to_a_drawn_digit(lab: Lab, place: Workspace, run: Run, wide: Page, artifact: Path) -> None:
    page = wide
    heard: list[str] = []

    def hear(got: Response) -> None:
        if "/mltrain/workspaces/" in got.url and got.ok:
            with contextlib.suppress(Error):  # the browser keeps no body of what the page has given up
                heard.append(got.text())

    page.on("response", hear)
    page.on("request", lambda sent: heard.append(str(sent.headers)) if "/mltrain/" in sent.url else None)
    lab.write("digits/run.ipynb", [run._repr_mimebundle_()])
    lab.visit(page, "digits/run.ipynb")
    page.get_by_role("tab", name=re.compile("^Outputs")).click()
    page.get_by_role("button", name="Register model").click()
    register = page.get_by_role("form", name="Register model")
    register.get_by_role("button", name="Try it first").click()
    expect(register.get_by_text("The model predicts.")).to_be_visible()
    page.screenshot(path=artifact / "deploy-1-tried.png")
    register.get_by_label("Name", exact=True).fill("digits")
    register.get_by_role("button", name="Register version 1").click()
    expect(register.get_by_text("Registered as digits:1")).to_be_visible()
    register.get_by_role("button", name="Deploy", exact=True).click()

    form = page.get_by_role("form", name="Deploy model")
    name = form.get_by_label("Name", exact=True)
    name.fill("Not_allowed")
    expect(form.get_by_text("It begins with a small letter")).to_be_visible()
    expect(form.get_by_role("button", name="Deploy", exact=True)).to_be_disabled()
    name.fill("known-digits")
    form.get_by_label("Memory (GB)").fill("0.5")
    expect(form.get_by_text(re.compile(r"0\.9 instead of 0\.5.*measured"))).to_be_visible()
    form.get_by_label("Requests need a key").check()
    form.get_by_role("button", name="Details").click()
    expect(form.get_by_role("region", name="Model digits:1")).to_contain_text("SavedModel")
    form.get_by_role("button", name="Show as a cell").click()
    expect(form.locator(".mlt-cell")).to_contain_text("auth_enabled=True")
    expect(form.locator(".mlt-cell")).to_contain_text('Model.deploy(ws, "known-digits", ["digits:1"]')
    form.scroll_into_view_if_needed()
    page.screenshot(path=artifact / "deploy-2-form.png")
    assert axe(page) == []
    form.get_by_role("button", name="Deploy", exact=True).click()

    card = page.get_by_role("group", name=re.compile("^Endpoint known-digits"))
    expect(card.locator(".mlt-pill")).to_have_text("Healthy")
    draw(page, card, SEVEN)
    recognised(card, 7)
    card.scroll_into_view_if_needed()
    page.screenshot(path=artifact / "endpoint-drawn.png")
    card.get_by_role("button", name="Clear").click()
    expect(card.locator(".mlt-best")).to_have_count(0)
    draw(page, card, FOUR_IN_A_CORNER)
    recognised(card, 4)
    card.get_by_label("Drawing area").focus()
    for digit in (3, 8, 0):  # in a notebook's command mode these make headings, or restart the kernel
        page.keyboard.press(str(digit))
        recognised(card, digit)
    page.keyboard.press("Delete")
    expect(card.locator(".mlt-best")).to_have_count(0)
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(card.locator(".mlt-figures")).to_contain_text(re.compile(r"p50\s*[\d.]+ ms"))
    assert axe(page) == []

    service = Webservice(place, "known-digits")
    keys = service.get_keys()
    assert len(heard) > 20
    assert not [text for text in heard for key in keys if key in text], "a key in the page"


def test_the_card_of_a_cells_value(lab: Lab, place: Workspace, run: Run, wide: Page, artifact: Path) -> None:
    page = wide
    model = run.register_model("digits", "outputs/model")
    service = Model.deploy(place, "known-digits", [model], overwrite=True)
    service.wait_for_deployment()
    shown = service._repr_mimebundle_()
    assert "mlt-card" in shown["text/html"]
    assert not [key for key in place.connection.get("/v1/endpoints/known-digits/keys").values() if key in str(shown)]
    assert str(place.root) not in str(shown)
    lab.write("digits/card.ipynb", [shown])
    lab.visit(page, "digits/card.ipynb")
    card = page.get_by_role("group", name=re.compile("^Endpoint known-digits"))
    expect(page.locator(".mlt-endpoint.mlt-alive")).to_have_count(1)
    for scheme, width in (("light", 1100), ("dark", 1100), ("dark", 520), ("light", 520)):
        page.emulate_media(color_scheme=scheme)  # pyright: ignore[reportArgumentType]
        page.set_viewport_size({"width": width, "height": 1000})
        light = str(scheme == "light").lower()
        expect(page.locator("body")).to_have_attribute("data-jp-theme-light", light)
        card.get_by_role("button", name="Draw a 5").click()
        recognised(card, 5)
        fits(page)
        page.screenshot(path=artifact / f"endpoint-{scheme}-{width}.png")
        assert axe(page) == []
    page.emulate_media(forced_colors="active", color_scheme="light")
    page.screenshot(path=artifact / "endpoint-forced.png")
    page.emulate_media(forced_colors="none", color_scheme="light")
    page.set_viewport_size({"width": 1100, "height": 1000})

    card.get_by_role("tab", name="Request").click()
    card.get_by_label("Request (JSON, POST /score)").fill('{"instances": [[1, 2]]}')
    card.get_by_role("button", name="Send").click()
    answer = card.get_by_label("Answer", exact=True)
    expect(answer).to_contain_text("400")
    card.get_by_role("button", name="Example").click()
    card.get_by_role("button", name="Send").click()
    expect(answer).to_contain_text("predictions")
    card.get_by_role("tab", name="Use").click()
    expect(card.get_by_label("Without us")).to_contain_text("tensorflow/serving")
    page.screenshot(path=artifact / "endpoint-use.png")
    card.get_by_role("tab", name="Logs").click()
    expect(card.get_by_role("log")).to_contain_text(re.compile("400"))
    assert axe(page) == []

    card.get_by_role("button", name="Update", exact=True).first.click()
    form = page.get_by_role("form", name="Update endpoint")
    expect(form.get_by_text(re.compile("known-digits serves digits:1 now"))).to_be_visible()
    form.get_by_label("Memory (GB)").fill("1.5")
    form.get_by_role("button", name="Update", exact=True).click()
    card.get_by_role("tab", name="Details").click()
    expect(card).to_contain_text("1.5 GB")
    expect(card.locator(".mlt-pill")).to_have_text("Healthy")
    expect(card).to_contain_text(re.compile(r"Revision\s*\d"))
    assert Webservice(place, "known-digits").entry["memory_gb"] == 1.5
    card.get_by_role("button", name="digits:1").click()
    expect(card.get_by_role("region", name="Model digits:1")).to_contain_text("SavedModel")

    card.get_by_role("button", name="Delete").click()
    card.get_by_role("alertdialog").get_by_role("button", name="Keep it").click()
    assert [one.name for one in Webservice.list(place)] == ["known-digits"]
    card.get_by_role("button", name="Delete").click()
    card.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    expect(card.locator(".mlt-pill")).to_have_text("deleted")
    assert Webservice.list(place) == []
    # The notebook says so too, without a kernel and for viewers without this extension.
    held = saved(page, place.root / "card.ipynb", lambda data: data[MIME]["state"]["phase"] == "deleted")
    assert (held[MIME]["state"]["memory_gb"], held[MIME]["state"]["serving"]) == (1.5, None)
    assert "deleted" in held["text/html"]
    assert "state=deleted" in held["text/plain"]
    assert str(place.root) not in str(held)
    page.reload()
    expect(card.locator(".mlt-pill")).to_have_text("deleted")


def test_a_models_display_and_the_form_for_it(lab: Lab, place: Workspace, run: Run, wide: Page, artifact: Path) -> None:
    page = wide
    assert run.register_model("digits", "outputs/model").version == 1
    head = (
        "from jupyter_mltrain import DeployForm, Model, Workspace\nmodel = Model(Workspace.from_config(), 'digits')\n"
    )
    opened(lab, page, lab.folder / "digits", f"{head}model", "DeployForm(model)")
    card = page.get_by_role("group", name="Model digits:1")
    card.get_by_role("button", name="Deploy", exact=True).click()
    expect(card.get_by_role("form", name="Deploy model").get_by_label("Name", exact=True)).to_have_value("digits")
    card.get_by_role("button", name="Close").click()
    card.get_by_role("button", name="Try it first").click()
    expect(card.get_by_text("The model predicts.")).to_be_visible()
    form = page.locator(".mlt-widget").get_by_role("form", name="Deploy model")
    form.get_by_label("Name", exact=True).fill("from-a-form")
    assert axe(page) == []
    form.get_by_role("button", name="Deploy", exact=True).click()
    endpoint = page.get_by_role("group", name=re.compile("^Endpoint from-a-form"))
    expect(endpoint.locator(".mlt-pill")).to_have_text("Healthy")
    endpoint.get_by_role("button", name="Draw a 2").click()
    recognised(endpoint, 2)
    page.screenshot(path=artifact / "model-and-form.png")
