"""What the tests of the live card do again and again: a notebook with a run in it, and looking at its card."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Locator, Page

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
pathlib.Path("outputs/model").mkdir(parents=True)
pathlib.Path("outputs/model/saved_model.pb").write_bytes(b"")
pathlib.Path("outputs/model/weights.bin").write_bytes(bytes(2000))
pathlib.Path("outputs/result.json").write_text('{{"accuracy": 0.97}}')
pathlib.Path("outputs/note.txt").write_text("kept<b>")
for step in range({steps}):
    run.log("loss", 1 / (step + 1), step=step)
    run.log("accuracy", float("nan") if step == 3 else 1 - 1 / (step + 2), step=step)
    run.log("{name}", step, step=step)
    print(chr(27) + "[32mstep", step, chr(27) + "[0m", "{name}")
    print("  0%" + chr(13) + " 50%" + chr(13) + "100%")
    time.sleep(0.4)
"""


# The servers of these tests let a page's scripts reach the application.
_KERNEL = "globalThis.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel"


def cell(*, steps: int) -> str:
    """A cell that submits a run: three metrics, coloured output, files, a name that is markup; 0.4 s a step."""
    return _SUBMIT.format(script=SCRIPT.format(steps=steps, name=EVIL).strip())


def submitted(workspace: Workspace, script: str, *, until: str | None = "Running") -> Run:
    """A run of the script, submitted by this process; once it is `until`."""
    config = ScriptRunConfig(script="cell.py", files={"cell.py": script}, environment="current")
    run = Experiment(workspace, "later").submit(config)
    while until is not None and run.get_status() != until:
        time.sleep(0.05)
    return run


def opened(lab, page: Page, folder: Path, *cells: str, app: str = "lab") -> None:
    """A notebook of these cells, open and with its kernel ready; the cells are run."""
    v4 = nbformat.v4
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in cells], metadata=metadata)
    nbformat.write(notebook, folder / "live.ipynb")
    lab.visit(page, f"{folder.name}/live.ipynb", app=app)
    ready(page)
    page.locator(".jp-Cell .cm-content").first.click()
    for _ in cells:
        page.keyboard.press("Shift+Enter")


def ready(page: Page) -> None:
    """The kernel is connected and idle: a keystroke before that would be dropped."""
    page.wait_for_function(
        f"{_KERNEL}?.connectionStatus === 'connected' && {_KERNEL}.status === 'idle'", timeout=90_000
    )


def busy(page: Page) -> bool:
    return page.evaluate(f"{_KERNEL}.status === 'busy'")


def pill(page: Page) -> Locator:
    return page.locator(".mlt-alive .mlt-pill")


def save(page: Page) -> None:
    """Save as a user does, in command mode."""
    page.locator(".jp-Cell .cm-content").first.click()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+s")


def output_of(path: Path, cell: int = 0) -> dict[str, Any]:
    """The data of the last output of one of a notebook file's cells; empty where there is none."""
    while not (text := path.read_text(encoding="utf-8")):
        time.sleep(0.01)  # the server is writing it
    outputs = nbformat.reads(text, 4).cells[cell].outputs
    return outputs[-1].get("data", {}) if outputs else {}


def saved(page: Page, path: Path, wanted: Callable[[dict[str, Any]], bool], *, cell: int = 0) -> dict[str, Any]:
    """The card's output in the notebook's file, once it is as `wanted`; saves until then."""
    for _ in range(20):
        save(page)
        page.wait_for_timeout(500)
        if wanted(data := output_of(path, cell)):
            return data
    pytest.fail(f"The notebook never held it: {output_of(path, cell)}")


def axe(page: Page) -> list[str]:
    """What the axe engine finds serious or critical in the card."""
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=ROOT / "js" / "node_modules" / "axe-core" / "axe.min.js")
    result = page.evaluate("async () => await axe.run('.mlt-alive')")
    assert len(result["passes"]) > 10
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
        for one in result["violations"]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]
