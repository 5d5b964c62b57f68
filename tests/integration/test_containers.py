"""Runs in containers of a real engine, through the real service: the same script, environment and data as anywhere."""

from __future__ import annotations

import json

import pytest

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.dataset import Dataset
from jupyter_mltrain.api.docker import DockerCompute
from jupyter_mltrain.api.environment import CondaDependencies, Environment
from jupyter_mltrain.api.target import ComputeTarget
from jupyter_mltrain.errors import UsageError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TRAIN = """
import gzip, os, sys
import numpy, tensorflow as tf
from jupyter_mltrain import Run
def read(name, skip):
    with gzip.open(os.path.join(sys.argv[1], name)) as file:
        return numpy.frombuffer(file.read(), numpy.uint8, offset=skip)
x = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 784)[:6000] / 255.0
y = read("train-labels-idx1-ubyte.gz", 8)[:6000]
model = tf.keras.Sequential([tf.keras.Input([784]), tf.keras.layers.Dense(64, "relu"), tf.keras.layers.Dense(10)])
model.compile("adam", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
run = Run.get_context()
for accuracy in model.fit(x, y, epochs=2, batch_size=64, verbose=0).history["accuracy"]:
    run.log("accuracy", accuracy)
model.save("outputs/model.keras")
try:
    open(os.path.join(sys.argv[1], "mine"), "w")
except OSError as error:
    print("data:", error.strerror)
print("container:", os.path.exists("/.dockerenv"), "user:", os.getuid())
"""
CHANGES = """
import os, sys
with open(os.path.join(sys.argv[1], "mine"), "w") as file:
    file.write("own")
print("wrote", sorted(os.listdir(sys.argv[1]))[0][:4])
"""


@pytest.fixture
def box(docker_engine, workspace):
    configuration = DockerCompute.attach_configuration(docker_engine.url, base_image=docker_engine.image, max_nodes=2)
    return ComputeTarget.attach(workspace, "box", configuration)


def plan(workspace, **asked):
    """What a dry run is told."""
    return workspace.connection.post("/v1/plan", {"experiment": "e", "script": "a.py", "files": {"a.py": ""}, **asked})


def test_the_kernels_own_python_is_in_no_container(experiment, box):
    with pytest.raises(UsageError, match="in no container of 'box'"):
        experiment.submit(ScriptRunConfig(script="a.py", files={"a.py": ""}, compute_target=box, environment="current"))
    assert list(experiment.get_runs()) == []


def test_a_ready_image_is_taken_as_it_is(docker_engine, workspace, experiment, box):
    environment = Environment("ready")
    environment.python.user_managed_dependencies = True
    environment.docker.base_image = docker_engine.image
    code = "import sys\nfrom jupyter_mltrain import Run\nRun.get_context().log('inside', int(sys.prefix == '/usr'))\n"
    asked = ScriptRunConfig(script="a.py", files={"a.py": code}, compute_target=box, environment=environment)
    run = experiment.submit(asked)
    run.wait_for_completion(wait_post_processing=True)
    assert run.get_status() == "Completed", run.state["failure"]
    assert run.get_metrics() == {"inside": 1}
    assert run.state["environment"]["version"] == environment.version


def test_a_registrys_password_is_never_kept(docker_engine, workspace):
    asked = DockerCompute.attach_configuration(docker_engine.url, registry="me:hunter2@images.lab:5000")
    with pytest.raises(UsageError, match="without scheme, user and password"):
        ComputeTarget.attach(workspace, "leaky", asked)
    kept = [file.read_bytes() for file in (workspace.root / ".mltrain" / "computes").rglob("*") if file.is_file()]
    assert not any(b"hunter2" in text for text in kept)


def test_what_a_container_must_not_have_is_refused_before_anything_is_made(experiment, box):
    environment = Environment("greedy")
    environment.docker.arguments = ["--privileged"]
    asked = {"files": {"a.py": ""}, "environment": environment}
    with pytest.raises(UsageError, match="'--privileged', which runs are not given"):
        experiment.submit(ScriptRunConfig(script="a.py", compute_target=box, **asked))
    assert list(experiment.get_runs()) == []


def test_an_environment_becomes_an_image_whose_making_is_seen(docker_engine, workspace, experiment, box):
    environment = Environment("built")
    environment.python.conda_dependencies = CondaDependencies.create(
        pip_packages=["six==1.17.0"], python_version="3.11"
    )
    environment.docker.image = "build"
    environment.environment_variables["COLOUR"] = "blue"
    environment.docker.arguments = ["--shm-size", "96m", "--env=SHAPE=round"]
    code = (
        "import os, six, sys\nprint(six.__version__, sys.prefix, os.environ['COLOUR'], os.environ['SHAPE'])\n"
        "shm = os.statvfs('/dev/shm')\nprint(shm.f_frsize * shm.f_blocks >> 20)\n"
    )
    asked = {"files": {"a.py": code}, "compute_target": box, "environment": environment}
    environment.register(workspace)
    planned = plan(workspace, environment="built", target="box", secrets={"KEY": "s3cret"})
    assert planned["environment"]["state"] == "to build"
    assert planned["environment"]["steps"][0].startswith("build the environment, 1 package as mltrain/environment:")
    assert planned["plan"]["container"]["Image"].startswith("mltrain/environment:")
    assert planned["plan"]["container"]["HostConfig"]["ShmSize"] == 96 << 20
    assert "s3cret" not in json.dumps(planned)
    run = experiment.submit(ScriptRunConfig(script="a.py", **asked))
    run.wait_for_completion(wait_post_processing=True)
    assert run.get_status() == "Completed", run.state["failure"]
    planned = plan(workspace, environment="built", target="box")
    assert (planned["environment"]["cached"], planned["environment"]["steps"]) == (True, [])
    said = workspace.connection.bytes(f"/v1/runs/{run.id}/log", name="user_logs/std_log.txt", limit=10_000)[0].decode()
    assert said.split() == ["1.17.0", "/opt/environment", "blue", "round", "96"]
    # What the card shows while it is made.
    making = workspace.connection.bytes(f"/v1/runs/{run.id}/log", name="build.log", limit=100_000)[0].decode()
    assert " + six==1.17.0\n" in making
    kept = json.loads((workspace.root / ".mltrain" / "runs" / run.id / "environment.json").read_text())["prepared"]
    shown = json.loads(docker_engine.docker("inspect", kept["image"]))[0]
    assert shown["RepoTags"][0] in making
    assert shown["Config"]["Labels"]["org.jupyter-mltrain.kind"] == "environment"
    assert Environment.get(workspace, "built").docker.image == "build"


def test_tensorflow_trains_on_mnist_in_a_container(docker_engine, workspace, experiment, box, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_text(TRAIN)
    (source / "changes.py").write_text(CHANGES)
    mnist = Dataset.get_by_name(workspace, "mnist")
    asked = {"source_directory": str(source), "compute_target": box, "environment": "tensorflow"}
    run = experiment.submit(ScriptRunConfig(script="train.py", arguments=[mnist.as_mount()], **asked))
    run.wait_for_completion(wait_post_processing=True)
    assert run.get_status() == "Completed", run.state["failure"]
    assert run.get_metrics()["accuracy"][-1] > 0.8
    said = workspace.connection.bytes(f"/v1/runs/{run.id}/log", name="user_logs/std_log.txt", limit=100_000)[0].decode()
    assert "data: Read-only file system" in said
    assert "container: True user: 1000" in said
    assert "outputs/model.keras" in run.get_file_names()
    folder = workspace.root / ".mltrain" / "runs" / run.id
    assert "Resolving tensorflow" in (folder / "build.log").read_text()
    kept = json.loads((folder / "environment.json").read_text())
    assert kept["prepared"]["image"].startswith("sha256:")
    assert any(package.startswith("tensorflow") for package in kept["packages"])

    # What is there is found at once; a copy that a run may change is its own.
    again = experiment.submit(ScriptRunConfig(script="changes.py", arguments=[mnist.as_download()], **asked))
    again.wait_for_completion(wait_post_processing=True)
    assert again.get_status() == "Completed", again.state["failure"]
    preparing = next(stage for stage in again.state["stages"] if stage["name"] == "Preparing")
    assert preparing["note"].startswith("cached")
    assert again.state["environment"]["key"] == run.state["environment"]["key"]
    assert [name for name in docker_engine.ours()["containers"] if run.id in name or again.id in name] == []


def test_tensorflow_trains_on_mnist_on_another_host_by_tls(remote_host, workspace, experiment):
    """By ssh the tutorial about containers does. The environment made here is the one it finds."""
    configuration = DockerCompute.attach_configuration(**remote_host.tls, base_image=remote_host.image)
    far = ComputeTarget.attach(workspace, "far", configuration)
    mnist = Dataset.get_by_name(workspace, "mnist")
    asked = {"files": {"train.py": TRAIN}, "script": "train.py", "compute_target": far, "environment": "tensorflow"}
    run = experiment.submit(ScriptRunConfig(arguments=[mnist.as_mount()], **asked))
    run.wait_for_completion(wait_post_processing=True)
    assert run.get_status() == "Completed", run.state["failure"]
    assert run.get_metrics()["accuracy"][-1] > 0.8
    assert "outputs/model.keras" in run.get_file_names()
    used = run.state["used"]
    assert used["memory"].endswith(("MB", "GB"))
    assert used["CPU"].endswith(" s")
    made = remote_host.engine.ours()
    assert "mltrain-environments" in made["volumes"]
    assert [name for name in (*made["containers"], *made["volumes"]) if run.id in name] == []
    label = '{{index .Labels "org.jupyter-mltrain.workspace"}}'
    assert remote_host.engine.docker("volume", "inspect", "--format", label, "mltrain-environments")
