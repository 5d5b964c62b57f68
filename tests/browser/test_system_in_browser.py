"""The System tab in a real JupyterLab: what a run uses while it runs, and later, with GPUs, in every look."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace
from tests.browser.cards import axe, fits, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GB = 10**9
BUSY = """
held = bytearray(150_000_000)
while True:
    sum(range(100_000))
"""


def test_what_a_run_uses_is_seen_live_and_later(lab, page: Page, folder: Path, artifact: Path) -> None:
    workspace = Workspace.create("system", folder)
    config = ScriptRunConfig(script="cell.py", files={"cell.py": BUSY}, environment="current", memory_gb=0.5, cpus=1)
    run = Experiment(workspace, "system").submit(config)
    lab.write(f"{folder.name}/system.ipynb", [run._repr_mimebundle_()])
    lab.visit(page, f"{folder.name}/system.ipynb")
    card = opened(page)
    drawn_by_plotly(card, 2)
    expect(card.get_by_text("No GPU was given to this run")).to_be_visible()
    expect(card.get_by_role("img", name=re.compile(r"^CPU, peak \d+ %$"))).to_be_visible()
    expect(card.get_by_role("img", name=re.compile(r"^Memory, peak (1[5-9]|2)\d+.\d MB$"))).to_be_visible()
    before = shown(card)
    until(page, lambda: shown(card) >= before + 2, lambda: shown(card))
    card.screenshot(path=artifact / "system-live.png")

    run.cancel()
    run.wait_for_completion(wait_post_processing=True)
    with_gpus(run)
    page.reload()
    card = opened(page)
    drawn_by_plotly(card, 6)
    for name in ("GPU 0, peak 9", "GPU 0 memory, peak 62.0 GB", "GPU 3, peak 9", "GPU 3 memory, peak 62.0 GB"):
        expect(card.get_by_role("img", name=name)).to_be_visible()
    expect(card.locator(".mlt-row span")).to_have_text([f"GPU {name}: NVIDIA H100 80GB HBM3" for name in (0, 3)])
    for theme, width in (("light", 1100), ("dark", 520)):
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size({"width": width, "height": 1000})
        expect(page.locator("body")).to_have_attribute("data-jp-theme-light", str(theme == "light").lower())
        fits(page)
        card.screenshot(path=artifact / f"system-{theme}-{width}.png")
        assert axe(page) == []


def opened(page: Page) -> Locator:
    """The live card, on its System tab."""
    card = page.locator(".mlt-alive")
    expect(card).to_be_visible()
    card.get_by_role("tab", name="System").click()
    return card


def drawn_by_plotly(card: Locator, charts: int) -> None:
    drawn = card.locator(".mlt-plotted").filter(has=card.page.locator(".js-line"))
    expect(drawn).to_have_count(charts)


def shown(card: Locator) -> int:
    """How many points the charts have."""
    words = card.locator(".mlt-tools .mlt-num").last.text_content() or ""
    return int(words.split()[0].replace(",", ""))


def with_gpus(run: Run) -> None:
    """Give the run samples of two GPUs, as its shim would have written them."""
    path = run.workspace.root / ".mltrain" / "runs" / run.id / "streams" / "r0.system"
    lines = path.read_text().splitlines()
    start = json.loads(lines[1])[2]
    given = {**json.loads(lines[0]), "gpus": 2}
    devices = [{"name": name, "model": "NVIDIA H100 80GB HBM3", "memory": 80 * GB} for name in ("0", "3")]
    records: list[object] = [given, {"k": "gpus", "t": start, "gpus": devices}]
    for number in range(5_000):
        at = start + 2 * number
        for name in ("0", "3"):
            records.append([f"gpu{name}_percent", None, at, round(85 + 12 * math.sin(number / 90 + int(name)), 1)])
            records.append([f"gpu{name}_memory_bytes", None, at, min(62, 2 + number / 10) * GB])
    with path.open("a") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
