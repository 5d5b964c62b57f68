"""The article's distributed blocks train: import lines alone are changed."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain import AmlCompute, ComputeTarget, Dataset, Environment, Experiment
from jupyter_mltrain.api.run import Run
from jupyter_mltrain.api.workspace import Workspace
from tests.article.blocks import blocks, ours

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

SCRIPTS = Path(__file__).with_name("scripts")
KINDS = [
    ["king", "queen", "prince", "duke"],
    ["dog", "cat", "horse", "sheep"],
    ["bread", "cheese", "soup", "honey"],
    ["oak", "birch", "willow", "maple"],
]
SENTENCES = [
    "the {} rules his land from a castle",
    "a {} runs over green fields all day",
    "we eat warm {} at supper with wine",
    "an old {} grows beside deep rivers",
]


def text() -> str:
    """Sentences in which words of one kind stand where others of it could."""
    chance = random.Random(7)
    lines: list[str] = []
    for _ in range(1500):
        kind = chance.randrange(len(KINDS))
        lines.append(SENTENCES[kind].format(chance.choice(KINDS[kind])))
    return "\n".join(lines)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the article has made by then, and leaves to its reader."""
    folder = tmp_path_factory.mktemp("distributed")
    (folder / "text").mkdir()
    (folder / "text" / "all.txt").write_text(text(), encoding="utf-8")
    (folder / "conda_dependencies.yml").write_text(blocks("yaml")[0], encoding="utf-8")
    before = Path.cwd()
    os.chdir(folder)
    try:
        ws = Workspace.create("article")
        configuration = AmlCompute.provisioning_configuration(vm_size="STANDARD_NC6", max_nodes=4)
        target = ComputeTarget.create(ws, "gpu-cluster", configuration)
        scripts = str(SCRIPTS)
        yield {"ws": ws, "compute_target": target, "project_folder": scripts, "source_dir": scripts}
        ws.connection.post("/v1/handover")
    finally:
        os.chdir(before)


def submitted(names: dict[str, Any], said: str, environment: Environment, **more: Any) -> Run:
    """The run of the article's block in which `said` stands."""
    (block,) = (block for block in blocks("python") if said in block)
    own = {**names, **more, "tf_env": environment}
    exec(compile(ours(block), said, "exec"), own)
    return Experiment(names["ws"], "distributed").submit(own["src"])


def test_word2vec_with_horovod(names: dict[str, Any]) -> None:
    """In the curated environment that has Horovod."""
    dataset = Dataset.File.from_files("text/*.txt").register(names["ws"], "text")
    environment = Environment.get(names["ws"], "tensorflow-horovod")
    run = submitted(names, "tf_horovod_word2vec.py", environment, dataset=dataset)
    run.wait_for_completion(wait_post_processing=True)
    log = run.get_log() + run.get_log("user_logs/std_log_1.txt")
    assert "process 0 of 2" in log
    assert "process 1 of 2" in log
    losses = run.get_metrics()["loss"]
    assert losses[-1] < losses[0] / 2, losses
    run.download_file("outputs/nearest.txt", "nearest.txt")
    nearest = dict(line.split() for line in Path("nearest.txt").read_text(encoding="utf-8").splitlines())
    right = [nearest[word] in kind for kind in KINDS for word in kind]
    assert sum(right) >= 14, nearest


def test_keras_with_several_workers(names: dict[str, Any]) -> None:
    """In the environment that the article defines, whose TensorFlow of today still has the Keras of its time."""
    environment = Environment.from_conda_specification(name="tensorflow-2.2-gpu", file_path="./conda_dependencies.yml")
    run = submitted(names, "train.py", environment)
    run.wait_for_completion(wait_post_processing=True)
    log = run.get_log() + run.get_log("user_logs/std_log_1.txt")
    assert "worker 0 of 2" in log
    assert "worker 1 of 2" in log
    losses = run.get_metrics()["loss"]
    assert len(losses) == 30
    assert losses[-1] < losses[0] / 3, losses
    assert run.get_metrics()["accuracy"] > 0.9
    assert "outputs/keras-model/saved_model.pb" in run.get_file_names()
    asked = {one["asked"] for one in run.refresh()["substitutions"]}
    assert {"tensorflow-gpu==2.2.0", "azureml-defaults", "3.6.2"} <= asked, asked


def test_an_environment_of_ones_own_with_horovod_is_given_what_exists(names: dict[str, Any]) -> None:
    """The article's second conda file; it is compiled where somebody uses it."""
    Path("horovod.yml").write_text(blocks("yaml")[1], encoding="utf-8")
    environment = Environment.from_conda_specification("horovod", "horovod.yml").register(names["ws"])
    told = json.loads(next(Path(".mltrain/environments/horovod").glob("*.json")).read_text(encoding="utf-8"))
    assert environment.version
    assert told["given"]["pip"] == ["tensorflow-cpu==2.12.1", "horovod==0.28.1"]
