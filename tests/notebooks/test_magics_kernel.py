"""The magics in a real kernel, with the real service, run headless by nbclient: what a saved notebook holds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from jupyter_mltrain.client.connection import Connection

MIME = "application/vnd.mltrain.run+json"
TRAIN = """
import sys, time
from jupyter_mltrain import Run
run = Run.get_context()
for i in range(5):
    run.log("loss", 1 / (i + 1), step=i)
    print("epoch", i, flush=True)
    time.sleep(0.1)
print(sys.argv[1:])
"""

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for a notebook, and the end of whatever service ran there."""
    folder = tmp_path / "train digits"
    folder.mkdir()
    monkeypatch.setenv("JUPYTER_MLTRAIN_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    yield folder
    if (folder / ".mltrain").is_dir() and (service := Connection.running(folder)) is not None:
        service.post("/v1/handover")


def executed(folder: Path, *cells: str, raises: bool = False, **options: Any) -> Any:
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(c) for c in ("%load_ext jupyter_mltrain", *cells)]
    )
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}, **options)
    if raises:
        with pytest.raises(CellExecutionError):
            client.execute()
    else:
        client.execute()
    return notebook


def card(cell: Any) -> Any:
    """The run that the cell's output holds; there must be one."""
    [data] = [o["data"] for o in cell.outputs if MIME in o.get("data", {})]
    return data


def text(cell: Any) -> str:
    return "\n".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs)


def test_a_run_that_is_waited_for_later_is_terminal_in_the_saved_notebook(project: Path) -> None:
    notebook = executed(
        project,
        f"%%mltrain -e current -- --lr 0.1{TRAIN}",
        "1 + 1",
        "run.wait_for_completion()['status'] in {'Finalizing', 'Completed'}",
    )
    saved = card(notebook.cells[1])
    assert saved[MIME]["state"]["status"] == "Completed"
    assert saved[MIME]["state"]["experiment"] == "train-digits"
    assert [s["name"] for s in saved[MIME]["series"]] == ["loss"]
    assert "Completed" in saved["text/html"]
    assert "Status: Completed" in saved["text/plain"]
    assert "Made" in text(notebook.cells[1])
    assert "a workspace" in text(notebook.cells[1])
    assert notebook.cells[3].outputs[0]["data"]["text/plain"] == "True"


def test_every_display_of_a_run_ends_true_in_the_saved_notebook(project: Path) -> None:
    slow = "\nimport time\nfrom jupyter_mltrain import Run\nRun.get_context().log('loss', 1)\ntime.sleep(2)\n"
    notebook = executed(
        project,
        f"%%mltrain -e current --as mine{slow}",
        "mine",
        "%mltrain show latest",
        "from jupyter_mltrain import RunDetails\nRunDetails(mine).show()",
        "import sys\n'ipywidgets' in sys.modules",
        "__vsc_ipynb_file__ = 'x.ipynb'\nRunDetails(mine).show()",
        "import jupyter_mltrain as mltrain\ndel mine\nmltrain.latest()",
        "done = mltrain.latest().wait_for_completion(wait_post_processing=True)",
    )
    assert text(notebook.cells[5]) == "False"
    widget = "application/vnd.jupyter.widget-view+json"
    assert [widget in card(notebook.cells[cell]) for cell in (4, 6, 7)] == [False, True, False]
    state = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    [saved] = [one["state"] for one in state.values() if one["state"].get("_anywidget_id")]
    assert (saved["status"], saved["_recorded"]["state"]["status"]) == ("Completed", "Completed")
    for cell, back in ((1, "mine = "), (2, "mine = "), (3, "mine = "), (4, "mine = "), (6, "mine = "), (7, "")):
        shown = card(notebook.cells[cell])
        assert shown[MIME]["state"]["status"] == "Completed", cell
        assert "Status: Completed" in shown["text/plain"]
        assert f'<code class="mlt-back">{back}mltrain.run(' in shown["text/html"], cell


def test_wait_streams_the_log_and_ends_with_the_terminal_state(project: Path) -> None:
    notebook = executed(
        project,
        "x = 3\nrate = 0.25",
        f"%%mltrain -e current --as mine --wait -- --rate {{rate}}{TRAIN}",
        "mine.status",
    )
    cell = notebook.cells[2]
    assert card(cell)[MIME]["state"]["status"] == "Completed"
    assert "bound to <code>mine</code>" in card(cell)["text/html"] or "mine" in card(cell)["text/html"]
    assert "epoch 0\nepoch 1\nepoch 2\nepoch 3\nepoch 4\n['--rate', '0.25']" in text(cell)
    assert notebook.cells[3].outputs[0]["data"]["text/plain"] == "'Completed'"


def test_a_failed_run_raises_two_lines_and_stops_run_all(project: Path) -> None:
    notebook = executed(
        project, "%%mltrain -e current --wait\nprint('before')\nraise SystemExit(3)\n", "reached = True", raises=True
    )
    error = notebook.cells[1].outputs[-1]
    assert error["output_type"] == "error"
    assert error["ename"] == "RunFailed"
    assert len(error["traceback"]) == 2
    assert "failed" in error["traceback"][0]
    assert card(notebook.cells[1])[MIME]["state"]["status"] == "Failed"
    assert "before" in text(notebook.cells[1])
    assert notebook.cells[2].outputs == []
    assert notebook.cells[2].execution_count is None


def test_a_mistake_is_two_lines_and_makes_nothing(project: Path) -> None:
    notebook = executed(project, "x_train = [1, 2]", "%%mltrain\nprint(len(x_train))\n", raises=True)
    error = notebook.cells[2].outputs[-1]
    assert error["ename"] == "PreflightError"
    assert len(error["traceback"]) == 2
    assert "`x_train` lives in the kernel, not in this cell (line 2 of the cell)" in error["traceback"][0]
    assert not (project / ".mltrain").exists()


def test_the_cell_returns_while_the_run_goes_on(project: Path) -> None:
    notebook = executed(
        project,
        "%mltrain init",
        "%mltrain runs",
        "1",
        "%%mltrain -e current\nimport time\ntime.sleep(6000)\n",
        "run.status in {'Completed', 'Failed', 'Canceled'}",
        "run.cancel(); run.wait_for_completion(wait_post_processing=True)['status']",
    )
    assert text(notebook.cells[5]) == "False"
    assert text(notebook.cells[6]) == "'Canceled'"
    assert card(notebook.cells[4])[MIME]["state"]["status"] == "Canceled"


def test_an_interrupt_detaches_and_says_how_to_come_back(project: Path) -> None:
    interrupt = """
import os, pathlib, signal, sys, threading, time, traceback
def press():
    while not pathlib.Path("on").exists():
        time.sleep(0.01)
    main = threading.main_thread().ident
    while "_stream" not in [one.name for one in traceback.extract_stack(sys._current_frames()[main]) if "magics" in one.filename]:
        time.sleep(0.01)  # it has not come to the wait
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=press, daemon=True).start()
"""
    notebook = executed(
        project,
        "%mltrain init",
        interrupt,
        f"%%mltrain -e current --wait\nimport pathlib, time\npathlib.Path({str(project)!r}, 'on').touch()\ntime.sleep(6000)\n",
        raises=True,
    )
    error = notebook.cells[3].outputs[-1]
    assert error["ename"] == "Detached", "\n".join(error["traceback"])
    assert "goes on, and `run` holds it" in error["traceback"][0]
    assert "mltrain.run(" in error["traceback"][1]
    service = Connection.running(project)
    assert service is not None
    state = service.get("/v1/runs/latest")
    assert state["status"] == "Running"
    service.post(f"/v1/runs/{state['id']}/cancel")
    deadline = time.monotonic() + 60
    while service.get("/v1/runs/latest")["status"] != "Canceled":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_tab_completes_in_a_kernel(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        assert client.execute_interactive("%load_ext jupyter_mltrain", timeout=120)["content"]["status"] == "ok"
        for code, offered in (
            ("%mltrain doc", "doctor"),
            ("%%mltrain --exp", "--experiment"),
            ("%mltrain logs --ta", "--tail"),
            ("x = 1\n%mltrain env bu", "build"),
            ("%mltrain show ", "latest"),
        ):
            reply = client.complete(code, reply=True, timeout=120)["content"]
            assert reply["matches"] == [offered], code
            assert code[reply["cursor_start"] :] == code.split(" ")[-1]
        assert not (project / ".mltrain").exists()
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_loading_the_extension_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom IPython.core.interactiveshell import InteractiveShell\nshell = InteractiveShell()\n"
        "before = set(sys.modules)\nshell.run_line_magic('load_ext', 'jupyter_mltrain')\n"
        "print(*sorted({m.partition('.')[0] for m in set(sys.modules) - before}))"
    )
    environ = {**os.environ, "IPYTHONDIR": "/nonexistent"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True)
    loaded = set(done.stdout.split())
    assert "jupyter_mltrain" in loaded
    heavy = "mlflow tensorflow numpy plotly pydantic httpx fastapi nbconvert anywidget ipywidgets requests sqlalchemy uv psutil docker ray asyncio argparse"
    assert loaded.isdisjoint(heavy.split()), loaded & set(heavy.split())
