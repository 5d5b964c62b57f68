"""A real JupyterLab with this package's extension, Chromium looking at it, and what its main thread does meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

_FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
_EXTENSION = "extensions/jupyter-mltrain/"


@dataclass(frozen=True)
class Lab:
    url: str
    token: str
    folder: Path
    browser: Browser

    def write(self, name: str, bundles: Sequence[dict[str, Any]]) -> None:
        """A notebook with one cell per output."""
        v4 = nbformat.v4
        cells = [
            v4.new_code_cell("run", outputs=[v4.new_output("execute_result", data, execution_count=1)])
            for data in bundles
        ]
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        nbformat.write(v4.new_notebook(cells=cells, metadata=metadata), self.folder / name)

    @contextlib.contextmanager
    def page(self, *, height: int = 1000, script: str = "") -> Generator[Page]:
        """A page that runs `script` before anything else."""
        context = self.browser.new_context(viewport={"width": 1280, "height": height})
        page = context.new_page()
        if script:
            page.add_init_script(script)
        try:
            yield page
        finally:
            context.close()

    def visit(self, page: Page, name: str) -> None:
        page.goto(f"{self.url}/doc/tree/{name}?token={self.token}")


@contextlib.contextmanager
def new_lab(folder: Path) -> Generator[Lab]:
    """A server over `folder`, which also gets its settings. Raises `RuntimeError` where Chromium is missing."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise RuntimeError("Chromium is missing: `apt-get install chromium`.")
    home = folder / "jupyter"
    pages = home / "config" / "labconfig"
    pages.mkdir(parents=True)
    disabled = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (pages / "page_config.json").write_text(json.dumps(disabled))
    own = {name: str(home / name.lower()) for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    own["JUPYTER_CONFIG_DIR"] = str(home / "config")
    port, token = _free_port(), secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--port={port}"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}"]
    with (home / "lab.log").open("wb") as log:
        server = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log)
    try:
        _wait_until_up(f"http://localhost:{port}/api/status?token={token}", server)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(_FLAGS))
            yield Lab(f"http://localhost:{port}", token, folder, browser)
            browser.close()
    finally:
        server.terminate()
        server.wait(30)


@dataclass(frozen=True)
class Usage:
    """Of a page's main thread over a while, in seconds: processor time of all tasks together, and how long each took."""

    wall: float
    busy: float
    tasks: list[float]

    @property
    def share(self) -> float:
        return self.busy / self.wall

    def p95(self, above: float = 0.0) -> float:
        """Of the tasks that took longer than `above`."""
        tasks = sorted(task for task in self.tasks if task > above)
        return tasks[int(len(tasks) * 0.95)] if tasks else 0.0


def usage(lab: Lab, page: Page, seconds: float) -> Usage:
    """What the page's main thread does in the next `seconds`."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = _metrics(session)
    lab.browser.start_tracing(page=page, categories=["disabled-by-default-devtools.timeline"])
    page.wait_for_timeout(seconds * 1000)
    trace = json.loads(lab.browser.stop_tracing())
    after = _metrics(session)
    session.detach()
    return Usage(
        after["Timestamp"] - before["Timestamp"], after["TaskDuration"] - before["TaskDuration"], _tasks(trace)
    )


def start_cost(lab: Lab, name: str) -> tuple[float, int]:
    """What this package's extension costs a page that opens `name`: seconds of script, and bytes (gzip) loaded."""
    import gzip  # noqa: PLC0415 - what a server would send

    sizes: list[int] = []
    with lab.page() as page:
        page.on(
            "response",
            lambda answer: sizes.append(len(gzip.compress(answer.body()))) if _EXTENSION in answer.url else None,
        )
        session = page.context.new_cdp_session(page)
        session.send("Profiler.enable")
        session.send("Profiler.setSamplingInterval", {"interval": 500})
        session.send("Profiler.start")
        lab.visit(page, name)
        page.locator(".jp-Notebook").wait_for(timeout=90_000)
        page.wait_for_timeout(3000)
        profile = session.send("Profiler.stop")["profile"]
    return _of_extension(profile), sum(sizes)


def _of_extension(profile: dict[str, Any]) -> float:
    """Seconds that passed in the extension's functions and in what they called."""
    nodes = {node["id"]: node for node in profile["nodes"]}
    ours: set[int] = set()

    def mark(number: int, *, within: bool) -> None:
        stack = [(number, within)]
        while stack:
            one, inside = stack.pop()
            inside = inside or _EXTENSION in nodes[one]["callFrame"]["url"]
            if inside:
                ours.add(one)
            stack += [(child, inside) for child in nodes[one].get("children", ())]

    mark(profile["nodes"][0]["id"], within=False)
    spent = zip(profile["samples"], profile["timeDeltas"], strict=True)
    return sum(delta for node, delta in spent if node in ours) / 1e6


def _metrics(session: CDPSession) -> dict[str, float]:
    return {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}


def _tasks(trace: dict[str, Any]) -> list[float]:
    """Seconds of each task of the busiest renderer's main thread."""
    events = trace["traceEvents"]
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    by_thread: dict[tuple[int, int], list[float]] = {main: [] for main in mains}
    for event in events:
        thread = (event["pid"], event["tid"])
        if event.get("name") == "RunTask" and thread in by_thread:
            by_thread[thread].append(event.get("dur", 0) / 1e6)
    return max(by_thread.values(), key=sum, default=[])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_up(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if server.poll() is not None:
            raise RuntimeError("JupyterLab did not start.")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("JupyterLab did not start within 30 s.")
