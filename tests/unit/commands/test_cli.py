from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_mltrain.api.workspace import Workspace
from jupyter_mltrain.cli import main
from tests.unit.commands.fake_service import FakeConnection


@pytest.fixture
def folder(project: Path, service: FakeConnection) -> Path:
    Workspace.create(path=project)
    (project / "train.py").write_text("print(1)\n")
    return project


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "jupyter mltrain VERB" in capsys.readouterr().out
    assert main(["logs", "--help"]) == 0
    out = capsys.readouterr().out
    assert "usage: jupyter mltrain logs" in out
    assert "--follow" in out
    assert "%mltrain" not in out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.count(".") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["rnus"], 2, "jupyter mltrain runs"),
        (["runs", "--limt", "3"], 2, "--limit"),
        (["run", "train.py", "--noodles", "2"], 2, "no option '--noodles'"),
        (["show", "nobody"], 1, "There is no run 'nobody' here."),
        (["run", "trian.py"], 1, "train.py"),
        (["run", "train.py", "-e", "tensorflw"], 1, "tensorflow"),
        (["run"], 2, "required: FILE"),
    ],
)
def test_errors_are_two_lines_on_standard_error(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    assert main(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert len(err.splitlines()) == 2
    assert "%mltrain" not in err


def test_no_workspace_is_an_error_that_names_the_command(
    project: Path, service: FakeConnection, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs"]) == 1
    assert "`jupyter mltrain init`" in capsys.readouterr().err


def test_run_and_show(folder: Path, service: FakeConnection, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "train.py", "-e", "current", "--", "--lr", "0.1"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("brave-otter-1  NotStarted")
    assert "logs -f brave-otter-1" in err
    assert main(["runs"]) == 0
    assert "brave-otter-1" in capsys.readouterr().out
    assert main(["show", "latest"]) == 0
    assert "--lr 0.1" in capsys.readouterr().out


def test_wait_copies_the_log_and_tells_the_outcome(
    folder: Path, service: FakeConnection, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    service.script = [("Running", b"\xff\r50%\rdone\n"), ("Completed", b"")]
    assert main(["run", "train.py", "--wait"]) == 0
    out, err = capfdbinary.readouterr()
    assert out == b"\xff\r50%\rdone\n"
    assert b"brave-otter-1: Completed." in err
    service.script = [("Running", b"x\n"), ("Failed", b"")]
    assert main(["run", "train.py", "--wait"]) == 1
    assert b"RunFailed: brave-otter-2 failed: exit code 3." in capfdbinary.readouterr().err


def test_logs_are_followed(folder: Path, service: FakeConnection, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    service.script = [("Running", b"one\ntwo\nthree\n"), ("Completed", b"")]
    assert main(["run", "train.py"]) == 0
    capfdbinary.readouterr()
    assert main(["logs", "-f"]) == 0
    assert capfdbinary.readouterr().out == b"one\ntwo\nthree\n"
    assert main(["logs", "--tail", "2", "--follow", "brave-otter-1"]) == 0
    assert capfdbinary.readouterr().out == b"two\nthree\n"


def test_a_dry_run(folder: Path, service: FakeConnection, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "train.py", "--dry-run"]) == 0
    assert "Nothing was started" in capsys.readouterr().out
    assert not service.runs


def test_an_interrupt(
    folder: Path, service: FakeConnection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jupyter_mltrain.api.logs.follow_run", interrupted)
    assert main(["run", "train.py", "--wait"]) == 130
    assert "Detached: brave-otter-1 goes on." in capsys.readouterr().err


def test_as_a_module_and_as_a_command_of_jupyter(project: Path) -> None:
    for command in ([sys.executable, "-m", "jupyter_mltrain"], [str(Path(sys.executable).parent / "jupyter-mltrain")]):
        done = subprocess.run([*command, "env", "--hlp"], capture_output=True, text=True, check=False, cwd=project)
        assert done.returncode == 2
        assert "`--help`" in done.stderr
        assert done.stdout == ""
    head = subprocess.run(
        f"{sys.executable} -m jupyter_mltrain | head -1", shell=True, capture_output=True, text=True, check=True
    )
    assert head.stderr == ""
