"""RunWidget in JupyterLab: side by side with other widgets, through a restart, and in a host that has nothing of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from jupyter_mltrain.widgets.output import MIME
from tests.browser.cards import BUSY, blocked, opened, ready, run_cell, saved
from tests.browser.conftest import Lab, folder_in, seen

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SUBMIT = '''
import jupyter_mltrain as mltrain
from jupyter_mltrain import Experiment, RunDetails, RunWidget, ScriptRunConfig, Workspace
workspace = Workspace.create("widgets", exist_ok=True)
config = workspace.root / ".mltrain" / "config.toml"
config.write_text(config.read_text().replace("# slots = 2", "slots = 2"))
script = """
import pathlib, time
from jupyter_mltrain import Run
run = Run.get_context()
pathlib.Path("outputs").mkdir(exist_ok=True)
pathlib.Path("outputs/note.txt").write_text("kept<b>")
pathlib.Path("outputs/weights.bin").write_bytes(bytes(range(256)) * 12_000)
for step in range(100_000):
    run.log("loss", 1 / (step + 1), step=step)
    run.log("accuracy", 1 - 1 / (step + 2), step=step)
    print("step", step, flush=True)
    time.sleep(0.25)
"""
def submit(name):
    given = ScriptRunConfig(script="cell.py", files={"cell.py": script}, environment="current")
    return Experiment(workspace, name).submit(given)
'''
TWO = """
from ipywidgets import HBox, Label, VBox
left, right = submit("left"), submit("right")
a, b = RunWidget(left), RunWidget(right)
said = Label("nothing yet")
a.observe(lambda change: setattr(said, "value", f"observed {len(change['new'])} metrics, loss {change['new']['loss']:.4f}"), "metrics")
VBox([HBox([a, b]), said])
"""


@pytest.fixture
def bare_folder(bare_lab: Lab, request: pytest.FixtureRequest) -> Iterator[Path]:
    with folder_in(bare_lab, request.node.name) as folder:
        yield folder


@pytest.fixture
def bare_page(browser: Browser, bare_folder: Path) -> Iterator[Page]:
    with seen(browser, viewport={"width": 1100, "height": 1000}) as page:
        yield page


def pictured(page: Page, path: Path) -> None:
    page.locator(".mlt-alive").last.evaluate("card => card.scrollIntoView({block: 'end'})")
    page.screenshot(path=path)


def cards(page: Page) -> Locator:
    return page.locator(".mlt-widget .mlt-alive")


def changes(page: Page, shown: Locator) -> None:
    before = shown.inner_text()
    expect(shown).not_to_have_text(before)


def test_two_widgets_side_by_side(lab: Lab, page: Page, folder: Path, artifact: Path) -> None:
    scripts: list[str] = []
    sockets: list[str] = []
    page.on("request", lambda request: scripts.append(request.url) if "/mltrain/static/" in request.url else None)
    page.on("websocket", lambda socket: sockets.append(socket.url) if "/mltrain/live" in socket.url else None)
    opened(lab, page, folder, SUBMIT, TWO, "left", "import time; time.sleep(3600)")
    expect(cards(page)).to_have_count(2)
    for card in (cards(page).nth(0), cards(page).nth(1)):
        expect(card.locator(".mlt-pill")).to_have_text("Running")
        expect(card.get_by_role("img", name=re.compile("^loss"))).to_be_visible()
    blocked(page)
    label = page.get_by_text(re.compile("^observed 2 metrics, loss"))
    changes(page, label)
    changes(page, cards(page).nth(1).locator(".mlt-title > .mlt-num").first)
    pictured(page, artifact / "widget-two.png")
    cards(page).nth(1).get_by_role("button", name="Cancel", exact=True).click()
    expect(cards(page).nth(1).locator(".mlt-pill")).to_have_text("Canceled")
    expect(cards(page).nth(0).locator(".mlt-pill")).to_have_text("Running")
    cards(page).nth(0).get_by_role("button", name="Enlarge loss").click()
    expect(cards(page).nth(0).locator(".mlt-large .plotly")).to_have_count(1)
    pictured(page, artifact / "widget-two-canceled.png")
    # Cards of outputs and of widgets share the page's one socket, and the bundle came from the server, once.
    assert len(sockets) == 1
    assert [url.rpartition("/")[2] for url in scripts] == ["card.js", "plotly.js"]
    # The kernel that knew the widgets is gone: their runs stand in their place, and live.
    data = saved(page, folder / "live.ipynb", lambda data: "reruns" in data.get(MIME, {}), cell=1)
    assert [one["state"]["experiment"] for one in (data[MIME], *data[MIME]["reruns"])] == ["left", "right"]
    assert data["text/html"].count('class="mlt-card"') == 2
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.reload()
    boxed = page.locator(".jp-Cell").nth(1).locator(".mlt-alive")
    expect(boxed).to_have_count(2)
    expect(boxed.nth(0).locator(".mlt-pill")).to_have_text("Running")
    expect(boxed.nth(1).locator(".mlt-pill")).to_have_text("Canceled")
    changes(page, boxed.nth(0).locator(".mlt-title > .mlt-num").first)
    expect(page.get_by_text("model not found")).to_be_hidden()
    pictured(page, artifact / "widget-two-after-restart.png")


def test_a_widget_survives_restart_and_reload(lab: Lab, page: Page, folder: Path, artifact: Path) -> None:
    opened(lab, page, folder, SUBMIT, "w = RunWidget(submit('alone'))\nw", "import os; os._exit(1)", run=2)
    pill = page.locator(".mlt-alive .mlt-pill")
    expect(pill).to_have_text("Running")
    ready(page)
    run_cell(page, 2)
    died = page.get_by_role("dialog", name=re.compile("Kernel Restarting"))
    died.get_by_role("button", name="Ok").click()
    expect(pill).to_have_text("Running")
    changes(page, page.locator(".mlt-title > .mlt-num").first)
    saved(page, folder / "live.ipynb", lambda data: MIME in data, cell=1)
    page.reload()
    expect(pill).to_have_text("Running")
    expect(page.get_by_text("model not found")).to_have_count(0)
    changes(page, page.locator(".mlt-title > .mlt-num").first)
    pictured(page, artifact / "widget-after-restart.png")


def test_a_host_that_has_nothing_of_ours(bare_lab: Lab, bare_page: Page, bare_folder: Path, artifact: Path) -> None:
    page = bare_page
    ours: list[str] = []
    page.on(
        "response", lambda response: ours.append(response.url) if response.ok and "/mltrain/" in response.url else None
    )
    cell = "w = RunWidget(submit('comm'))\nw"
    opened(bare_lab, page, bare_folder, SUBMIT, cell)
    card = cards(page)
    expect(card).to_have_count(1)
    expect(card.locator(".mlt-pill")).to_have_text("Running")
    expect(card.get_by_role("img", name=re.compile("^loss"))).to_be_visible()
    changes(page, card.locator(".mlt-title > .mlt-num").first)
    page.get_by_role("tab", name="Logs").click()
    expect(page.get_by_role("log")).to_contain_text(re.compile(r"step \d+"))
    page.get_by_role("tab", name="Outputs").click()
    page.get_by_role("button", name="note.txt", exact=True).click()
    expect(page.locator(".mlt-preview")).to_contain_text("kept<b>")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download outputs/weights.bin").click()
    assert Path(download.value.path()).read_bytes() == bytes(range(256)) * 12_000
    page.get_by_role("tab", name="Metrics").click()
    card.get_by_role("button", name="Enlarge loss").click()
    expect(card.locator(".mlt-large .plotly")).to_have_count(1)
    pictured(page, artifact / "widget-comm.png")
    card.get_by_role("button", name="Close").click()
    # The kernel runs a cell: it hears nothing here, but what happens to the run is seen, and nothing is lost.
    gate = bare_folder / "gate"
    gate.touch()
    block(page, "import os, time\nwhile os.path.exists('gate'): time.sleep(0.05)")
    page.wait_for_function(BUSY)
    changes(page, card.locator(".mlt-title > .mlt-num").first)
    card.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_text("The kernel is busy; this is done as soon as its cell has ended.")).to_be_visible()
    pictured(page, artifact / "widget-comm-busy.png")
    gate.unlink()
    expect(card.locator(".mlt-pill")).to_have_text("Canceled")
    expect(page.locator(".mlt-busy")).to_have_count(0)
    page.get_by_role("button", name="Rerun", exact=True).click()
    expect(card).to_have_count(2)
    expect(card.nth(1).locator(".mlt-pill")).to_have_text("Running")
    changes(page, card.nth(1).locator(".mlt-title > .mlt-num").first)
    assert ours == []


FORMS = """
from pathlib import Path
from jupyter_mltrain import DeployForm, EnvironmentForm, Model, Workspace
workspace = Workspace.create("forms", exist_ok=True)
Path("weights.txt").write_text("1 2 3")
model = Model.register(workspace, "weights.txt", "weights")
"""


def test_forms_in_a_host_that_has_nothing_of_ours(
    bare_lab: Lab, bare_page: Page, bare_folder: Path, artifact: Path
) -> None:
    page = bare_page
    ours: list[str] = []
    page.on("response", lambda got: ours.append(got.url) if got.ok and "/mltrain/" in got.url else None)
    opened(bare_lab, page, bare_folder, FORMS, "EnvironmentForm(workspace)", "DeployForm(model)")
    form = page.get_by_role("form", name="Environment")
    lines = form.get_by_label("Packages", exact=True).and_(page.locator("textarea"))
    lines.fill("six==1.17.0\ntwo words\n")
    expect(form.get_by_text(re.compile("Line 2: This is no requirement"))).to_be_visible()
    lines.fill("six==1.17.0\n")
    form.get_by_label("Name", exact=True).fill("six-alone")
    register = form.get_by_role("button", name="Register and build")
    expect(register).to_be_enabled()
    register.click()
    expect(form.get_by_text(re.compile("^six-alone:1 is ready"))).to_be_visible()
    expect(form.get_by_role("log")).to_be_visible()
    page.screenshot(path=artifact / "form-comm-environment.png")

    deploy = page.get_by_role("form", name="Deploy model")
    # What it is, and why it cannot be served as it is, come over the comm; so does the refusal.
    deploy.get_by_role("button", name="Details").click()
    version = deploy.get_by_role("region", name="Model weights:1")
    version.get_by_text("Files", exact=True).click()
    expect(version.get_by_role("listitem")).to_have_text("weights.txt5 bytes")
    expect(deploy.get_by_role("alert")).to_contain_text("entry script")
    page.screenshot(path=artifact / "form-comm-deploy.png")
    deploy.get_by_role("button", name="Deploy", exact=True).click()
    expect(deploy.get_by_role("alert")).to_contain_text("entry script")
    assert ours == []


def block(page: Page, source: str) -> None:
    page.locator(".jp-Cell .cm-content").last.click()
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    page.keyboard.type(source)
    page.keyboard.press("Shift+Enter")
