"""What the tests of the live card do again and again: a notebook with a run in it, and looking at its card."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.reader import NotJSONError
from playwright.sync_api import Error, Locator, Page

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace

ROOT = Path(__file__).parents[2]
EVIL = "<script>window.pwned=1</script>"
APPS = ("lab", "notebook")
"""JupyterLab and Notebook 7: the same server, two applications."""
_SUBMIT = """%load_ext jupyter_mltrain
get_ipython().run_cell_magic("mltrain", "--experiment live --env current", '''
{script}
''')"""
SCRIPT = """
import time, pathlib
from jupyter_mltrain import Run
run = Run.get_context()
def told():
    try:
        return int(pathlib.Path("{pace}").read_text())
    except FileNotFoundError:
        return 0
pathlib.Path("outputs/model").mkdir(parents=True)
pathlib.Path("outputs/model/saved_model.pb").write_bytes(b"")
pathlib.Path("outputs/model/weights.bin").write_bytes(bytes(2000))
pathlib.Path("outputs/result.json").write_text('{{"accuracy": 0.97}}')
pathlib.Path("outputs/note.txt").write_text("kept<b>")
for step in range({steps}):
    while "{pace}" and step >= told():
        time.sleep(0.05)
    run.log("loss", 1 / (step + 1), step=step)
    run.log("accuracy", float("nan") if step == 3 else 1 - 1 / (step + 2), step=step)
    run.log("{name}", step, step=step)
    print(chr(27) + "[32mstep", step, chr(27) + "[0m", "{name}")
    print("  0%" + chr(13) + " 50%" + chr(13) + "100%")
    time.sleep(0.05)
"""


# The servers of these tests let a page's scripts reach the application.
_NOTEBOOK = "jupyterapp.shell.currentWidget.content"
_KERNEL = "globalThis.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel"
BUSY = f"{_KERNEL}.status === 'busy'"


def script(steps: int, *, name: str = EVIL, pace: Path | str = "") -> str:
    """Three metrics, coloured output, files, a name that is markup; with `pace`, it goes on to the step that this file says."""
    return SCRIPT.format(steps=steps, name=name, pace=pace)


def cell(*, steps: int, pace: Path | str = "") -> str:
    """A cell that submits a run of `script`."""
    return _SUBMIT.format(script=script(steps, pace=pace).strip())


def goes_to(pace: Path, step: int) -> None:
    """The run with this pace goes on to the step. All at once, for its script may be reading."""
    new = pace.with_suffix(".new")
    new.write_text(str(step))
    new.replace(pace)


def submitted(workspace: Workspace, script: str, *, until: str | None = "Running") -> Run:
    """A run of the script, submitted by this process; once it is `until`."""
    config = ScriptRunConfig(script="cell.py", files={"cell.py": script}, environment="current")
    run = Experiment(workspace, "later").submit(config)
    while until is not None and run.get_status() != until:
        assert run.status not in {"Completed", "Failed", "Canceled"}, f"{run.id} is {run.status}"
        time.sleep(0.05)
    return run


def opened(
    lab, page: Page, folder: Path, *cells: str, app: str = "lab", run: int | None = None, name: str = "live.ipynb"
) -> None:
    """A notebook of these cells, open and with its kernel ready; the cells are run, or the first `run` of them."""
    v4 = nbformat.v4
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in cells], metadata=metadata)
    nbformat.write(notebook, folder / name)
    lab.visit(page, f"{folder.name}/{name}", app=app)
    ready(page)
    for number in range(len(cells) if run is None else run):
        run_cell(page, number)


def run_cell(page: Page, number: int) -> None:
    """As a user does; a page that is busy with the last one must not lose the key."""
    if number == 0 or page.evaluate(f"{_NOTEBOOK}.activeCellIndex") != number:
        page.locator(".jp-Cell").nth(number).locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    page.wait_for_function(f"{_NOTEBOOK}.activeCellIndex === {number + 1}")


def ready(page: Page) -> None:
    """The kernel is connected and idle: a keystroke before that would be dropped."""
    page.wait_for_function(f"{_KERNEL}?.connectionStatus === 'connected' && {_KERNEL}.status === 'idle'")


def blocked(page: Page) -> None:
    """The kernel is in the last of the cells that were run, and does not come out."""
    before = f"{_NOTEBOOK}.widgets.slice(0, {_NOTEBOOK}.activeCellIndex - 1)"
    page.wait_for_function(f"{_KERNEL}.status === 'busy' && {before}.every(cell => cell.model.executionCount !== null)")


def busy(page: Page) -> bool:
    return page.evaluate(BUSY)


def pill(page: Page) -> Locator:
    return page.locator(".mlt-alive .mlt-pill")


def save(page: Page) -> None:
    """Save as a user does, in command mode."""
    page.locator(".jp-Cell .cm-content").first.click()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+s")


def output_of(path: Path, cell: int = 0) -> dict[str, Any]:
    """The data of the last output of one of a notebook file's cells; empty where there is none."""
    while True:
        try:
            outputs = nbformat.reads(path.read_text(encoding="utf-8"), 4).cells[cell].outputs
        except (UnicodeDecodeError, NotJSONError):
            time.sleep(0.01)  # the server is writing it
        else:
            return outputs[-1].get("data", {}) if outputs else {}


def saved(page: Page, path: Path, wanted: Callable[[dict[str, Any]], bool], *, cell: int = 0) -> dict[str, Any]:
    """The card's output in the notebook's file, once it is as `wanted`; saves until then."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        save(page)
        for _ in range(10):
            if wanted(data := output_of(path, cell)):
                return data
            page.wait_for_timeout(100)
    pytest.fail(f"The notebook never held it: {output_of(path, cell)}")


def saved_once(page: Page, path: Path, *, press: Callable[[], None] | None = None) -> dict[str, Any]:
    """The card's output in the notebook's file, as one save (`press`: what starts it) has written it."""
    before = path.stat().st_mtime_ns
    for _ in range(20):
        (press or (lambda: save(page)))()  # JupyterLab does not hear it while it still ends the last one
        for _ in range(100):
            if path.stat().st_mtime_ns != before:
                return output_of(path)
            page.wait_for_timeout(50)
    pytest.fail("not saved")


def until(page: Page, holds: Callable[[], bool], what: Callable[[], object] = lambda: "", *, times: int = 1) -> None:
    """Wait for it to hold, so many looks in a row; `what` says how it stands instead."""
    deadline = time.monotonic() + 90
    seen = 0
    while seen < times:
        seen = seen + 1 if holds() else 0
        if time.monotonic() > deadline:
            pytest.fail(f"It never held: {what()}")
        page.wait_for_timeout(50)


def settled(page: Page) -> None:
    """Fonts are there, what was to be drawn is painted, and what fades or slides has come to its end."""
    page.evaluate("""async () => {
        await document.fonts.ready;
        const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        await painted();
        const ends = document.getAnimations().filter(
            (one) => one.playState === 'running' && one.effect.getComputedTiming().endTime !== Infinity
        );
        await Promise.allSettled(ends.map((one) => one.finished));
        await painted();
    }""")


def fits(page: Page, card: str = ".mlt-alive") -> None:
    """The card is within the window, and nothing in it is wider than it."""
    within = f"""() => {{
        const card = document.querySelector('{card}');
        return card.getBoundingClientRect().right <= innerWidth && card.scrollWidth <= card.clientWidth;
    }}"""
    settled(page)
    try:
        page.wait_for_function(within)
    except Error as error:
        pytest.fail(f"The card is cut off: {error}")


def axe(page: Page) -> list[str]:
    """What the axe engine finds serious or critical in the card, and goes on finding: what it finds in the midst of a change of colours or of charts is gone when it looks again."""
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=ROOT / "js" / "node_modules" / "axe-core" / "axe.min.js")
    deadline = time.monotonic() + 60
    while True:
        settled(page)
        result = page.evaluate("async () => await axe.run('.mlt-alive')")
        found = [
            f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
            for one in result["violations"]
            if one["impact"] in {"serious", "critical"}
            for node in one["nodes"]
        ]
        if not found or time.monotonic() > deadline:
            assert len(result["passes"]) > 10
            return found
        page.wait_for_timeout(500)
