"""The live card in a real JupyterLab: alive while the kernel is blocked, after it died, after a reload; its buttons act."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.client import workspaces
from jupyter_mltrain.client.connection import Connection
from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.widgets.output import MIME
from tests.browser.cards import (
    APPS,
    EVIL,
    axe,
    blocked,
    busy,
    cell,
    fits,
    goes_to,
    opened,
    pill,
    ready,
    run_cell,
    saved,
    script,
    settled,
    submitted,
    until,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_the_card_is_alive_while_the_kernel_is_blocked(lab, page, folder, artifact):
    sockets: list[WebSocketRoute] = []
    cut = False

    def through(socket: WebSocketRoute) -> None:
        if cut:
            socket.close()
        else:
            socket.connect_to_server()
            sockets.append(socket)

    page.route_web_socket(re.compile("/mltrain/live"), through)
    goes_to(pace := folder / "pace", 15)
    opened(lab, page, folder, cell(steps=30, pace=pace), "import time; time.sleep(3600)")
    expect(pill(page)).to_have_text("Running")
    chart = page.get_by_role("img", name=re.compile("^loss"))
    expect(chart).to_be_visible()
    blocked(page)
    page.screenshot(path=artifact / "live-card-running.png")
    # The connection breaks: the card says so, and goes on where it stood.
    assert len(sockets) == 1
    cut = True
    sockets[0].close()
    foot = page.locator(".mlt-foot")
    expect(foot).to_contain_text("connection lost")
    cut = False
    expect(foot).to_contain_text("live")
    chart.hover()
    expect(page.locator(".mlt-reading")).to_have_count(3)
    page.screenshot(path=artifact / "live-card-hover.png")
    goes_to(pace, 30)
    expect(pill(page)).to_have_text("Completed")
    expect(page.get_by_role("img", name="loss, last value 0.03333")).to_be_visible()
    assert busy(page)
    settled(page)
    page.screenshot(path=artifact / "live-card-completed.png")
    page.get_by_role("tab", name="Logs").click()
    log = page.get_by_role("log")
    expect(log).to_contain_text(f"step 29  {EVIL}")
    page.screenshot(path=artifact / "live-card-logs.png")
    page.get_by_role("tab", name="Outputs").click()
    page.get_by_role("button", name="result.json", exact=True).click()
    expect(page.locator(".mlt-preview")).to_contain_text('"accuracy": 0.97')
    page.screenshot(path=artifact / "live-card-outputs.png")
    page.get_by_role("tab", name="Details").click()
    expect(page.locator(".mlt-history")).to_contain_text("exit code 0")
    page.screenshot(path=artifact / "live-card-details.png")
    assert page.evaluate("window.pwned") is None


def test_buttons_act_while_the_kernel_is_blocked(lab, page, folder, artifact):
    goes_to(pace := folder / "pace", 5)
    opened(lab, page, folder, cell(steps=10, pace=pace), "import time; time.sleep(3600)")
    expect(pill(page)).to_have_text("Running")
    blocked(page)
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(pill(page)).to_have_text("Canceled")
    expect(page.locator(".mlt-ended")).to_contain_text("SIGTERM")
    page.screenshot(path=artifact / "live-card-canceled.png")
    page.get_by_role("button", name="Rerun", exact=True).click()
    expect(page.locator(".mlt-alive")).to_have_count(2)
    again = page.locator(".mlt-alive").nth(1)
    expect(again.locator(".mlt-pill")).to_have_text("Running")
    again.get_by_role("button", name="Stop and keep").click()
    expect(again.locator(".mlt-pill")).to_have_text(re.compile("Canceled|Completed"))
    assert busy(page)


def test_the_card_outlives_its_kernel_and_its_page(lab, page, folder):
    goes_to(pace := folder / "pace", 20)
    opened(lab, page, folder, cell(steps=60, pace=pace), "import os; os._exit(1)", run=1)
    expect(pill(page)).to_have_text("Running")
    ready(page)
    run_cell(page, 1)
    died = page.get_by_role("dialog", name=re.compile("Kernel Restarting"))
    died.get_by_role("button", name="Ok").click()
    expect(page.get_by_role("tab", name="Metrics 3")).to_be_visible()
    shown = page.locator(".mlt-title > .mlt-num").first
    expect(shown).to_have_text("0.05")
    goes_to(pace, 40)
    expect(shown).to_have_text("0.025")
    saved(page, folder / "live.ipynb", lambda data: MIME in data)
    page.reload()
    # What the notebook says from here on, only this page has written: the kernel that submitted is gone.
    expect(pill(page)).to_have_text("Running")
    expect(page.locator(".mlt-foot")).to_contain_text("live")
    goes_to(pace, 60)
    expect(pill(page)).to_have_text("Completed")
    data = saved(page, folder / "live.ipynb", lambda data: data[MIME]["state"]["status"] == "Completed")
    assert str(folder) not in str(data)
    assert next(series for series in data[MIME]["series"] if series["name"] == "loss")["total"] == 60
    assert "step 59" in data[MIME]["log"]["tail"]
    assert "Completed" in data["text/html"]
    assert "<script>" not in data["text/html"]
    assert "Status: Completed" in data["text/plain"]


@pytest.mark.parametrize("page", [("dark", 520)], indirect=True)
def test_a_notebook_opened_next_week_starts_nothing_until_asked(lab, page, folder, artifact):
    root = workspaces.create_root(folder)
    workspace = Workspace.from_config(root)
    failing = script(4, name="step") + "raise MemoryError('no room for <b>x</b>')"
    run = submitted(workspace, failing, until=None)
    run.wait_for_completion(wait_post_processing=True, raise_on_error=False)
    lab.write(f"{folder.name}/later.ipynb", [run._repr_mimebundle_()])
    workspace.connection.post("/v1/handover")
    while Layout(root).address.exists():
        page.wait_for_timeout(50)
    lab.visit(page, f"{folder.name}/later.ipynb")
    expect(page.locator(".mlt-foot")).to_contain_text("recorded on")
    show = page.get_by_role("button", name="Show live")
    expect(show).to_be_visible()
    assert Connection.running(folder) is None
    show.click()
    expect(pill(page)).to_have_text("Failed")
    expect(pill(page)).to_be_in_viewport()
    expect(page.get_by_role("log")).to_contain_text("MemoryError: no room for <b>x</b>")
    settled(page)
    page.screenshot(path=artifact / "live-card-failed.png")
    page.get_by_role("tab", name="Metrics").click()
    expect(page.get_by_role("img", name="loss, last value 0.25")).to_be_visible()
    assert axe(page) == []
    page.screenshot(path=artifact / "live-card-metrics.png")
    page.get_by_role("tab", name="Outputs").click()
    page.get_by_role("button", name="Register model").click()
    assert axe(page) == []
    page.screenshot(path=artifact / "live-card-outputs.png")
    page.get_by_role("tab", name="Details").click()
    assert axe(page) == []
    page.screenshot(path=artifact / "live-card-failed-details.png")
    fits(page)


@pytest.mark.parametrize("app", APPS)
def test_a_run_is_registered_and_looked_at_without_a_cell(lab, page, folder, artifact, app):
    opened(lab, page, folder, cell(steps=8), app=app)
    expect(pill(page)).to_have_text("Completed")
    page.get_by_role("button", name="Enlarge loss").click()
    expect(page.locator(".mlt-large .plot-container")).to_be_visible()
    settled(page)
    page.screenshot(path=artifact / f"live-card-large-{app}.png")
    page.get_by_role("button", name="Close").click()
    _to_the_outputs_by_keys(page)
    expect(page.get_by_role("tab", name="Outputs")).to_have_attribute("aria-selected", "true")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download outputs/result.json").click()
    assert Path(download.value.path()).read_text() == '{"accuracy": 0.97}'
    page.get_by_role("button", name="Register model").press("Enter")
    form = page.get_by_role("form", name="Register model")
    _choose_by_keys(form.get_by_label("Model"), "outputs/result.json")
    form.get_by_label("Name").fill("tiny")
    form.get_by_label("Tags").fill("kind=demo")
    form.get_by_role("button", name="Show as a cell").click()
    expect(form.locator(".mlt-cell")).to_contain_text('model_name="tiny"')
    form.get_by_role("button", name=re.compile("^Register")).click()
    expect(form.get_by_text("Registered as tiny:1")).to_be_visible()
    version = page.get_by_role("region", name="Model tiny:1")
    form.get_by_role("button", name="tiny:1").press("Enter")
    expect(version).to_contain_text("kind=demo")
    version.get_by_text("Files", exact=True).click()
    expect(version.get_by_role("listitem")).to_have_text("result.json18 bytes")
    page.screenshot(path=artifact / f"live-card-register-{app}.png")
    version.get_by_role("button", name="Close").click()
    form.get_by_role("button", name=re.compile("^Register")).click()
    expect(form.get_by_text("Already registered as tiny:1: the content is the same.")).to_be_visible()
    expect(page.locator(".mlt-foot")).to_contain_text("registered as tiny:1")
    page.locator(".mlt-foot").get_by_role("button", name="tiny:1").click()
    expect(version).to_contain_text("kind=demo")
    page.get_by_role("tab", name="Details").click()
    page.get_by_label("Notes").fill("worth <keeping>")
    page.get_by_role("button", name="Save notes").click()
    page.get_by_role("button", name="Pin", exact=True).click()
    expect(page.get_by_role("button", name="Unpin")).to_be_visible()

    def kept() -> tuple[str, bool]:
        state = Connection.running(folder).get("/v1/runs/latest")
        return state["notes"], state["pinned"]

    until(page, lambda: kept() == ("worth <keeping>", True), kept)


def _to_the_outputs_by_keys(page: Page) -> None:
    """From the metrics, which are shown, to the outputs by way of the log: every key that a notebook's cells have uses of their own for."""
    cells = page.locator(".jp-Cell").count()
    reset = page.get_by_role("button", name="Reset zoom")
    enlarge = page.get_by_role("button", name="Enlarge loss")
    enlarge.press("+")
    expect(reset).to_be_visible()
    enlarge.press("ArrowRight")
    for _ in range(2):
        enlarge.press("0")
    expect(reset).to_have_count(0)
    metrics, logs, outputs = (page.get_by_role("tab", name=name) for name in ("Metrics", "Logs", "Outputs"))
    metrics.press("End")
    expect(page.get_by_role("tab", name="Details")).to_be_focused()
    page.keyboard.press("Home")
    expect(metrics).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(logs).to_have_attribute("aria-selected", "true")
    search = page.get_by_role("searchbox", name="Search")
    search.press_sequentially("step 0")
    expect(page.get_by_text("1 of 1", exact=True)).to_be_visible()
    search.fill("")
    page.get_by_role("button", name="Follow").press("Space")
    expect(page.get_by_role("button", name="Follow")).to_have_attribute("aria-pressed", "false")
    page.get_by_role("button", name="Follow").press("Enter")
    expect(page.get_by_role("button", name="Follow")).to_have_attribute("aria-pressed", "true")
    logs.press("ArrowRight")
    expect(outputs).to_be_focused()
    expect(page.locator(".jp-Cell")).to_have_count(cells)
    expect(page.get_by_role("dialog")).to_have_count(0)


def _choose_by_keys(select: Locator, value: str) -> None:
    for _ in range(10):
        if select.input_value() == value:
            return
        select.press("ArrowDown")
    pytest.fail(f"The arrow keys do not reach the list: {select.input_value()}")
