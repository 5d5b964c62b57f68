"""The main job, headless: `make demo`.

Runs the tutorial 01-train-mnist.ipynb top to bottom in a fresh folder `.demo/`, exports it to one HTML file, and measures
the accuracy of the registered model once more, in a process of its own that shares nothing with the notebook.
Shows what happens all the way, and at the end where the time went, downloads apart.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from jupyter_mltrain.api.model import Model
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.client.connection import Connection
from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.errors import MLTrainError
from jupyter_mltrain.export import export_notebook

HERE = Path(__file__).parent
FOLDER = HERE.parent / ".demo"
TUTORIAL = "01-train-mnist.ipynb"
MODEL = "tf-mnist"
LEAST_ACCURACY = 0.97

_MEASURE = """
import gzip, sys
from pathlib import Path
import numpy as np, tensorflow as tf
model, data = sys.argv[1], Path(sys.argv[2])
read = lambda name: gzip.decompress((data / name).read_bytes())
x = np.frombuffer(read("t10k-images-idx3-ubyte.gz"), np.uint8, offset=16).reshape(-1, 784).astype("float32") / 255
y = np.frombuffer(read("t10k-labels-idx1-ubyte.gz"), np.uint8, offset=8)
serve = tf.saved_model.load(model).signatures["serving_default"]
(name,) = serve.structured_input_signature[1]
(p,) = serve(**{name: tf.constant(x)}).values()
print(len(y), float((p.numpy().argmax(1) == y).mean()))
"""


def main() -> int:
    began = float(os.environ.get("MLTRAIN_DEMO_STARTED") or time.time())
    times = {"set-up of .venv and front end (downloads)": time.time() - began}
    notebook = _fresh_folder()
    say(f"running {TUTORIAL} in {FOLDER}")
    watch = RunWatch(FOLDER)
    watch.start()
    try:
        _execute(notebook)
    finally:
        watch.stop()
    html = export_notebook(notebook, root=FOLDER)
    say(f"exported {html.name}, {html.stat().st_size / 1e6:.1f} MB")
    started = time.time()
    accuracy = _measure()
    measured = time.time() - started
    total = time.time() - began
    times |= _times(measured)
    times["kernel, registering, export"] = max(0.0, total - sum(times.values()))
    _report(times, total)
    if accuracy < LEAST_ACCURACY:
        say(f"FAILED: the registered model's test accuracy is {accuracy:.4f}, less than {LEAST_ACCURACY}")
        return 1
    say(f"the registered model {MODEL} has test accuracy {accuracy:.4f} on 10,000 images it never saw")
    print(f"\n  The notebook with its charts, one file:  {html}")
    print("  The notebook itself, in JupyterLab:       make lab\n")
    return 0


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def _fresh_folder() -> Path:
    if (FOLDER / ".mltrain" / "config.toml").is_file():
        connection = Connection.running(FOLDER)
        if connection is not None:
            connection.post("/v1/handover")  # the service of the last demo ends before its folder goes
            while Connection.running(FOLDER) is not None:
                time.sleep(0.1)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    Workspace.create("demo", FOLDER)
    return Path(shutil.copy(HERE / TUTORIAL, FOLDER))


def _execute(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    cells = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    began: dict[int, float] = {}

    def start(cell: Any, cell_index: int) -> None:
        began[cell_index] = time.time()
        if cell_index in cells:
            first = cell.source.partition("\n")[0]
            say(f"cell {cells.index(cell_index) + 1} of {len(cells)}: {first[:90]}")

    def done(cell: Any, cell_index: int, execute_reply: Any) -> None:
        seconds = time.time() - began[cell_index]
        if seconds >= 1:
            say(f"    the cell took {seconds:.1f} s")

    client = NotebookClient(
        notebook,
        timeout=1800,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_start=start,
        on_cell_executed=done,
        extra_arguments=["--IPKernelApp.log_level=40"],
    )
    try:
        client.execute()
    except CellExecutionError as error:
        say("FAILED: a cell of the tutorial raised an error")
        sys.exit(str(error))
    finally:
        nbformat.write(notebook, path)


@dataclass
class RunWatch:
    """Prints the stages of the folder's runs as they change, and the last line of an environment's build."""

    folder: Path
    _seen: dict[str, str] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while not self._over.wait(0.5):
            try:
                connection = Connection.running(self.folder)
                if connection is not None:
                    for run in connection.get("/v1/runs", limit=5)["runs"]:
                        self._show(connection, run)
            except MLTrainError:
                continue  # asked again in half a second

    def _show(self, connection: Connection, run: dict[str, Any]) -> None:
        line = run["status"]
        if line == "Preparing":
            line += _last_line(connection, run["id"])
        elif line == "Running":
            line += _progress(connection.get(f"/v1/runs/{run['id']}")["progress"])
        elif run["duration"] and line in {"Completed", "Failed", "Canceled"}:
            line += f" after {run['duration']:.1f} s"
        if self._seen.get(run["id"]) != line:
            self._seen[run["id"]] = line
            say(f"    {run['display_name']}: {line}")


def _progress(progress: dict[str, Any] | None) -> str:
    return f": {progress['label']} {progress['value']} of {progress['total']}" if progress else ""


def _last_line(connection: Connection, run: str) -> str:
    try:
        raw, _ = connection.bytes(f"/v1/runs/{run}/log", name="build.log", offset=-400)
    except MLTrainError:
        return ""  # no log yet
    lines = [line for line in raw.decode(errors="replace").replace("\r", "\n").split("\n") if line.strip()]
    return f": {lines[-1][:100]}" if lines else ""


def _measure() -> float:
    """Test accuracy of the newest registered version, by the run's own interpreter and the cached data alone."""
    workspace = Workspace.from_config(FOLDER)
    model = Model(workspace, MODEL)
    data = workspace.connection.post("/v1/datasets/mnist/fetch", timeout=600)["path"]
    launch = json.loads((Layout(FOLDER).run(str(model.run_id)) / "shim" / "r0.launch.json").read_text("utf-8"))
    command = [launch["argv"][0], "-c", _MEASURE, str(model.path), data]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    say("measuring the registered model in a process of its own")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    count, accuracy = done.stdout.split()
    assert count == "10000", done.stdout
    return float(accuracy)


def _times(measured: float) -> dict[str, float]:
    runs = Workspace.from_config(FOLDER).connection.get("/v1/runs", order="created")["runs"]
    preparing = running = 0.0
    for run in runs:
        for stage in Workspace.from_config(FOLDER).connection.get(f"/v1/runs/{run['id']}")["stages"]:
            if stage["started"] and stage["ended"]:
                seconds = stage["ended"] - stage["started"]
                preparing += seconds if stage["name"] == "Preparing" else 0.0
                running += seconds if stage["name"] != "Preparing" else 0.0
    return {
        "environment and data of the runs (downloads)": preparing,
        "the two runs: training, and the check in the notebook": running,
        "measuring the registered model": measured,
    }


def _report(times: dict[str, float], total: float) -> None:
    say("where the time went")
    for what, seconds in [*times.items(), ("in all", total)]:
        print(f"    {seconds:7.1f} s  {what}")
    network = sum(seconds for what, seconds in times.items() if "downloads" in what)
    print(f"    {total - network:7.1f} s  without the downloads")


if __name__ == "__main__":
    sys.exit(main())
