"""The widget in kernels of ipykernel 7.1 to 7.4 while a cell blocks them: what comes through, what waits, that nothing is lost.

JupyterLab sends a widget's messages to a subshell of the kernel; other hosts to its main shell, which is busy then.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from jupyter_client import BlockingKernelClient, KernelManager
from jupyter_client.kernelspec import KernelSpec
from uv import find_uv_bin

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

VERSIONS = ["7.1.0", "7.2.0", "7.3.0", "7.4.0"]
BLOCKED = "import os, time\nwhile not os.path.exists({!r}):\n    time.sleep(0.05)"
"""A cell that is busy until a file is there."""
SCRIPT = """
import time
from jupyter_mltrain import Run
run = Run.get_context()
for step in range(100_000):
    run.log("loss", 1 / (step + 1), step=step)
    time.sleep(0.2)
"""
WIDGET = """
import os, time
os.chdir({folder!r})
import jupyter_mltrain as mltrain
from jupyter_mltrain import RunWidget
import ipykernel
assert ipykernel.__version__ == {version!r}
run = mltrain.latest()
widget = RunWidget(run)
heard = []
widget.observe(lambda change: heard.append((time.time(), change["name"], change["new"])))
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("kernels")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_MLTRAIN_STATE", str(folder / "state"))
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        made = Workspace.create("kernels", folder / "work")
        yield made
        made.connection.post("/v1/handover")


@pytest.fixture
def run(workspace: Workspace) -> Iterator[Run]:
    config = ScriptRunConfig(script="cell.py", files={"cell.py": SCRIPT}, environment="current")
    started = Experiment(workspace, "kernels").submit(config)
    while started.refresh(wait=5)["metric_points"] < 2:
        assert started.status not in {"Failed", "Completed", "Canceled"}
    yield started
    if started.get_status() not in {"Canceled", "CancelRequested", "Finalizing"}:
        started.cancel()
    started.wait_for_completion(wait_post_processing=True)


def python_of(version: str, folder: Path) -> str:
    """An interpreter with that ipykernel, and everything else from this one."""
    uv = find_uv_bin()
    made = folder / version
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, made], check=True)
    python = str(made / "bin" / "python")
    subprocess.run([uv, "pip", "install", "-q", "--python", python, "--no-deps", f"ipykernel=={version}"], check=True)
    [packages] = made.glob("lib/python*/site-packages")
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "ours.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in ours))
    return python


@dataclass
class Page:
    """A page without a browser: what the kernel tells the widget, with the time at which it came."""

    client: BlockingKernelClient
    comm: str = ""
    told: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    ended: dict[str, float] = field(default_factory=dict)
    output: dict[str, str] = field(default_factory=dict)

    def run(self, code: str) -> str:
        """Run a cell to its end; what it printed."""
        cell = self.begin(code)
        self.until(lambda: cell in self.ended)
        return self.output.get(cell, "")

    def begin(self, code: str) -> str:
        return str(self.client.execute(code))

    def until(self, true: Callable[[], object], patience: float = 120) -> None:
        deadline = time.monotonic() + patience
        while not true():
            assert time.monotonic() < deadline, "never came true"
            self.listen()

    def listen(self) -> None:
        try:
            message = self.client.get_iopub_msg(timeout=0.1)
        except Empty:
            return
        kind, content = message["header"]["msg_type"], message["content"]
        parent = message["parent_header"].get("msg_id", "")
        if kind == "comm_open" and "_recorded" in content["data"].get("state", {}):
            self.comm = content["comm_id"]
        elif kind == "comm_msg" and content["comm_id"] == self.comm:
            data = content["data"]
            self.told.append((time.time(), data.get("content") or data))
        elif kind == "status" and content["execution_state"] == "idle":
            self.ended[parent] = time.time()
        elif kind == "stream":
            self.output[parent] = self.output.get(parent, "") + content["text"]
        elif kind == "error":
            raise AssertionError("\n".join(content["traceback"]))

    def send(self, key: str, method: str, path: str, body: object, subshell: str | None) -> None:
        request = {"op": "request", "key": key, "method": method, "path": path, "body": json.dumps(body)}
        content = {"comm_id": self.comm, "data": {"method": "custom", "content": request}}
        message = self.client.session.msg("comm_msg", content)
        message["header"]["subshell_id"] = subshell
        self.client.shell_channel.send(message)

    def answered(self, key: str) -> list[float]:
        return [when for when, told in self.told if told.get("key") == key and told["type"] == "answer"]

    def states(self) -> list[tuple[float, int]]:
        return [(when, told["state"]["metric_points"]) for when, told in self.told if told.get("type") == "state"]


@pytest.fixture(params=VERSIONS)
def page(request: pytest.FixtureRequest, workspace: Workspace, run: Run, tmp_path: Path) -> Iterator[Page]:
    manager = KernelManager()
    argv = [python_of(request.param, tmp_path), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    manager._kernel_spec = KernelSpec(argv=argv, display_name="Python", language="python")
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=180)
        made = Page(client)
        made.run(WIDGET.format(folder=str(workspace.root), version=request.param))
        assert made.comm
        yield made
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def subshell_of(page: Page) -> str:
    message = page.client.session.msg("create_subshell_request", {})
    page.client.control_channel.send(message)
    while True:
        reply = page.client.get_control_msg(timeout=120)
        if reply["parent_header"]["msg_id"] == message["header"]["msg_id"]:
            return str(reply["content"]["subshell_id"])


def test_a_kernel_that_is_blocked(page: Page, workspace: Workspace, run: Run, tmp_path: Path) -> None:
    subshell = subshell_of(page)
    route = f"workspaces/{workspace.id}/runs/{run.id}"
    begun = time.time()
    cell = page.begin(BLOCKED.format(str(tmp_path / "free")))
    page.until(lambda: len([one for one in page.states() if one[0] > begun + 0.5]) >= 5)
    # Over the main shell it waits, over a subshell it is done at once.
    page.send("note", "PATCH", route, {"notes": "waited"}, subshell=None)
    page.send("cancel", "POST", f"{route}/cancel", {"keep": False}, subshell=subshell)
    page.until(lambda: page.answered("cancel"))
    assert cell not in page.ended
    (tmp_path / "free").touch()
    page.until(lambda: cell in page.ended)
    ended = page.ended[cell]
    assert page.answered("note") == [] or page.answered("note")[0] > ended - 0.2
    page.until(lambda: page.answered("note"))
    assert run.refresh()["notes"] == "waited"
    assert run.status in {"CancelRequested", "Finalizing", "Canceled"}
    during = [points for when, points in page.states() if begun < when < ended]
    assert len(during) >= 5
    assert during[-1] > during[0]
    # Handlers ran too, while the cell slept.
    heard = int(page.run(f"print(sum({begun} < when < {ended} for when, *_ in heard))"))
    assert heard >= 3


@pytest.mark.parametrize("page", ["7.4.0"], indirect=True)
def test_what_ipykernel_74_does_by_itself(page: Page, workspace: Workspace, run: Run, tmp_path: Path) -> None:
    """It sends a page's message to the shell that last spoke on the comm: to the main one, for a thread. If this fails,
    `_let_pages_choose_the_thread` can go."""
    page.run("del widget.comm._reply_subshell_for")
    subshell = subshell_of(page)
    cell = page.begin(BLOCKED.format(str(tmp_path / "free")))
    known = len(page.states())
    page.until(lambda: len(page.states()) > known)
    page.send("c", "GET", f"workspaces/{workspace.id}/runs/{run.id}", {}, subshell=subshell)
    known = len(page.states())
    page.until(lambda: len(page.states()) > known + 3)
    (tmp_path / "free").touch()
    page.until(lambda: cell in page.ended)
    page.until(lambda: page.answered("c"))
    assert page.answered("c")[0] > page.ended[cell] - 0.2
