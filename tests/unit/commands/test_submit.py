from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.commands import verbs
from jupyter_mltrain.commands.context import Context, notebook_name
from jupyter_mltrain.commands.grammar import split_script_arguments, tokens_of
from jupyter_mltrain.commands.plan import Plan
from jupyter_mltrain.commands.submit import Source, Started, start
from jupyter_mltrain.commands.verbs import CELL
from jupyter_mltrain.errors import (
    EnvironmentNotFound,
    InvalidName,
    MLTrainError,
    NotWritable,
    PathNotFound,
    PreflightError,
    StorageError,
    UsageError,
)
from tests.unit.commands.conftest import Voice
from tests.unit.commands.fake_service import FakeConnection


def cell(context: Context, line: str = "", text: str = "print(1)\n") -> Started | Plan:
    return start(context, Source.of_cell(text), CELL.parse(*split_script_arguments(tokens_of(line))))


def sent(service: FakeConnection, path: str = "/v1/runs") -> dict[str, Any]:
    [body] = [body for verb, where, body in service.requests if verb == "POST" and where == path]
    return body


def test_what_is_sent(
    context: Context, service: FakeConnection, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "src").mkdir()
    monkeypatch.setenv("API_KEY", "s3cret")
    started = cell(
        context,
        "-t local -e tensorflow:3 -d mnist:1 -d test=mnist2 -d =cifar -s src --gpus 1 --cpus 2 --memory 1.5 --max-run-time 2h"
        " --set A=1 --secret API_KEY --tag k=v --as mine --wait -- --lr 0.1",
    )
    assert isinstance(started, Started)
    assert started.variable == "mine"
    assert started.wait
    body = sent(service)
    assert body["run_id"].startswith("my-project_")
    assert body["kernel_python"].endswith(("python", "python3", "python3.11")) or "python" in body["kernel_python"]
    assert {k: body[k] for k in body if k not in {"run_id", "kernel_python"}} == {
        "experiment": "my-project",
        "target": "local",
        "environment": "tensorflow:3",
        "script": "cell.py",
        "command": None,
        "arguments": ["--lr", "0.1"],
        "files": {"cell.py": "# %%mltrain\nprint(1)\n"},
        "source_directory": str(project / "src"),
        "data": [
            {"name": "mnist", "version": 1, "argument": "--data-folder"},
            {"name": "mnist2", "version": None, "argument": "--test"},
            {"name": "cifar", "version": None, "argument": ""},
        ],
        "environment_variables": {"A": "1"},
        "secrets": {"API_KEY": "s3cret"},
        "resources": {"gpus": 1, "cpus": 2, "memory_gb": 1.5, "max_run_seconds": 7200.0},
        "tags": {"k": "v"},
        "display_name": None,
        "limit_snapshot": False,
        "parent": None,
    }


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("--nodes 2", {"launcher": "mpi", "nodes": 2}),
        ("--procs-per-node 2 --join-timeout 2m", {"launcher": "mpi", "processes_per_node": 2, "join_seconds": 120.0}),
        ("--procs-per-node 2 --mpirun", {"launcher": "mpi", "processes_per_node": 2, "mpirun": True}),
        ("--workers 2", {"launcher": "tensorflow", "nodes": 2}),
        (
            "--workers 2 --ps 1 --chief --evaluator",
            {"launcher": "tensorflow", "nodes": 3, "parameter_servers": 1, "chief": True, "evaluator": True},
        ),
    ],
)
def test_processes_that_train_together(
    context: Context, service: FakeConnection, line: str, asked: dict[str, object]
) -> None:
    cell(context, line)
    assert sent(service)["distribution"] == {
        "nodes": 1,
        "processes_per_node": 1,
        "parameter_servers": 0,
        "chief": False,
        "evaluator": False,
        "join_seconds": None,
        "mpirun": False,
        **asked,
    }


def test_what_a_run_goes_on_from(context: Context, service: FakeConnection) -> None:
    cell(context, "--resume-from brave-otter-7 --retries 2 -- --epochs 9")
    body = sent(service)
    assert (body["resume_from"], body["retries"], body["arguments"]) == ("brave-otter-7", 2, ["--epochs", "9"])
    shown = repr(cell(context, "--dry-run --resume-from brave-otter-7 --retries 3"))
    assert "resumes from  brave-otter-7" in shown
    assert "retries       3" in shown


def test_one_way_to_find_each_other(context: Context) -> None:
    with pytest.raises(UsageError, match="`--nodes`, `--workers`"):
        cell(context, "--nodes 2 --workers 2")
    with pytest.raises(UsageError, match="several processes"):
        cell(context, "--join-timeout 1m")
    with pytest.raises(UsageError, match="by ssh alone"):
        cell(context, "--nodes 2 --mpirun")
    with pytest.raises(UsageError, match="and one process"):
        cell(context, "--mpirun")


def test_what_is_not_said_is_left_to_the_workspace(context: Context, service: FakeConnection) -> None:
    started = cell(context)
    body = sent(service)
    assert (body["target"], body["environment"], body["source_directory"]) == (None, None, None)
    assert isinstance(started, Started)
    assert (started.variable, started.wait) == ("run", False)


def test_lines_of_the_script_are_those_of_the_cell() -> None:
    source = Source.of_cell("a\nb")
    assert source.text.splitlines()[1:] == ["a", "b"]  # line 2 of a cell is its first below `%%mltrain`


@pytest.mark.parametrize("text", ["", "  \n\n"])
def test_an_empty_cell_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="holds no script"):
        Source.of_cell(text)


@pytest.mark.parametrize(
    ("line", "error", "said"),
    [
        ("-d mnist -d cifar", UsageError, "`--data-folder` is taken"),
        ("-d mnist -d x=mnist", UsageError, "given twice"),
        ("-s nowhere", PathNotFound, "there is no folder"),
        ("--secret NOT_THERE_AT_ALL", UsageError, "has no NOT_THERE_AT_ALL"),
        ("--experiment 'a b'", InvalidName, "not allowed"),
        ("--experiment '<script>'", InvalidName, "not allowed"),
        ("-e tensorflw", EnvironmentNotFound, "tensorflw"),
    ],
)
def test_what_is_refused(
    context: Context, service: FakeConnection, line: str, error: type[MLTrainError], said: str
) -> None:
    with pytest.raises(error) as caught:
        cell(context, line)
    assert said in caught.value.message
    assert caught.value.mend
    assert not service.runs


def test_a_mistake_in_the_cell_makes_no_workspace(project: Path, service: FakeConnection) -> None:
    with pytest.raises(PreflightError):
        cell(Context(folder=project), text="print(")
    assert not (project / ".mltrain").exists()
    assert not service.requests


def test_a_workspace_is_made_where_there_is_none_and_said(project: Path, service: FakeConnection, said: Voice) -> None:
    cell(Context(folder=project, say=said))
    assert Workspace.from_config(project).root == project
    assert len(said) == 1
    assert "My Project" in said[0]
    assert str(project) not in said[0]


def test_never_in_home(project: Path, service: FakeConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project))
    with pytest.raises(StorageError) as caught:
        cell(Context(folder=project))
    assert "%mltrain init" in caught.value.mend
    with pytest.raises(StorageError) as caught:
        cell(Context(folder=Path("/"), terminal=True))
    assert "jupyter mltrain init" in caught.value.mend
    assert "%cd" not in caught.value.mend


def test_never_in_a_folder_that_cannot_be_written(service: FakeConnection) -> None:
    with pytest.raises(NotWritable) as caught:
        cell(Context(folder=Path("/proc")))
    assert "%mltrain init" in caught.value.mend


def test_a_cell_takes_no_file_of_the_folder(context: Context, service: FakeConnection, project: Path) -> None:
    (project / "cell.py").write_text("")
    cell(context, "-s .")
    assert sent(service)["script"] == "cell_2.py"


def test_kernel_names_and_notices(context: Context, service: FakeConnection, said: Voice) -> None:
    with pytest.raises(PreflightError, match="`x` lives in the kernel"):
        cell(dataclasses.replace(context, namespace={"x": 1}), text="print(x)")
    cell(context, text="def f():\n    return missing\n")
    assert len(said) == 1
    assert said[0].startswith("Note: `missing` is used (line 3 of the cell)")


def test_local_modules_need_their_folder(context: Context, service: FakeConnection, project: Path) -> None:
    (project / "helpers.py").write_text("")
    with pytest.raises(PreflightError, match="lies beside the notebook"):
        cell(context, text="import helpers")
    cell(context, "-s .", "import helpers")


def test_modules_beside_a_notebook_elsewhere(context: Context, service: FakeConnection, tmp_path: Path) -> None:
    (tmp_path / "nb").mkdir()
    (tmp_path / "nb" / "helpers.py").write_text("")
    there = dataclasses.replace(context, notebook=str(tmp_path / "nb" / "x.ipynb"))
    with pytest.raises(PreflightError) as caught:
        cell(there, text="import helpers")
    assert caught.value.mend.endswith(f"`-s {tmp_path / 'nb'}`.")


def test_a_dry_run_starts_nothing_and_holds_no_secret(
    context: Context, service: FakeConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "s3cret")
    plan = cell(context, "--dry-run --secret API_KEY --set A=hidden -d mnist --gpus 1 -- --lr 0.1 'two words'")
    assert isinstance(plan, Plan)
    assert not service.runs
    assert sent(service, "/v1/plan")["secrets"] == {"API_KEY": ""}
    for shown in (repr(plan), plan._repr_html_()):
        assert "s3cret" not in shown
        assert "hidden" not in shown
    text = repr(plan)
    assert "Nothing was started" in text
    assert "cell.py --lr 0.1 'two words'" in text
    assert "tensorflow:3 (to be built first)" in text
    assert "--data-folder mnist" in text
    assert "1 GPUs" in text
    assert "left out as they look like secrets: .env" in text
    assert "Note: One file looks like a secret." in text


def test_a_file(context: Context, service: FakeConnection, project: Path) -> None:
    (project / "train.py").write_bytes("\ufeffprint('grün')\n".encode())
    started = verbs.call(context, "run", ["train.py", "-e", "current"], ["--n", "1"])
    body = sent(service)
    assert isinstance(started, Started)
    assert (body["script"], body["files"]) == ("train.py", {"train.py": "print('grün')\n"})
    assert body["arguments"] == ["--n", "1"]


def test_a_file_in_its_folder(context: Context, service: FakeConnection, project: Path) -> None:
    (project / "src" / "deep").mkdir(parents=True)
    (project / "src" / "deep" / "train.py").write_text("import beside")
    (project / "src" / "deep" / "beside.py").write_text("")
    verbs.call(context, "run", ["src/deep/train.py", "-s", "src"])
    body = sent(service)
    assert (body["script"], body["files"], body["source_directory"]) == ("deep/train.py", {}, str(project / "src"))


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("trian.py", [], "'trian.py'"),
        ("train.py", ["-s", "other"], "does not lie in"),
        ("nb.ipynb", [], "is a notebook"),
        ("latin.py", [], "UTF-8"),
        ("broken.py", [], "broken.py, line 1"),
    ],
)
def test_files_that_cannot_run(
    context: Context, service: FakeConnection, project: Path, name: str, arguments: list[str], said: str
) -> None:
    (project / "other").mkdir()
    (project / "train.py").write_text("print(1)")
    (project / "nb.ipynb").write_text("{}")
    (project / "latin.py").write_bytes(b"print('\xe4')")
    (project / "broken.py").write_text("print(")
    with pytest.raises(MLTrainError) as caught:
        verbs.call(context, "run", [name, *arguments])
    assert said in caught.value.message
    assert caught.value.mend
    assert not service.runs


def test_the_experiment_is_the_notebooks_or_the_folders(project: Path) -> None:
    assert Context(folder=project).experiment == "my-project"
    assert Context(folder=project, notebook="/w/Train MNIST (2).ipynb").experiment == "train-mnist-2"
    assert Context(folder=Path("/")).experiment == "notebook"


def test_who_tells_the_notebooks_name() -> None:
    assert notebook_name({}, {"JPY_SESSION_NAME": "/w/a.ipynb"}) == "/w/a.ipynb"
    assert notebook_name({"__vsc_ipynb_file__": "/w/b.ipynb"}, {}) == "/w/b.ipynb"
    assert notebook_name({}, {"JPY_SESSION_NAME": "console-1-a7c"}) is None
    assert notebook_name({}, {}) is None


def test_a_dry_run_tells_of_the_container_that_its_target_would_make() -> None:
    mounts = [{"Source": "mltrain-run-r"}, {"Source": "mltrain-environments"}]
    host = {"Memory": 4_000_000_000, "NanoCpus": 2_000_000_000, "ShmSize": 1 << 30, "Mounts": mounts}
    host |= {"DeviceRequests": [{"DeviceIDs": ["0", "2"]}], "NetworkMode": "none"}
    request = {"script": "a.py", "arguments": [], "experiment": "e", "target": "box", "data": [], "resources": {}}
    request |= {"environment_variables": {}, "secrets": {}, "tags": {}}
    place = "envs/3f in the volume mltrain-environments"
    environment = {"name": "e", "version": 2, "cached": False, "place": place, "steps": ["pull the image b", "make it"]}
    container = {"Image": "b", "User": "1000:1000", "HostConfig": host}
    text = repr(Plan(request, {"plan": {"container": container}, "environment": environment}, []))
    for said in (place, "pull the image b; make it", "e:2 (to be built first)", "GPUs 0, 2", "2 CPUs", "network none"):
        assert said in text
    assert "at most 4.0 GB of memory" in text
    assert "mounts mltrain-run-r, mltrain-environments" in text
