"""A run submitted from a cell in a real JupyterLab: its card appears at once and follows the run to its end."""

from __future__ import annotations

import re
import shutil

import nbformat
import pytest
from playwright.sync_api import Page, expect

from jupyter_mltrain.client.connection import Connection

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CELL = """%load_ext jupyter_mltrain
get_ipython().run_cell_magic("mltrain", "--experiment browser --env current", '''
import time
from jupyter_mltrain import Run
run = Run.get_context()
for step in range(12):
    run.log("loss", 1 / (step + 1), step=step)
    time.sleep(0.5)
''')"""


@pytest.fixture
def workspace(lab):
    """A folder of its own, so that the run's workspace is there and its service ends with the test."""
    folder = lab.folder / "live"
    folder.mkdir()
    yield folder
    service = Connection.running(folder) if (folder / ".mltrain").exists() else None
    if service is not None:
        service.post("/v1/handover")
    shutil.rmtree(folder, ignore_errors=True)


def test_the_card_follows_the_run(lab, browser, workspace, artifact):
    v4 = nbformat.v4
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell(CELL)], metadata=metadata), workspace / "live.ipynb")
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    page: Page = context.new_page()
    lab.visit(page, "live/live.ipynb")
    # A keystroke before the kernel is connected would be dropped.
    expect(page.get_by_text(re.compile(r"\| Idle"))).to_be_visible(timeout=60_000)
    page.locator(".jp-Cell .cm-content").first.click()
    page.keyboard.press("Shift+Enter")
    card = page.locator(".mlt-card")
    expect(card).to_have_count(1, timeout=60_000)
    expect(card.locator(".mlt-pill")).to_have_text("Running", timeout=60_000)
    expect(card.get_by_role("img", name=re.compile("loss"))).to_be_visible(timeout=30_000)
    page.screenshot(path=artifact / "live-running.png")
    expect(card.locator(".mlt-pill")).to_have_text("Completed", timeout=60_000)
    expect(card.get_by_role("img", name="loss, last value 0.08333")).to_be_visible()
    expect(card).to_have_count(1)
    page.screenshot(path=artifact / "live-completed.png")
    context.close()
