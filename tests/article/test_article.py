"""The article, from its first block to its last, on the full MNIST: import lines alone are changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.core.spec import DATA_PLACEHOLDER
from tests.article.blocks import blocks, changed, ours

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
LAST_BLOCK_WITH_A_RUN = "run.wait_for_completion(show_output=True)"


def tutorial_script() -> str:
    """The training script of the tutorial, which takes the arguments that the article gives it."""
    notebook: Any = nbformat.read(ROOT / "notebooks" / "02-the-article.ipynb", 4)
    (cell,) = [
        cell for cell in notebook.cells if cell.source.startswith("%%writefile") and "tf_mnist.py" in cell.source
    ]
    return str(cell.source.partition("\n")[2])


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the article leaves to its reader: a folder with a workspace, its YAML file, a script, undefined names."""
    folder = tmp_path_factory.mktemp("article")
    (folder / "scripts").mkdir()
    (folder / "scripts" / "tf_mnist.py").write_text(tutorial_script(), encoding="utf-8")
    (folder / "conda_dependencies.yml").write_text(blocks("yaml")[0], encoding="utf-8")
    script_folder = str(folder / "scripts")
    before = Path.cwd()
    os.chdir(folder)
    try:
        workspace = Workspace.create("article")
        yield {"script_folder": script_folder, "project_folder": script_folder, "source_dir": script_folder}
        for service in workspace.webservices.values():
            service.delete()
        workspace.connection.post("/v1/handover")
    finally:
        os.chdir(before)


def test_only_import_lines_are_changed() -> None:
    lines = [before for block in blocks("python") for before, _ in changed(block)]
    assert len(lines) == 14
    assert all(line.startswith(("from azureml", "import azureml")) for line in lines)
    assert not any(
        "azureml." in line for block in blocks("python") for line in ours(block).splitlines() if "import" in line
    )


def test_every_block_runs(names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    said: dict[int, str] = {}
    for number, block in enumerate(blocks("python")):
        exec(compile(ours(block), f"block {number}", "exec"), names)
        said[number] = capsys.readouterr().out
    _check_what_came_of_it(names, said)


def _check_what_came_of_it(names: dict[str, Any], said: dict[int, str]) -> None:
    told = "".join(said.values())
    run, model, service, dataset = names["run"], names["model"], names["service"], names["dataset"]
    assert dataset.version == 1
    assert sorted(Path(path).name for path in dataset.to_path()) == [
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
    ]
    assert "Creating a new compute target..." in told
    assert "Minimum number of nodes requested have been provisioned" in told
    assert Path("AzureML-TensorFlow-2.2-GPU", "conda_dependencies.yml").is_file()
    assert names["compute_target"].get_status().serialize()["scaleSettings"]["maxNodeCount"] == 4

    assert run.get_status() == "Completed"
    assert f"RunId: {run.id}" in told
    assert "60000 training images, 10000 test images" in told
    assert run.get_metrics()["final_acc"] >= 0.97
    state = run.refresh()
    asked = {one["asked"] for one in state["substitutions"]}
    assert {"tensorflow-gpu==2.2.0", "azureml-defaults", "3.6.2"} <= asked, asked
    assert any(one.startswith("STANDARD_NC6 ") for one in asked), asked
    assert [one["name"] for one in state["data"]] == ["mnist-dataset"]
    assert any(argument.startswith(DATA_PLACEHOLDER) for argument in run.get_details()["runDefinition"]["arguments"])

    assert (model.id, model.framework, model.run_id) == ("tf-mnist:1", "TensorFlow", run.id)
    assert Path("model", "saved_model.pb").is_file()
    service.wait_for_deployment()
    assert service.state == "Healthy"
    probabilities = service.run(json.dumps({"instances": [[0.0] * 784]}))["predictions"][0]
    assert len(probabilities) == 10
    assert sum(probabilities) == pytest.approx(1, abs=1e-3)


def test_the_article_knows_no_other_names(names: dict[str, Any]) -> None:
    """What the article's imports name can be had from `jupyter_mltrain` in a fresh process, without anything heavy."""
    lines = [after for block in blocks("python") for _, after in changed(block)]
    code = (
        "".join(lines)
        + "import sys\nprint([m for m in ('tensorflow', 'mlflow', 'pydantic', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
