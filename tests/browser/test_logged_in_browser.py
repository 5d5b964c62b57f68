"""Images and tables that a run logged, below its charts."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from jupyter_mltrain.api.workspace import Workspace
from tests.browser.cards import EVIL, axe, submitted, until
from tests.browser.conftest import Lab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SCRIPT = f"""
import base64, pathlib
from jupyter_mltrain import Run
run = Run.get_context()
png = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
pathlib.Path("outputs").mkdir(exist_ok=True)
for step in range(10):
    pathlib.Path(f"outputs/{{step}}.png").write_bytes(png)
    run.log_image("weights", path=f"outputs/{{step}}.png", step=step)
for step in range(300):
    run.log_row("rows", step=step, loss=1 / (step + 1), said={EVIL!r})
run.log_table("confusion", {{"digit": [0, 1], "right": [float("nan"), True]}})
"""


@pytest.mark.parametrize("page", [("dark", 900)], indirect=True)
def test_images_and_tables(lab: Lab, page: Page, folder: Path, artifact: Path) -> None:
    run = submitted(Workspace.create("logged", path=folder), SCRIPT, until="Completed")
    lab.write(f"{folder.name}/logged.ipynb", [run._repr_mimebundle_()])
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url) if "/file?" in sent.url else None)
    lab.visit(page, f"{folder.name}/logged.ipynb")
    images = page.get_by_role("region", name="Images")
    newest = images.get_by_role("img", name="weights · step 9")
    newest.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('.mlt-images img')?.naturalWidth === 1")
    expect(images.get_by_role("figure")).to_have_count(8)
    images.get_by_role("button", name="Show 2 more").click()
    expect(images.get_by_role("img", name="weights · step 0")).to_have_count(1)
    until(page, lambda: len(asked) >= 10, lambda: asked)
    rows = page.get_by_role("region", name="rows, 200 of 300 rows")
    expect(rows.get_by_role("row")).to_have_count(201)
    expect(rows.get_by_role("row").last).to_contain_text("299")
    expect(rows.get_by_role("row").last).to_contain_text(EVIL)
    expect(page.get_by_role("region", name="confusion, 2 of 2 rows")).to_contain_text("NaN")
    rows.scroll_into_view_if_needed()
    page.screenshot(path=artifact / "logged-dark.png")
    assert len(asked) == len(set(asked)) == 10, "each image once"
    assert axe(page) == []
    page.get_by_role("tab", name="Details").click()
    page.get_by_role("button", name="Make an environment").click()
    expect(page.get_by_role("form", name="Environment").get_by_label("Conda YAML")).to_be_visible()
    assert axe(page) == []
    assert not page.evaluate("'pwned' in window")
