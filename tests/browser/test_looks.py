"""How the live card looks and how it is used without a pointer: themes, high contrast, narrow cells, reduced motion."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Browser, Page, expect

from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.client import workspaces
from tests.browser.cards import axe, fits, pill, settled, submitted
from tests.browser.conftest import seen

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GOOD = """
import math, pathlib, time
from jupyter_mltrain import Run
run = Run.get_context()
pathlib.Path("outputs/model").mkdir(parents=True)
pathlib.Path("outputs/model/saved_model.pb").write_bytes(b"")
pathlib.Path("outputs/note.txt").write_text("kept")
for step in range(400):
    noise = math.sin(step * 7.3) * 0.4 + math.sin(step * 1.7) * 0.6
    run.log("val_accuracy", 0.985 - 0.13 * math.exp(-step / 60) + 0.003 * noise, step=step)
    run.log("loss", 0.06 + 0.9 * math.exp(-step / 50) + 0.012 * noise, step=step)
    run.log("accuracy", 0.991 - 0.2 * math.exp(-step / 45) + 0.002 * noise, step=step)
    run.log("learning_rate", 0.001 * 0.5 ** (step // 100), step=step)
    if not step & 15:
        print(f"epoch {step // 16 + 1:2d} of 40  loss {0.06 + 0.9 * math.exp(-step / 50):.4f}", flush=True)
    run.progress(step // 16 + 1, 40)
while pathlib.Path(%r).exists():
    time.sleep(0.05)
"""


@dataclass(frozen=True)
class Look:
    name: str
    theme: str
    width: int = 1100
    context: dict[str, Any] = field(default_factory=dict)


LOOKS = (
    Look("light", "JupyterLab Light"),
    Look("dark", "JupyterLab Dark"),
    Look("high-contrast", "JupyterLab Dark High Contrast"),
    Look("more-contrast", "JupyterLab Light", context={"contrast": "more"}),
    Look("forced-colors", "JupyterLab Light", context={"forced_colors": "active"}),
    Look("forced-colors-dark", "JupyterLab Dark", context={"forced_colors": "active", "color_scheme": "dark"}),
    Look("narrow-520", "JupyterLab Light", 520),
    Look("narrow-320", "JupyterLab Dark", 320),
    Look("still", "JupyterLab Light", context={"reduced_motion": "reduce"}),
)


@pytest.fixture(scope="module")
def running(lab) -> Iterator[str]:
    """The path of a notebook with a live run that stays as it is."""
    folder = lab.folder / "looks"
    folder.mkdir()
    gate = folder / "gate"
    gate.touch()
    workspace = Workspace.from_config(workspaces.create_root(folder))
    run = submitted(workspace, GOOD % str(gate), until=None)
    while run.refresh()["metric_points"] < 1_600:
        assert run.status not in {"Completed", "Failed", "Canceled"}
        time.sleep(0.1)
    v4 = nbformat.v4
    output = v4.new_output("execute_result", run._repr_mimebundle_(), execution_count=1)
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    cell = v4.new_code_cell("%%mltrain --env tensorflow\nrun", outputs=[output])
    nbformat.write(v4.new_notebook(cells=[cell], metadata=metadata), folder / "looks.ipynb")
    yield "looks/looks.ipynb"
    gate.unlink()
    run.wait_for_completion(wait_post_processing=True)
    workspace.connection.post("/v1/handover")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def page(lab, running: str, browser: Browser) -> Iterator[Page]:
    """The one page of all looks: each of them finds it as the last one left it, and what was drawn for another one."""
    settings = lab.folder.parent / "config" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    themes = settings / "themes.jupyterlab-settings"
    before = themes.read_text()
    themes.write_text(json.dumps({"theme": "JupyterLab Light"}))
    with seen(browser, viewport={"width": 1100, "height": 1000}) as page:
        lab.visit(page, running)
        expect(pill(page)).to_have_text("Running")
        # In a narrow window the side bars would leave nothing for the notebook.
        for side in ("left", "right"):
            page.evaluate(f"jupyterapp.shell.toggleSideTabBarVisibility('{side}')")
        expect(page.get_by_role("tab", name="Metrics 4")).to_be_visible()
        yield page
    themes.write_text(before)


PLAIN: dict[str, Any] = {
    "color_scheme": "light",
    "contrast": "no-preference",
    "forced_colors": "none",
    "reduced_motion": "no-preference",
}


@pytest.mark.parametrize("look", LOOKS, ids=[one.name for one in LOOKS])
def test_every_view_can_be_read(page: Page, look: Look, artifact: Path):
    page.set_viewport_size({"width": look.width, "height": 1000})
    page.emulate_media(**PLAIN | look.context)
    page.evaluate(f"jupyterapp.commands.execute('apputils:change-theme', {{ theme: '{look.theme}' }})")
    expect(page.locator("body")).to_have_attribute("data-jp-theme-name", look.theme)
    for view in ("Metrics", "Logs", "Outputs", "Details"):
        tab = page.get_by_role("tab", name=view)
        tab.click()
        expect(tab).to_have_attribute("aria-selected", "true")
        if view == "Metrics":
            expect(page.locator(".mlt-plotted").filter(has=page.locator(".js-line"))).not_to_have_count(0)
        fits(page)
        page.screenshot(path=artifact / f"look-{look.name}-{view.lower()}.png")
        assert axe(page) == []
    moving = "document.getAnimations().filter(one => one.effect.target.closest?.('.mlt-alive')).length"
    page.wait_for_function(f"({moving} === 0) === {str('reduced_motion' in look.context).lower()}")


def test_the_keyboard_reaches_everything(page: Page):
    page.set_viewport_size({"width": 1100, "height": 1000})
    page.emulate_media(**PLAIN)
    page.get_by_role("tab", name="Metrics").click()
    for view in ("Metrics", "Logs", "Outputs", "System", "Details"):
        tab = page.get_by_role("tab", name=view)
        expect(tab).to_be_focused()
        expect(tab).to_have_attribute("aria-selected", "true")
        expect(page.locator(_FIRST[view]).first).to_be_visible()
        settled(page)
        for _ in range(3):  # a live card may get one more control on the way
            tab.focus()
            missed = _missed_by_keys(page)
            if not missed:
                break
        assert not missed, view
        tab.focus()
        page.keyboard.press("ArrowRight")
    # Round to the first; and back from the tabs to the actions of the head, which a key presses.
    expect(page.get_by_role("tab", name="Metrics")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_focused()
    ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert ring == "solid"


def _missed_by_keys(page: Page) -> set[str]:
    """From the tab on, every control of the view and of the foot in turn, and nothing that is not seen: which are not reached."""
    wanted = page.locator(
        ".mlt-panel :is(button, input, select, textarea, a[href], summary, [tabindex='0']):visible:not(:disabled), .mlt-foot button"
    )
    assert wanted.count() > 0
    reached: set[str] = set()
    for _ in range(wanted.count() + 10):
        page.keyboard.press("Tab")
        where = page.evaluate(_FOCUSED)
        if where is None:
            break
        reached.add(where)
    return {one for one in wanted.evaluate_all(f"all => all.map({_NAME})") if one} - reached


_FIRST = {
    "Metrics": ".mlt-chart",
    "Logs": "[role=log]",
    "Outputs": ".mlt-file",
    "System": ".mlt-chart",
    "Details": ".mlt-history",
}
_NAME = "node => `${node.tagName} ${node.getAttribute('aria-label') ?? node.textContent.trim().slice(0, 40)}`"
_FOCUSED = (
    f"(() => {{ const node = document.activeElement; return node?.closest('.mlt-alive') ? ({_NAME})(node) : null; }})()"
)
