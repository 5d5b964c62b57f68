"""Models from run to registry, as users hold them."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.model import Model
from jupyter_mltrain.api.resources import ResourceConfiguration
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.errors import (
    ConflictError,
    ModelNotFoundException,
    ModelPathNotFoundException,
    UsageError,
    UserErrorException,
)

SCRIPT = """
import os
os.makedirs("outputs/model")
open("outputs/model/weights.bin", "w").write("weights")
from jupyter_mltrain import Run
Run.get_context().log("accuracy", 0.97)
"""


def test_a_model_from_its_run_to_its_end(experiment: Experiment, workspace: Workspace, tmp_path: Path) -> None:
    run = experiment.submit(ScriptRunConfig(script="a.py", files={"a.py": SCRIPT}, environment="current"))
    run.wait_for_completion(wait_post_processing=True)
    with pytest.raises(ModelPathNotFoundException, match="outputs/model"):
        run.register_model("tf-mnist", "outputs/modle")
    model = run.register_model(
        model_name="tf-mnist",
        model_path="./outputs/model",
        tags={"stage": "first"},
        properties={"by": "test"},
        model_framework=Model.Framework.TENSORFLOW,
        model_framework_version="2.0",
        resource_configuration=ResourceConfiguration(cpu=1, memory_in_gb=0.5),
    )
    assert (model.id, model.run_id, model.framework, model.framework_version) == (
        "tf-mnist:1",
        run.id,
        "TensorFlow",
        "2.0",
    )
    assert model.resource_configuration == ResourceConfiguration(1, 0.5)
    assert model.entry["metrics"] == {"accuracy": 0.97}
    assert model.entry["environment"] == "current"
    assert model.run is not None
    assert model.run.id == run.id
    assert model.name in model.url

    found = Model(workspace, "tf-mnist")
    assert (found.version, found.tags, found.properties) == (1, {"stage": "first"}, {"by": "test"})
    assert Model(workspace, id="tf-mnist:1").id == model.id
    assert Model(workspace, "tf-mnist", tags=[["stage", "first"]], properties=["by"], run_id=run.id).id == model.id
    with pytest.raises(ModelNotFoundException, match="all that was asked for"):
        Model(workspace, "tf-mnist", tags=[["stage", "second"]])
    with pytest.raises(ModelNotFoundException, match="tf-mnist"):
        Model(workspace, "tf-mnits")
    for wrong in ({}, {"id": "tf-mnist"}):
        with pytest.raises(UserErrorException):
            Model(workspace, **wrong)

    found.add_tags({"stage": "second"})
    found.update(description="the first")
    found.add_properties({"kept": "yes"})
    with pytest.raises(ConflictError):
        found.add_properties({"by": "somebody else"})
    found.remove_tags(["stage"])
    again = workspace.models["tf-mnist"]
    assert (again.tags, again.description, again.properties) == ({}, "the first", {"by": "test", "kept": "yes"})

    target = tmp_path / "here"
    weights = Path(model.download(target)) / "weights.bin"
    assert weights.read_text() == "weights"
    assert (model.path / "weights.bin").stat().st_nlink == 2, "what the finished run left was copied"
    assert not (model.path / "weights.bin").stat().st_mode & 0o222
    assert weights.stat().st_mode & 0o200, "a copy of one's own cannot be changed"
    with pytest.raises(FileExistsError, match="there already"):
        model.download(target)
    assert model.download(target, exist_ok=True)

    model.delete()
    assert Model.list(workspace) == []
    assert run.refresh()["models"] == [], "the run does not name what is gone"


def test_files_of_this_machine(workspace: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "model.pkl"
    for number, text in enumerate(("one", "two", "one"), 1):
        file.write_text(text)
        model = Model.register(workspace, str(file), "sklearn-model", tags={"n": str(number)}, description="from disk")
    assert (model.version, model.tags) == (1, {"n": "3"}), "the same content is the same version"
    assert [one.version for one in Model.list(workspace, name="sklearn-model")] == [2, 1]
    assert [one.version for one in Model.list(workspace, latest=True)] == [2]
    assert model.run is None
    with pytest.raises(ModelPathNotFoundException):
        Model.register(workspace, tmp_path / "none", "sklearn-model")
    with pytest.raises(UsageError, match="child_paths"):
        Model.register(workspace, file, "sklearn-model", child_paths=["a"])


def test_an_entry_script_finds_its_model(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFoundException):
        Model.get_model_path("m")
    file = tmp_path / "registered.pkl"
    file.write_text("registered")
    Model.register(workspace, file, "m")
    assert Path(Model.get_model_path("m", _workspace=workspace)).read_text() == "registered"
    (tmp_path / "m").write_text("beside")
    assert Model.get_model_path("m") == "m"
    for version in (9, 10):
        folder = tmp_path / "azureml-models" / "m" / str(version)
        folder.mkdir(parents=True)
        (folder / "model.pkl").write_text(str(version))
    assert Path(Model.get_model_path("m")).read_text() == "10"
    assert Path(Model.get_model_path("m", version=9)).read_text() == "9"


@pytest.mark.parametrize("wrong", [{"cpu": 0}, {"memory_in_gb": -1}, {"gpu": True}, {"cpu": "1"}])
def test_resources_are_numbers(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="positive number"):
        ResourceConfiguration(**wrong)  # type: ignore[arg-type]
