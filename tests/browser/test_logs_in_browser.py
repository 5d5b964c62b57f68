"""Logs in the card: what training scripts really print, live, and a gigabyte of it."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import psutil
import pytest
from playwright.sync_api import Page, expect

from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.client import workspaces
from jupyter_mltrain.core.layout import Layout
from tests.browser.cards import EVIL, pill, submitted

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GIGABYTE = 1 << 30
HOSTILE = """
import pathlib, sys, time
from jupyter_mltrain import Run
run = Run.get_context()
run.log("<img src=x onerror=window.pwned=1>", 1)
while pathlib.Path("{gate}").exists():
    time.sleep(0.05)
out = sys.stdout.buffer
for number in range(1_000_000):
    out.write(b"\\r%7d of 1000000" % number)
out.write(b"x" * 300_000 + b" end of a long line\\n")
out.flush()
time.sleep(0.5)
out.write(b"\\x1b]0;owned\\x07\\x1b]8;;javascript:window.pwned=1\\x07a link\\x1b]8;;\\x07\\n")
out.write(b"<script>window.pwned=1</script><img src=x onerror=window.pwned=1>\\n")
out.write(b"\\xff\\xfe\\x00 no text\\n")
out.write(b"\\x1b[2J\\x1b[H\\x1b[9999Aafter\\x1b[31mred\\x1b[0m\\n")
out.write(b"the last line\\n")
out.flush()
time.sleep(3600)
"""


def notebook_of(run: Run, folder: Path) -> None:
    v4 = nbformat.v4
    output = v4.new_output("execute_result", run._repr_mimebundle_(), execution_count=1)
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(
        v4.new_notebook(cells=[v4.new_code_cell("run", outputs=[output])], metadata=metadata), folder / "log.ipynb"
    )


def test_hostile_output_is_text_and_leaves_the_page_alive(lab, page: Page, folder, artifact):
    gate = folder / "gate"
    gate.touch()
    workspace = Workspace.from_config(workspaces.create_root(folder))
    run = submitted(workspace, HOSTILE.format(gate=gate))
    workspace.connection.patch(f"/v1/runs/{run.id}", {"display_name": EVIL, "notes": EVIL})
    notebook_of(run, folder)
    lab.visit(page, f"{folder.name}/log.ipynb")
    expect(pill(page)).to_have_text("Running")
    page.get_by_role("tab", name="Logs").click()
    expect(page.get_by_role("tab", name="Logs")).to_have_attribute("aria-selected", "true")
    page.evaluate("""() => {
        globalThis.longest = 0;
        const look = (list) => { for (const one of list.getEntries()) longest = Math.max(longest, one.duration); };
        new PerformanceObserver(look).observe({ type: "longtask" });
    }""")
    title = page.title()
    gate.unlink()
    log = page.get_by_role("log")
    expect(log).to_contain_text("the last line")
    for shown in ("a link", "<script>window.pwned=1</script><img src=x onerror=window.pwned=1>", "afterred"):
        expect(log).to_contain_text(shown)
    assert log.locator("a, script, img").count() == 0
    # The service says of the name what it is; the card shows it as such.
    expect(page.locator(".mlt-name").first).to_contain_text(EVIL)
    page.screenshot(path=artifact / "live-card-hostile.png")
    assert page.evaluate("window.pwned") is None
    assert page.title() == title
    assert page.locator(".mlt-alive *").count() < 1_000
    longest = page.evaluate("longest")
    print(f"\nhostile log: the page did one thing for {longest:.0f} ms at most")
    assert longest < 15_000, "by far more than a busy machine makes of a tenth of a second"
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(pill(page)).to_have_text("Canceled")


def test_a_log_of_a_gigabyte_opens_at_its_end_at_once(lab, page: Page, folder, artifact):
    root = workspaces.create_root(folder)
    workspace = Workspace.from_config(root)
    run = submitted(workspace, "print('begun')", until=None)
    run.wait_for_completion(wait_post_processing=True)
    (log,) = (Layout(root).runs / run.id / "streams").glob("r0.log")
    with log.open("r+b") as file:
        file.truncate(GIGABYTE)  # takes no room on the disk
        file.seek(0, 2)
        file.writelines(b"line %07d of what was printed\n" % number for number in range(40_000))
    notebook_of(run, folder)
    lab.visit(page, f"{folder.name}/log.ipynb")
    expect(pill(page)).to_have_text("Completed")
    service = psutil.Process(workspace.connection.get("/v1/hello")["pid"])
    devtools = page.context.new_cdp_session(page)
    before = service.memory_info().rss, _heap(devtools)
    read = service.io_counters().read_chars
    seconds = page.evaluate(_CLICK_TO_LINE, "line 0039999 of") / 1000
    # How long that takes is the machine's matter; how much of the log is read for it is ours.
    read = service.io_counters().read_chars - read
    shown = page.get_by_role("log")
    # Back through the log, piece by piece.
    for _ in range(3):
        with page.expect_response(re.compile(r"/log\?")):
            page.get_by_role("button", name="Show earlier lines").click()
    page.get_by_role("searchbox", name="Search").fill("line 0011000")
    expect(shown).to_contain_text("line 0011000 of")
    grown = service.memory_info().rss - before[0], _heap(devtools) - before[1]
    page.screenshot(path=artifact / "live-card-gigabyte.png")
    print(
        f"\n1 GB log: {seconds:.2f} s and {read / 1e6:.1f} MB to its last line; service +{grown[0] / 1e6:.1f} MB, page +{grown[1] / 1e6:.1f} MB"
    )
    assert read < 5e6
    assert max(grown) < 30e6
    assert shown.locator("*").count() < 300


# In the page: Playwright looks again after a second only, once it has looked for a while.
_CLICK_TO_LINE = """(words) => new Promise((shown) => {
    const clicked = performance.now();
    const look = () => {
        if (document.querySelector("[role=log]")?.textContent.includes(words)) shown(performance.now() - clicked);
        else requestAnimationFrame(look);
    };
    [...document.querySelectorAll("[role=tab]")].find((tab) => tab.textContent === "Logs").click();
    look();
})"""


def _heap(devtools) -> int:
    """Bytes of the page's JavaScript heap that are in use once all garbage is gone."""
    devtools.send("HeapProfiler.enable")
    devtools.send("HeapProfiler.collectGarbage")
    return devtools.send("Runtime.getHeapUsage")["usedSize"]
