"""What a notebook's file says of its runs: the truth when it is saved, whoever looked at what, and with two pages on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Error, Page, expect

from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.client import workspaces
from jupyter_mltrain.widgets.output import MIME
from tests.browser.cards import APPS, output_of, pill, ready, save, saved, saved_once, settled, submitted, until
from tests.browser.conftest import errors_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STEPS = """
import pathlib, time
from jupyter_mltrain import Run
run = Run.get_context()
for step in range(40):
    run.log("loss", 1 / (step + 1), step=step)
    while pathlib.Path(f"{gate}-{{step}}").exists():
        time.sleep(0.05)
"""


@pytest.fixture
def gates(folder: Path) -> Iterator[tuple[Path, Path]]:
    """While these files are there, the run stays where it is: after its first point, and after its 25th."""
    gates = folder / "gate-0", folder / "gate-24"
    for gate in gates:
        gate.touch()
    yield gates
    for gate in gates:
        gate.unlink(missing_ok=True)


@pytest.fixture
def run(folder: Path, gates: tuple[Path, Path]) -> Run:
    """A run that was submitted elsewhere: no kernel of these pages writes about it."""
    workspace = Workspace.from_config(workspaces.create_root(folder))
    return submitted(workspace, STEPS.format(gate=folder / "gate"))


def notebook_of(run: Run, folder: Path, *, below: int = 0) -> Path:
    """A notebook with the run's output as it stands, and so many cells of text below."""
    v4 = nbformat.v4
    output = v4.new_output("execute_result", run._repr_mimebundle_(), execution_count=1)
    cells = [v4.new_code_cell("run", outputs=[output])]
    cells += [v4.new_markdown_cell("word\n\n" * 40) for _ in range(below)]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    path = folder / "live.ipynb"
    nbformat.write(v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


def points(run: Run) -> int:
    return sum(metric["count"] for metric in run.refresh()["metrics"])


@pytest.mark.parametrize("app", APPS)
def test_saved_mid_run_it_holds_the_run_of_that_moment(lab, page, folder, app, run, gates):
    until(page, lambda: points(run) == 1)
    path = notebook_of(run, folder)
    lab.visit(page, f"{folder.name}/live.ipynb", app=app)
    expect(pill(page)).to_have_text("Running")
    ready(page)
    # Some steps on: too little news for the notebook to be written by itself.
    gates[0].unlink()
    until(page, lambda: points(run) == 25, lambda: points(run))
    for _ in range(20):  # a save does not wait long for a service that is busy
        data = saved_once(page, path)
        if data[MIME]["series"][0]["total"] > 1:
            break
    (series,) = data[MIME]["series"]
    assert (data[MIME]["state"]["status"], series["total"], series["steps"][-1]) == ("Running", 25, 24)
    assert "0.04" in data["text/html"]


def test_a_run_that_ended_out_of_sight_is_saved_as_ended(lab, page, folder, run, gates):
    path = notebook_of(run, folder, below=30)
    said: list[str] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda sent: said.append(str(sent))))
    lab.visit(page, f"{folder.name}/live.ipynb")
    expect(pill(page)).to_have_text("Running")
    ready(page)
    page.locator(".jp-Cell .cm-content").first.click()
    page.keyboard.press("Escape")
    page.keyboard.press("End")
    for _ in range(32):
        page.keyboard.press("ArrowDown")
    expect(page.locator(".jp-Cell").first).not_to_be_in_viewport()
    # The page does not follow what nobody sees.
    until(page, lambda: any('"op":"stop"' in text for text in said), lambda: said)
    for gate in gates:
        gate.unlink()
    run.wait_for_completion(wait_post_processing=True)
    assert output_of(path)[MIME]["state"]["status"] == "Running"
    for _ in range(20):  # a save does not wait long for a service that is busy
        data = saved_once(page, path, press=lambda: page.keyboard.press("Control+s"))
        if data[MIME]["state"]["status"] != "Running":
            break
    assert (data[MIME]["state"]["status"], data[MIME]["series"][0]["total"]) == ("Completed", 40)
    assert "Completed" in data["text/html"]
    assert "Status: Completed" in data["text/plain"]


def test_a_server_that_does_not_answer_keeps_nobody_from_saving(lab, page, folder, run):
    path = notebook_of(run, folder)
    lab.visit(page, f"{folder.name}/live.ipynb")
    expect(pill(page)).to_have_text("Running")
    ready(page)
    held: list[str] = []
    page.route("**/mltrain/workspaces/**", lambda route: held.append(route.request.url))
    data = saved_once(page, path)
    assert held, "the save asked for nothing"
    assert data[MIME]["state"]["status"] == "Running"


def test_a_rerun_is_there_again_after_a_reload(lab, page, folder, run, gates, artifact):
    for gate in gates:
        gate.unlink()
    run.wait_for_completion(wait_post_processing=True)
    path = notebook_of(run, folder)
    lab.visit(page, f"{folder.name}/live.ipynb")
    expect(pill(page)).to_have_text("Completed")
    ready(page)
    page.get_by_role("button", name="Rerun", exact=True).click()
    cards = page.locator(".mlt-alive")
    expect(cards).to_have_count(2)
    expect(cards.nth(1).locator(".mlt-pill")).to_have_text("Completed")
    data = saved(page, path, lambda data: bool(data[MIME].get("reruns")))
    (again,) = data[MIME]["reruns"]
    assert (again["state"]["status"], again["series"][0]["total"]) == ("Completed", 40)
    assert again["run"] != run.id
    assert data["text/html"].count('class="mlt-card"') == 2
    page.reload()
    expect(cards).to_have_count(2)
    settled(page)
    page.screenshot(path=artifact / "saved-rerun.png")
    # A rerun of the rerun stands below it in the same output, and the first two stay as they are.
    cards.nth(1).get_by_role("button", name="Rerun", exact=True).click()
    expect(cards).to_have_count(3)
    data = saved(page, path, lambda data: len(data[MIME]["reruns"]) == 2)
    assert [one["run"] for one in data[MIME]["reruns"]].index(again["run"]) == 0
    assert data[MIME]["run"] == run.id
    # What the kernel writes holds them too.
    run.refresh()
    written = run._repr_mimebundle_()
    assert [one["run"] for one in written[MIME]["reruns"]] == [one["run"] for one in data[MIME]["reruns"]]
    assert written["text/html"].count('class="mlt-card"') == 3


def test_two_pages_on_a_notebook_do_not_fight_over_its_file(lab, page, browser: Browser, folder, run, artifact):
    path = notebook_of(run, folder)
    second = page.context.new_page()
    errors = errors_of(second)
    for one in (page, second):
        lab.visit(one, f"{folder.name}/live.ipynb")
        ready(one)
        one.bring_to_front()
        expect(pill(one)).to_have_text("Running")
        if one is page:
            # The kernel's language goes into a new notebook: a change of Jupyter's own.
            _save_all(page)
    second.get_by_role("button", name="Cancel", exact=True).click()
    for one in (page, second):
        one.bring_to_front()
        expect(pill(one)).to_have_text("Canceled")
    # The page in which the notebook was opened first follows the run in it, the other does not touch it.
    page.bring_to_front()
    page.wait_for_function(_DIRTY)
    assert not second.evaluate(_DIRTY)
    _save_all(page)
    assert output_of(path)[MIME]["state"]["status"] == "Canceled"
    # Who saves in the other one is asked once, as Jupyter asks; from then on that one follows.
    second.bring_to_front()
    save(second)
    dialog = second.locator(".jp-Dialog")
    expect(dialog).to_contain_text("has changed on disk")
    dialog.get_by_role("button", name="Overwrite").click()
    expect(dialog).to_have_count(0)
    _annotate(run, "one")
    second.wait_for_function(_DIRTY)
    for _ in range(3):
        _save_all(second)
    expect(dialog).to_have_count(0)
    assert not page.evaluate(_DIRTY), "the first page would save over the second one's file, and ask"
    assert page.locator(".jp-Dialog").count() == 0
    assert errors == []


_DIRTY = "jupyterapp.shell.currentWidget.context.model.dirty"


def _save_all(page: Page) -> None:
    """Until nothing is left to save: JupyterLab does not hear who saves while it still ends the last save."""
    for _ in range(20):
        save(page)
        with contextlib.suppress(Error):
            page.wait_for_function(f"!({_DIRTY})", timeout=5_000)
            return
    pytest.fail("The notebook stays to be saved.")


def _annotate(run: Run, notes: str) -> None:
    run.workspace.connection.patch(f"/v1/runs/{run.id}", {"notes": notes})
