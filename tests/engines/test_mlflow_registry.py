"""The model registry against the real MLflow."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from jupyter_mltrain.core.model import Registration
from jupyter_mltrain.errors import ConflictError, ModelNotFound, PathNotFound
from jupyter_mltrain.tracking import cursor
from tests.engines.published import Record, register, synced
from tests.engines.python_environment import tensorflow_python

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow, pytest.mark.timeout(300)]


async def test_registered_models_are_mlflows(tracking, root, plain, tmp_path):
    record = Record(root)
    record.output("model/weights.bin", b"w" * 1000)
    record.output("model/sub/more.bin", b"m")
    given = {
        "tags": {"stage": "<b>🦦</b>", "mltrain.run_id": "x"},
        "description": "first",
        "metrics": {"accuracy": 0.97},
    }
    version = await register(
        tracking, record, "mnist-tf", "model", framework="TensorFlow", framework_version="2.21", **given
    )
    assert {
        key: version[key]
        for key in ("id", "version", "run_id", "path", "bytes", "files", "same_as", "metrics", "tags", "framework")
    } == {
        "id": "mnist-tf:1",
        "version": 1,
        "run_id": record.id,
        "path": "outputs/model",
        "bytes": 1001,
        "files": 2,
        "same_as": None,
        "metrics": {"accuracy": 0.97},
        "tags": {"stage": "<b>🦦</b>", "mltrain.run_id": "x"},
        "framework": "TensorFlow",
    }
    (found,) = plain.client.search_model_versions("name = 'mnist-tf'")
    assert (found.version, found.description, found.run_id) == (1, "first", plain.run(record).info.run_id)
    assert found.tags["mltrain.framework"] == "TensorFlow"
    import mlflow

    mlflow.set_tracking_uri(plain.uri)
    mlflow.set_registry_uri(plain.uri)
    (tmp_path / "got").mkdir()
    got = Path(mlflow.artifacts.download_artifacts("models:/mnist-tf/1", dst_path=str(tmp_path / "got")))
    assert (got / "weights.bin").read_bytes() == b"w" * 1000
    assert (got / "sub" / "more.bin").read_bytes() == b"m"

    # The version outlives the record.
    place = await tracking.path("mnist-tf", 1)
    assert not (place / "weights.bin").stat().st_mode & 0o222
    (record.folder / "outputs" / "model" / "weights.bin").unlink()
    record.output("model/weights.bin", b"changed")
    assert (place / "weights.bin").read_bytes() == b"w" * 1000
    second = await register(tracking, record, "mnist-tf", "outputs/model")
    assert (second["version"], second["same_as"]) == (2, None)
    assert [v["version"] for v in await tracking.versions("mnist-tf")] == [1, 2]
    assert (await tracking.get("mnist-tf"))["version"] == 2
    assert [v["id"] for v in await tracking.models() if v["name"] == "mnist-tf"] == ["mnist-tf:2", "mnist-tf:1"]


async def test_the_same_content_is_one_version_unless_forced(tracking, root):
    record, other = Record(root), Record(root)
    for each in (record, other):
        each.output("model.keras", b"same")
    first = await register(tracking, record, "twice", "model.keras", tags={"a": "1"})
    again = await register(tracking, other, "twice", "model.keras", tags={"b": "2"}, description="said later")
    assert (again["version"], again["same_as"], again["run_id"]) == (1, 1, record.id)
    assert (again["tags"], again["description"]) == ({"a": "1", "b": "2"}, "said later")
    many = {f"layer {i}/norm": i / 3 for i in range(5000)}
    again = await register(tracking, other, "twice", "model.keras", metrics=many)
    assert 2000 < len(again["metrics"]) < 5000
    assert again["metrics"].items() <= many.items()
    forced = await register(tracking, other, "twice", "model.keras", force=True)
    assert (forced["version"], forced["same_as"], forced["run_id"]) == (2, 1, other.id)
    assert first["content_hash"] == forced["content_hash"]
    assert (await tracking.path("twice", 2)).name == "model.keras"
    assert (await tracking.path("twice", 1)).read_bytes() == b"same"
    elsewhere = await register(tracking, record, "another", "model.keras")
    assert (elsewhere["version"], elsewhere["same_as"]) == (1, None)


async def test_a_run_that_goes_on_may_register_what_it_wrote(tracking, root, plain):
    record = Record(root)
    place = record.folder / "work" / "outputs" / "checkpoint.keras"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"epoch 1")
    version = await register(tracking, record, "live", "outputs/checkpoint.keras", metrics={"loss": math.nan})
    assert (version["path"], version["files"]) == ("outputs/checkpoint.keras", 1)
    assert math.isnan(version["metrics"]["loss"])
    await synced(tracking, record, record.state())
    assert plain.run(record).info.run_id == plain.client.get_model_version("live", "1").run_id
    assert not (record.folder / "work" / cursor.FILE).exists()


async def test_what_is_not_there_is_told(tracking, root):
    record = Record(root)
    record.output("model/weights.bin")
    with pytest.raises(PathNotFound, match="outputs/model/"):
        await register(tracking, record, "nothing", "outputs/modle")
    with pytest.raises(ModelNotFound):
        await tracking.versions("nothing")
    await register(tracking, record, "mnist-cnn", "model")
    with pytest.raises(ModelNotFound, match="mnist-cnn"):
        await tracking.get("mnist-cmm")
    with pytest.raises(ModelNotFound, match="last ones are: 1"):
        await tracking.get("mnist-cnn", 7)


MODELS = """
import sys
from pathlib import Path
import tensorflow as tf
out = Path(sys.argv[1])
keras = tf.keras
model = keras.Sequential([keras.Input((28, 28), name="image"), keras.layers.Flatten(), keras.layers.Dense(10)])
model.export(out / "exported", verbose=False)
model.save(out / "model.keras")
model.save(out / "model.h5")
inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((None, 2), dtype="int32", name="b")}
total = keras.layers.Dense(1, name="score")(inputs["a"])
keras.Model(inputs, total).save(out / "functional.keras")
class Module(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x"), tf.TensorSpec([], tf.string, name="s")])
    def __call__(self, x, s):
        return {"doubled": x * 2, "text": s}
tf.saved_model.save(Module(), str(out / "module"))
print(tf.__version__, keras.__version__)
"""


async def test_models_that_tensorflow_wrote(tracking, root, tmp_path):
    python = tensorflow_python()
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    made = subprocess.run([python, "-c", MODELS, tmp_path], env=environment, capture_output=True, text=True, check=True)
    tensorflow, keras = made.stdout.split()[-2:]
    record = Record(root)
    shutil.copytree(tmp_path, record.folder / "outputs")
    found = {}
    for name in ("exported", "module", "model.keras", "functional.keras", "model.h5"):
        found[name] = await register(tracking, record, f"tf-{name}", name)
    versions = {name: (v["format"], v["framework"], v["framework_version"]) for name, v in found.items()}
    assert versions == {
        "exported": ("SavedModel", "TensorFlow", tensorflow),
        "module": ("SavedModel", "TensorFlow", tensorflow),
        "model.keras": ("Keras", "Keras", keras),
        "functional.keras": ("Keras", "Keras", keras),
        "model.h5": ("HDF5", "Keras", None),
    }
    serving = found["exported"]["signature"]["serving_default"]
    assert list(serving["inputs"].values()) == [{"dtype": "float32", "shape": [None, 28, 28]}]
    assert list(serving["outputs"].values()) == [{"dtype": "float32", "shape": [None, 10]}]
    assert found["module"]["signature"] == {
        "serving_default": {
            "inputs": {"x": {"dtype": "float32", "shape": [None, 3]}, "s": {"dtype": "string", "shape": []}},
            "outputs": {"doubled": {"dtype": "float32", "shape": [None, 3]}, "text": {"dtype": "string", "shape": []}},
        }
    }
    assert found["model.keras"]["signature"]["call"]["inputs"] == {
        "image": {"dtype": "float32", "shape": [None, 28, 28]}
    }
    functional = found["functional.keras"]["signature"]["call"]
    assert functional["inputs"] == {
        "a": {"dtype": "float32", "shape": [None, 4]},
        "b": {"dtype": "int32", "shape": [None, None, 2]},
    }
    assert list(functional["outputs"]) == ["score"]


async def test_what_a_killed_process_left_half_made_goes_and_what_is_young_stays(tmp_path):
    from jupyter_mltrain.tracking import registry
    from jupyter_mltrain.tracking.store import Store

    old, young = tmp_path / ".registering-old", tmp_path / ".registering-young"
    fetched, kept = tmp_path / "models" / "m" / ".fetching-old", tmp_path / "models" / "m" / "1-abc"
    for each in (old, young, fetched, kept):
        each.mkdir(parents=True)
        (each / "weights").write_bytes(b"w")
    for each in (old, fetched, kept):
        os.utime(each, (0, 0))
    registry.tidy(Store(tmp_path, "", embedded=True, client=None))
    assert [each.exists() for each in (old, young, fetched, kept)] == [False, True, False, True]


async def test_a_file_that_became_read_only_is_published_again(tmp_path):
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    from jupyter_mltrain.tracking.outputs import put

    class Older(LocalArtifactRepository):
        """MLflow's before it wrote to a file beside: into the one that is there, with its mode."""

        def log_artifact(self, local_file, artifact_path=None):
            target = Path(self.artifact_dir, artifact_path or "", Path(local_file).name)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists() and not target.stat().st_mode & 0o200:
                raise PermissionError(target)  # which root never sees
            shutil.copy2(local_file, target)

    source = tmp_path / "weights.bin"
    for number in range(2):
        source.write_text(str(number))
        source.chmod(0o400)
        put(Older((tmp_path / "artifacts").as_uri()), source, "outputs/model/weights.bin")
        assert (tmp_path / "artifacts" / "outputs" / "model" / "weights.bin").read_text() == str(number)
        source.chmod(0o600)


async def test_files_that_no_run_made(tracking, tmp_path):
    folder = tmp_path / "my model"
    (folder / "sub").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"w" * 1000)
    (folder / "sub" / "a.bin").write_bytes(b"a")
    given = Registration("from-disk", folder.name, properties={"by": "hand"}, resources={"cpu": 1, "memory_gb": 0.5})
    first = await tracking.register_files(given, folder)
    assert (first["version"], first["run_id"], first["path"]) == (1, None, "my model")
    assert (first["properties"], first["resources"]) == ({"by": "hand"}, {"cpu": 1, "memory_gb": 0.5})
    place = await tracking.path("from-disk")
    assert sorted(p.relative_to(place).as_posix() for p in place.rglob("*.bin")) == ["sub/a.bin", "weights.bin"]
    assert (await tracking.register_files(given, folder))["same_as"] == 1
    (folder / "weights.bin").write_bytes(b"v")
    assert (await tracking.register_files(given, folder))["version"] == 2
    single = await tracking.register_files(Registration("one-file", "a.bin"), folder / "sub" / "a.bin")
    assert (await tracking.path("one-file", single["version"])).read_bytes() == b"a"
    with pytest.raises(PathNotFound):
        await tracking.register_files(given, tmp_path / "none")


async def test_what_is_said_of_a_version_changes_but_for_its_properties(tracking, root):
    record = Record(root)
    record.output("model.keras", b"said")
    about = {"environment": "tensorflow:3", "data": ("mnist:1",), "sample_input": "digits:2"}
    version = await register(tracking, record, "said", "model.keras", tags={"a": "1"}, properties={"p": "1"}, **about)
    assert {key: version[key] for key in about} == {**about, "data": ["mnist:1"]}
    changed = await tracking.change("said", 1, tags={"b": "2"}, description="better", properties={"q": "2"})
    assert (changed["tags"], changed["description"]) == ({"b": "2"}, "better")
    assert changed["properties"] == {"p": "1", "q": "2"}
    assert changed["sample_input"] == "digits:2"
    with pytest.raises(ConflictError, match="never change"):
        await tracking.change("said", 1, properties={"p": "other"})
    again = await register(tracking, record, "said", "model.keras", properties={"p": "other", "r": "3"})
    assert again["properties"] == {"p": "1", "q": "2", "r": "3"}


async def test_a_version_that_is_deleted_takes_its_files_unless_another_has_them(tracking, root, plain):
    record = Record(root)
    record.output("model.keras", b"gone")
    await register(tracking, record, "goes", "model.keras")
    await register(tracking, record, "goes", "model.keras", force=True)
    place = await tracking.path("goes", 1)
    await tracking.delete("goes", 1)
    assert place.read_bytes() == b"gone", "version 2 has the same files"
    await tracking.delete("goes", 2)
    assert not place.exists()
    with pytest.raises(ModelNotFound):
        await tracking.versions("goes")
    with pytest.raises(ModelNotFound):
        await tracking.delete("goes", 2)
    await synced(tracking, record, record.state("Completed"))
    assert plain.text(record, "outputs/model.keras") == "gone", "the run's own copy is another"
