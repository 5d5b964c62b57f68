"""What a user gets wrong costs one clear error, names the way out, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.api.config import ScriptRunConfig
from jupyter_mltrain.api.experiment import Experiment
from jupyter_mltrain.api.lookup import run as run_named
from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.errors import (
    DatasetNotFound,
    EnvironmentNotFound,
    InvalidName,
    MLTrainError,
    PathNotFound,
    PreflightError,
    PythonNotFound,
    ResourceUnavailable,
    RunNotFound,
    SourceError,
    TargetNotFound,
    Unreachable,
    UsageError,
)
from tests.faults.world import World, steady

SCRIPT = {"train.py": "print(1)\n"}


def refused(world: World, kind: type[MLTrainError], **changes: Any) -> MLTrainError:
    """The error of a submit, which must be of exactly this class, say what to do, and leave no run."""
    _, body = world.request("", **changes)
    with pytest.raises(MLTrainError) as raised:
        world.connection.post("/v1/runs", body)
    error = raised.value
    assert type(error) is kind, error
    assert error.message
    assert error.mend, error.message
    assert "\n" not in error.message
    assert world.connection.get("/v1/runs")["total"] == 0
    assert list(world.layout.runs.iterdir()) == []
    return error


def test_unknown_names_come_with_the_nearest(world: World) -> None:
    assert refused(world, EnvironmentNotFound, environment="tensorflo").mend.startswith("Did you mean tensorflow ")
    assert refused(world, EnvironmentNotFound, environment="tensorflow:77").message
    assert refused(world, DatasetNotFound, data=[{"name": "mnsit"}]).mend.startswith("Did you mean mnist")
    assert refused(world, TargetNotFound, target="locale").mend == "Did you mean local?"


def test_an_unknown_run_comes_with_the_nearest(experiment: Experiment, workspace: Workspace) -> None:
    experiment.submit(
        ScriptRunConfig(script="train.py", files=SCRIPT, environment="current", display_name="brave-otter-1")
    ).wait_for_completion()
    with pytest.raises(RunNotFound) as raised:
        run_named("brave-oter-1", workspace)
    assert raised.value.mend == "Did you mean brave-otter-1?"


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "🚀", "", "-x", "a b", "a/b", "..", "x" * 256])
def test_experiment_names_that_are_not_allowed(world: World, name: str) -> None:
    error = refused(world, InvalidName, experiment=name)
    assert "1 to 255" in error.mend


@pytest.mark.parametrize("run_id", ["../../evil", "/etc/evil", ".hidden", "a/b", "x" * 256])
def test_run_ids_that_lead_elsewhere(world: World, run_id: str) -> None:
    _, body = world.request("")
    with pytest.raises(InvalidName):
        world.connection.post("/v1/runs", {**body, "run_id": run_id})
    assert world.connection.get("/v1/runs")["total"] == 0


def test_wrong_requests_are_told_field_by_field(world: World) -> None:
    assert "epochs" in refused_loosely(world, UsageError, epochs=3).message
    assert "gpus" in refused_loosely(world, UsageError, resources={"gpus": -1}).message
    assert (
        refused_loosely(world, UsageError, command=["ls"]).message == "A run needs a script or a command, and not both."
    )
    assert "number" in refused_loosely(world, UsageError, environment="tensorflow:new").message


def refused_loosely(world: World, kind: type[MLTrainError], **changes: Any) -> MLTrainError:
    _, body = world.request("", **changes)
    with pytest.raises(kind) as raised:
        world.connection.post("/v1/runs", body)
    assert world.connection.get("/v1/runs")["total"] == 0
    return raised.value


def test_more_than_the_target_has_is_refused_and_not_substituted(world: World) -> None:
    error = refused(world, ResourceUnavailable, resources={"gpus": 64})
    assert "64 GPUs asked for" in error.message
    refused(world, ResourceUnavailable, resources={"cpus": 100_000})
    refused(world, ResourceUnavailable, resources={"memory_gb": 1e9})


def test_a_syntax_error_is_told_before_anything_is_built(world: World) -> None:
    error = refused(world, PreflightError, environment="tensorflow", files={"train.py": "x = 1\nif x\n    pass\n"})
    assert "line 2" in error.message.lower()
    assert "expected ':'" in error.message
    assert not (world.base.parent / "cache" / "environments").exists()


def test_a_script_or_folder_that_is_not_there(world: World, tmp_path: Path) -> None:
    assert "train.py" in refused(world, PathNotFound, files={"other.py": ""}).message
    assert str(tmp_path / "no") in refused(world, PathNotFound, source_directory=str(tmp_path / "no")).message


def test_a_source_file_that_cannot_be_read(world: World, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "broken.bin").symlink_to("/proc/self/mem")  # reading it fails for everybody, root too
    assert "broken.bin" in refused(world, SourceError, source_directory=str(source)).message


def test_a_python_that_is_not_there(world: World) -> None:
    with pytest.raises(PythonNotFound) as raised:
        world.connection.post("/v1/environments", {"name": "old", "python": "3.4", "pip": ["six"]}, timeout=120)
    assert "no Python 3.4" in raised.value.message
    assert raised.value.mend


def test_a_registry_that_does_not_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(Unreachable) as raised:
        world.connection.post("/v1/environments", {"name": "far", "pip": ["six"]}, timeout=120)
    assert "127.0.0.1:9" in raised.value.message
    assert raised.value.mend


@pytest.mark.slow
def test_a_model_path_that_is_not_there(experiment: Experiment) -> None:
    script = "import os\nos.makedirs('outputs/model')\nopen('outputs/model/weights.txt', 'w').write('1')\n"
    run = experiment.submit(ScriptRunConfig(script="train.py", files={"train.py": script}, environment="current"))
    run.wait_for_completion(wait_post_processing=True)
    for path in ("outputs/modle", "../spec.json", "/etc/passwd"):
        with pytest.raises(MLTrainError) as raised:
            run.register_model("digits", path)
        assert type(raised.value) in {PathNotFound, UsageError}
    with pytest.raises(PathNotFound) as missing:
        run.register_model("digits", "outputs/modle")
    assert "outputs/model" in str(missing.value)
    with pytest.raises(InvalidName):
        run.register_model("<script>", "outputs/model")
    assert run.register_model("digits", "outputs/model").version == 1


ODD_NAMES = [
    "<script>alert(1)</script>",
    "🚀 speed",
    "ü" * 127,
    "a//b",
    'it\'s "quoted"',
    "\u202eright to left",
    "tab\tnew\nline",
    "%2e%2e",
]


def test_odd_names_pass_through_every_route_as_text(world: World) -> None:
    script = f"for name in {ODD_NAMES!r}:\n    run.log(name, 1.5, step=3)\n    run.tag(name, name)\n"
    name = "<img src=x onerror=alert(1)> 🦦"
    run = world.submit(script, display_name=name, tags={"<b>": "<i>"}, arguments=["--note", "<script>"])
    state = world.check(run)
    assert state["display_name"] == name
    assert state["tags"]["<b>"] == "<i>"
    assert [series["name"] for series in state["metrics"]] == ODD_NAMES
    assert all(state["tags"][odd] == odd for odd in ODD_NAMES)
    values = world.connection.get(f"/v1/runs/{run.id}/values")
    for odd in ODD_NAMES:
        assert values[odd] == 1.5
        assert world.connection.get(f"/v1/runs/{run.id}/series", name=odd)["values"] == [1.5]
    assert world.connection.get(f"/v1/runs/{name}")["id"] == run.id
    card = bundle(world, state)
    assert "<img src=x" not in card["text/html"]
    assert "<script" not in card["text/html"]


def test_file_names_of_255_bytes_and_of_no_encoding(world: World) -> None:
    script = (
        "open('outputs/' + 'ü' * 127, 'w').write('long')\n"
        "open(b'outputs/\\xff\\xfe.bin', 'wb').write(b'odd')\n"
        "open('outputs/<script>.txt', 'w').write('text')\n"
    )
    run = world.submit(script)
    assert world.check(run)["outputs"]["files"] == 3
    listed = [f["path"] for f in world.connection.get(f"/v1/runs/{run.id}/files")["files"]]
    assert f"outputs/{'ü' * 127}" in listed
    assert "outputs/<script>.txt" in listed
    for path in listed:
        if path.startswith("outputs/"):
            assert world.connection.bytes(f"/v1/runs/{run.id}/file", path=path)[0] in {b"long", b"odd", b"text"}


def test_a_source_folder_with_odd_names(world: World, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    names = (b"\xff\xfe.bin", "ü".encode() * 127, b"<script>")
    (source / "train.py").write_text(f"for name in {names!r}:\n    assert open(name, 'rb').read() == name\n")
    for name in names:
        Path(os.fsdecode(bytes(source) + b"/" + name)).write_bytes(name)
    os.mkfifo(source / "pipe")
    (source / "loop").symlink_to(source)
    run, body = world.request("", source_directory=str(source), files={})
    world.connection.post("/v1/runs", body)
    state = world.wait(run)
    assert state["status"] == "Completed", state["failure"]
    assert any("pipe" in notice for notice in state["notices"])
    assert any("loop" in notice for notice in state["notices"])


def test_nan_and_infinities_pass_through_every_route_and_card(world: World) -> None:
    values = ["nan", "inf", "-inf", "1e308", "5e-324", "-0.0", "1"]
    run = world.submit("\n".join(f"run.log('odd', float({value!r}), step={i})" for i, value in enumerate(values)))
    state = world.check(run)
    [series] = state["metrics"]
    assert series["max"] == 1e308
    assert series["min"] == -0.0
    assert series["last"] == 1.0
    shown = world.connection.get(f"/v1/runs/{run.id}/series", name="odd")["values"]
    assert shown == ["NaN", "Infinity", "-Infinity", 1e308, 5e-324, 0.0, 1.0]
    assert [repr(v) for v in world.connection.get(f"/v1/runs/{run.id}/values")["odd"]] == [
        repr(float(v)) for v in values
    ]
    text, _ = world.connection.bytes("/v1/runs")
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    card = bundle(world, state)
    json.dumps(card, allow_nan=False)
    assert "<svg" in card["text/html"]


def test_a_series_of_nothing_but_nan(world: World) -> None:
    run = world.submit("for i in range(300):\n    run.log('odd', float('nan'))\n")
    state = world.check(run)
    assert state["metrics"][0]["min"] is None
    assert state["metrics"][0]["last"] == "NaN"
    assert world.connection.get(f"/v1/runs/{run.id}/series", name="odd", points=4)["total"] == 300
    json.dumps(bundle(world, state), allow_nan=False)


def test_binary_in_the_log_comes_back_as_it_was(world: World) -> None:
    run = world.submit(
        "sys.stdout.buffer.write(bytes(range(256)) * 10)\nsys.stdout.flush()\nos.write(2, b'\\x1b]0;title\\x07\\x1b[31mred')\n"
    )
    world.check(run)
    data, _ = world.connection.bytes(f"/v1/runs/{run.id}/log")
    assert data == bytes(range(256)) * 10 + b"\x1b]0;title\x07\x1b[31mred"
    held = Experiment(Workspace(world.root), "faults")
    from jupyter_mltrain.api.run import Run

    assert "red" in Run(held, run.id).get_log()


@pytest.mark.slow
def test_a_line_of_100_mb_costs_no_memory(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.connection.get("/v1/hello")
    pid = world.service_pid()
    assert pid is not None
    warm = world.submit(steady(1))
    world.check(warm)
    before = _peak_mb(pid)
    size = 100 << 20
    run = world.submit(
        "for _ in range(100):\n    sys.stdout.write('x' * (1 << 20))\nsys.stdout.flush()\nraise SystemExit(3)\n"
    )
    from jupyter_mltrain.api.run import Run

    own = _peak_mb(os.getpid())
    Run(Experiment(Workspace(world.root), "faults"), run.id).wait_for_completion(show_output=True, raise_on_error=False)
    shown = capsys.readouterr().out
    assert "MB left out" in shown
    assert len(shown) < 2_000_000
    state = world.check(run)
    assert state["status"] == "Failed"
    assert "exit code 3" in state["failure"]["title"]
    assert world.connection.get(f"/v1/runs/{run.id}/logs")["logs"][-1]["size"] == size
    assert _peak_mb(pid) - before < 60, "the service held the line in memory"
    assert _peak_mb(os.getpid()) - own < 60, "the kernel held the line in memory"


@pytest.mark.parametrize(
    "path",
    ["../spec.json", "outputs/../../spec.json", "outputs/../spec.json", "/etc/passwd", "outputs//etc/passwd", "outputs/link",
     "outputs/folder/passwd", "work/train.py", "streams/r0.log", "shim/r0.launch.json", "", "outputs", "outputs/\x00", "state.json"],
)  # fmt: skip
def test_no_route_leads_out_of_a_runs_files(traversed: tuple[World, str], path: str) -> None:
    world, run_id = traversed
    with pytest.raises(MLTrainError) as raised:
        world.connection.bytes(f"/v1/runs/{run_id}/file", path=path)
    assert type(raised.value) in {PathNotFound, UsageError}, raised.value
    with pytest.raises(PathNotFound):
        world.connection.bytes(f"/v1/runs/{run_id}/log", name=path)


@pytest.mark.parametrize("key", ["..", "../runs", "%2e%2e", "..%2f..", ".", "latest/../x"])
def test_no_run_name_leads_out_of_the_workspace(traversed: tuple[World, str], key: str) -> None:
    world, _ = traversed
    with pytest.raises(MLTrainError):
        world.connection.get(f"/v1/runs/{key}")


@pytest.fixture(scope="module")
def traversed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        base = tmp_path_factory.mktemp("traversal")
        patch.setenv("JUPYTER_MLTRAIN_STATE", str(base / "state"))
        patch.setenv("JUPYTER_MLTRAIN_CACHE", str(base / "cache"))
        with World(base / "w") as world:
            run = world.submit("os.symlink('/etc/passwd', 'outputs/link')\nos.symlink('/etc', 'outputs/folder')\n")
            assert world.check(run)["status"] == "Completed"
            yield world, run.id


def bundle(world: World, state: dict[str, Any]) -> dict[str, Any]:
    """A run's output as the kernel makes it."""
    from jupyter_mltrain.widgets.output import bundle as made

    return made(state, world.connection)


def _peak_mb(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


assert sys.platform == "linux", "what these tests look at is Linux's"
