"""What users get: the wheel, built from a clean copy, in an empty environment without Node and without this checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("sh", "bash", "env", "uname", "cat", "ps", "git")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TRAINING = """%%mltrain --experiment wheel --env current --wait
import numpy as np
from pathlib import Path
from jupyter_mltrain import Run

run = Run.get_context()
x = np.linspace(-1, 1, 200)
y = 3 * x + 0.5
slope = offset = 0.0
for step in range(200):
    error = slope * x + offset - y
    slope -= 0.1 * float((error * x).mean())
    offset -= 0.1 * float(error.mean())
    run.log("loss", float((error**2).mean()), step=step)
Path("outputs").mkdir(exist_ok=True)
Path("outputs/line.txt").write_text(f"{slope} {offset}")
print("trained")
"""


@pytest.fixture(scope="module")
def clean_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that git knows or would take, without anything that was built."""
    folder = tmp_path_factory.mktemp("copy") / "source"
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    assert not (folder / "jupyter_mltrain" / "labextension").exists()
    return folder


@pytest.fixture(scope="module")
def without_node(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH that holds what any machine has, and no Node."""
    folder = tmp_path_factory.mktemp("bin")
    for name in TOOLS:
        found = shutil.which(name)
        if found:
            (folder / name).symlink_to(found)
    assert shutil.which("node", path=str(folder)) is None
    return str(folder)


@pytest.fixture(scope="module")
def wheel(clean_copy: Path, without_node: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("wheel")
    command = [
        shutil.which("uv", path=str(Path(sys.executable).parent)),
        "build",
        "--wheel",
        "--python",
        sys.executable,
    ]
    subprocess.run([*command, "--out-dir", into, clean_copy], env=os.environ | {"PATH": without_node}, check=True)
    (built,) = into.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, without_node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Runs a command of the environment that the wheel was installed in, in an empty folder; returns what it printed."""
    home = tmp_path_factory.mktemp("installed")
    venv, folder = home / "venv", home / "work"
    folder.mkdir()
    uv = shutil.which("uv", path=str(Path(sys.executable).parent))
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, venv], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", venv / "bin" / "python", wheel], check=True)
    kept_out = ("VIRTUAL_ENV", "PYTHONPATH", "JUPYTER_PATH")
    environment = {k: v for k, v in os.environ.items() if k not in kept_out} | {
        "PATH": f"{venv / 'bin'}{os.pathsep}{without_node}",
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_MLTRAIN_STATE": str(home / "state"),
    }

    def run(*command: str) -> str:
        program = venv / "bin" / command[0]
        done = subprocess.run(
            [program, *command[1:]], cwd=folder, env=environment, text=True, check=False, capture_output=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    yield run
    stop = (
        "from pathlib import Path; from jupyter_mltrain.client.connection import Connection;"
        "c = Connection.running(Path.cwd()); c and c.post('/v1/handover')"
    )
    run("python", "-c", stop)


def test_the_wheel_holds_the_front_end_the_tutorials_and_the_run_client(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    share = f"{wheel.name.removesuffix('-py3-none-any.whl')}.data/data/share/jupyter/labextensions/jupyter-mltrain/"
    assert f"{share}install.json" in names
    assert f"{share}package.json" in names
    assert any(name.startswith(f"{share}static/remoteEntry") for name in names)
    for path in (
        "export/static/plotly-basic.min.js",
        "export/static/plots.js",
        "widgets/static/card.js",
        "widgets/static/loader.js",
        "export/template/index.html.j2",
        "widgets/card.css",
    ):
        assert f"jupyter_mltrain/{path}" in names
    for notebook in ROOT.glob("notebooks/*.ipynb"):
        assert f"jupyter_mltrain/tutorials/{notebook.name}" in names
    injected = [name for name in names if "/runclient/injected/" in name]
    assert any(name.endswith(".dist-info/entry_points.txt") for name in injected), "MLflow finds the run's store by it"
    assert not [name for name in names if "node_modules" in name or name.startswith(("js/", "tests/", "shared"))]
    assert wheel.stat().st_size < 2_500_000, "what a user fetches; Plotly alone is 0.4 MB"


def test_jupyterlab_finds_the_extension(installed):
    listed = installed("jupyter", "labextension", "list")
    (line,) = [line for line in listed.splitlines() if "jupyter-mltrain" in line]
    assert "enabled" in line
    assert "OK" in line


def test_it_trains_from_a_cell_and_exports(installed, tmp_path):
    v4 = nbformat.v4
    cells = [v4.new_code_cell("%load_ext jupyter_mltrain"), v4.new_code_cell(TRAINING), v4.new_code_cell("run")]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = tmp_path / "tiny.ipynb"
    nbformat.write(v4.new_notebook(cells=cells, metadata=metadata), notebook)
    work = installed("python", "-c", "import os; print(os.getcwd())").strip()
    shutil.copy(notebook, work)
    installed("jupyter", "execute", "--inplace", "tiny.ipynb")
    executed = nbformat.read(Path(work) / "tiny.ipynb", 4)
    shown = executed.cells[2].outputs[0].data["application/vnd.mltrain.run+json"]
    assert shown["state"]["status"] == "Completed"
    assert shown["series"][0]["total"] == 200
    installed("jupyter", "mltrain", "export", "tiny.ipynb")
    page = (Path(work) / "tiny.html").read_text("utf-8")
    assert '<span class="mlt-pill mlt-ok">Completed</span>' in page
    assert '"metric":"loss"' in page
    assert work not in str(shown), "no path of the machine in an output that is shared"
