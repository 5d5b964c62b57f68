"""Runs of several processes in a real JupyterLab: their ranks, their logs beside each other, each one's metrics, in every look."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.distributed import TensorflowConfiguration
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.workspace import Workspace
from tests.browser.cards import axe, fits, pill, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WORK = """
import os, time
from jupyter_mltrain import Run
run = Run.get_context()
step = 0
while not os.path.exists("fail"):
    step += 1
    run.log("loss", 1 / step + run.rank, step=step)
    print("rank", run.rank, "is at step", step)
    time.sleep(0.3 + run.rank / 10)
if run.rank == 2:
    raise ValueError("no such batch")
time.sleep(10_000)
"""
LOOKS = (("light", 1100), ("dark", 1100), ("light", 360), ("dark", 360))


def test_a_run_of_several_processes_from_its_first_step_to_its_failure(
    lab, page: Page, folder: Path, artifact: Path
) -> None:
    workspace = Workspace.create("ranks", folder)
    config = ScriptRunConfig(
        script="train.py",
        files={"train.py": WORK},
        environment="current",
        distributed_job_config=TensorflowConfiguration(3, 1),
    )
    run = Experiment(workspace, "ranks").submit(config)
    lab.write(f"{folder.name}/ranks.ipynb", [run._repr_mimebundle_()])
    lab.visit(page, f"{folder.name}/ranks.ipynb")
    card = page.locator(".mlt-alive")
    expect(pill(page)).to_have_text("Running")

    # Each rank is there, runs, and gets on: seen with the keyboard alone.
    tabs = card.get_by_role("tab")
    tabs.first.focus()
    until(page, lambda: _with_key(page, "ArrowRight") == "Ranks 4")
    rows = card.get_by_role("table", name="Ranks").locator("tbody tr")
    expect(rows).to_have_count(4)
    expect(rows.get_by_text("running", exact=True)).to_have_count(4)
    roles = ["worker 0", "worker 1", "worker 2", "ps 0"]
    expect(rows.locator("td:nth-of-type(1)")).to_have_text(roles)
    until(page, lambda: all(_step(row) > 3 for row in rows.all()), rows.all_text_contents)
    looked_at(page, card, artifact, "ranks-running")

    # Metrics are the first rank's until another's are asked for.
    card.get_by_role("tab", name="Metrics").click()
    picker = card.get_by_role("combobox", name="Rank", exact=True)
    expect(picker).to_have_value("0")
    expect(picker.locator("option")).to_have_text(["Rank 0", "Rank 1", "Rank 2", "Rank 3", "All ranks"])
    last = card.locator(".mlt-title .mlt-num")
    until(page, lambda: 0 < float(last.inner_text()) < 1, last.inner_text)
    picker.select_option("3")
    until(page, lambda: 3 < float(last.inner_text()) < 4, last.inner_text)
    picker.select_option(label="All ranks")
    expect(card.locator(".mlt-plotted .js-line")).to_have_count(4)
    card.screenshot(path=artifact / "ranks-metrics.png")

    # Logs stand beside each other, and follow.
    card.get_by_role("tab", name="Logs").click()
    card.get_by_role("combobox", name="Log").select_option(label="All ranks")
    lanes = card.locator(".mlt-lane")
    expect(lanes).to_have_count(4)
    for rank in range(4):
        lane = card.get_by_role("region", name=f"Rank {rank}")
        expect(lane.get_by_role("log")).to_contain_text(f"rank {rank} is at step ")
    looked_at(page, card, artifact, "ranks-lanes")
    card.get_by_role("searchbox", name="Filter ranks").fill("ps")
    expect(lanes).to_have_count(1)
    expect(lanes.first).to_have_attribute("aria-label", "Rank 3")
    card.get_by_role("button", name="Log of rank 3").click()
    expect(card.get_by_role("combobox", name="Log")).to_have_value("user_logs/std_log_3.txt")

    # The first that fails leads: its rank, its traceback, its log, its row.
    (workspace.root / ".mltrain" / "runs" / run.id / "work" / "fail").touch()
    expect(pill(page)).to_have_text("Failed")
    run.wait_for_completion(wait_post_processing=True, raise_on_error=False)
    expect(card.locator(".mlt-why")).to_contain_text("ValueError: no such batch on rank 2")
    expect(card.locator(".mlt-first")).to_contain_text("First to fail: ▲Rank 2 · worker 2")
    page.reload()
    card = page.locator(".mlt-alive")
    expect(card.get_by_role("tab", name="Logs")).to_have_attribute("aria-selected", "true")
    expect(card.get_by_role("combobox", name="Log")).to_have_value("user_logs/std_log_2.txt")
    expect(card.get_by_role("log")).to_contain_text("ValueError: no such batch")
    card.screenshot(path=artifact / "ranks-failed-log.png")
    card.get_by_role("tab", name="Ranks").click()
    expect(card.locator("tbody tr").first).to_contain_text("Rank 2")
    expect(card.locator("tbody tr").first).to_contain_text("first to fail")
    expect(card.locator("tbody").get_by_text("running", exact=True)).to_have_count(0)
    looked_at(page, card, artifact, "ranks-failed")

    # A saved output tells them without us.
    html = run._repr_mimebundle_()["text/html"]
    (folder / "saved.html").write_text(f"<!doctype html><meta charset=utf-8>{html}")
    page.goto((folder / "saved.html").as_uri())
    page.locator("summary", has_text="Ranks").click()
    expect(page.locator(".mlt-few li").first).to_contain_text("▲Rank 2 · worker 2")
    page.locator(".mlt-card").screenshot(path=artifact / "ranks-saved.png")


def test_hundreds_of_ranks_are_found_at_once(lab, page: Page, folder: Path, artifact: Path) -> None:
    workspace = Workspace.create("many", folder)
    config = ScriptRunConfig(script="cell.py", files={"cell.py": "print('done')"}, environment="current")
    run = Experiment(workspace, "many").submit(config)
    run.wait_for_completion(wait_post_processing=True)
    # Too many for this machine: the door answers as it would.
    saved = json.loads((Path(__file__).parents[1] / "fixtures" / "run-ranks.json").read_text())["state"]
    one = saved["ranks"]["ranks"][0] | {"status": "running", "exit": ""}
    ranks = [one | {"rank": n, "host": f"gpu-box-{n // 8}", "behind": n % 97 / 10} for n in range(256)]
    ranks[77] |= {"status": "failed", "exit": "exit code 1"}
    answer = saved["ranks"] | {"failed": 77, "ranks": ranks}
    page.route(re.compile(r"/mltrain/.*/ranks(\?|$)"), lambda route: route.fulfill(json=answer))
    shown = run._repr_mimebundle_()
    lab.write(f"{folder.name}/many.ipynb", [shown])

    def many(socket) -> None:
        server = socket.connect_to_server()

        def hear(text: str) -> None:
            said = json.loads(text)
            if said.get("type") == "state":
                said["state"] |= {"status": "Running", "processes": 256, "ranks": answer | {"ranks": ranks[:32]}}
            socket.send(json.dumps(said))

        server.on_message(hear)

    page.route_web_socket(re.compile(r"/mltrain/"), many)
    lab.visit(page, f"{folder.name}/many.ipynb")
    card = page.locator(".mlt-alive")
    card.get_by_role("tab", name="Ranks 256").click()
    rows = card.locator("tbody tr")
    expect(rows).to_have_count(32)
    expect(rows.first).to_contain_text("Rank 77")
    assert card.locator("*").count() < 1_500
    card.get_by_role("combobox", name="Order").select_option(label="Furthest behind first")
    expect(rows.nth(1)).to_contain_text("9.6 s")
    took = page.evaluate(_TYPED)
    print(f"\n256 ranks: a filter is shown {took:.0f} ms after it was typed")
    expect(rows).to_have_count(8)
    expect(rows.first).to_contain_text("Rank 255")
    card.get_by_role("searchbox", name="Filter ranks").fill("")
    page.evaluate(_LOOK)
    for _ in range(7):
        card.get_by_role("button", name="Next ranks").click()
    expect(rows.last).to_contain_text("Rank 194")
    asked = page.evaluate("asked()")
    until(page, lambda: page.evaluate("asked()") > asked)
    print(f"through 256 ranks: the page did one thing for {page.evaluate('longest'):.0f} ms at most")
    fits(page)
    card.get_by_role("searchbox", name="Filter ranks").fill("77, 250-")
    expect(rows).to_have_count(7)
    card.screenshot(path=artifact / "ranks-many.png")

    card.get_by_role("tab", name="Logs").click()
    card.get_by_role("combobox", name="Log", exact=True).select_option(label="All ranks")
    card.get_by_role("searchbox", name="Filter ranks").fill("gpu-box-31")
    lanes = card.locator(".mlt-lane")
    expect(lanes).to_have_count(4)
    expect(lanes.first).to_contain_text("gpu-box-31")
    expect(card).to_contain_text("Rank 248")
    card.screenshot(path=artifact / "ranks-many-lanes.png")


# In the page: from the letter to the frame that shows what it left.
_TYPED = """() => new Promise((shown) => {
    const field = document.querySelector("[aria-label='Filter ranks']");
    field.value = "gpu-box-31";
    const typed = performance.now();
    field.dispatchEvent(new Event("input", { bubbles: true }));
    const look = () => {
        if (document.querySelectorAll(".mlt-rank-table tbody tr").length === 8) shown(performance.now() - typed);
        else requestAnimationFrame(look);
    };
    look();
})"""

_LOOK = """() => {
    globalThis.longest = 0;
    globalThis.asked = () => performance.getEntriesByType("resource").filter((one) => one.name.includes("/ranks")).length;
    const look = (list) => { for (const one of list.getEntries()) longest = Math.max(longest, one.duration); };
    new PerformanceObserver(look).observe({ type: "longtask" });
}"""


def _with_key(page: Page, key: str) -> str:
    """The tab that is chosen after the key."""
    page.keyboard.press(key)
    return page.locator(".mlt-alive [role=tab][aria-selected=true]").inner_text()


def _step(row: Locator) -> int:
    words = re.search(r"\d+", row.locator("td").nth(3).inner_text())
    return int(words.group()) if words else 0


def looked_at(page: Page, card: Locator, artifact: Path, name: str) -> None:
    """In each look it fits, and nobody is left out."""
    for theme, width in LOOKS:
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size({"width": width, "height": 1000})
        expect(page.locator("body")).to_have_attribute("data-jp-theme-light", str(theme == "light").lower())
        fits(page)
        # Not after a picture of a card that is higher than the window: for that it is made higher, and Lab lays out anew.
        if (theme, width) in LOOKS[1:3]:
            assert axe(page) == []
        card.screenshot(path=artifact / f"{name}-{theme}-{width}.png")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1100, "height": 1000})
    fits(page)
