import stat
import threading
import time
from pathlib import Path

import psutil
import pytest

from jupyter_mltrain.cache import Stopped
from jupyter_mltrain.environments import uv as uv_module
from jupyter_mltrain.environments.indexes import IndexSettings
from jupyter_mltrain.environments.uv import Uv, failure, one_line_cause
from jupyter_mltrain.errors import BuildFailed, DiskFull, NotWritable, ResolveError, Unreachable


@pytest.fixture
def fake_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def write(script: str) -> None:
        path = tmp_path / "uv"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(uv_module.uv, "find_uv_bin", lambda: str(path))

    return write


def test_lines_come_as_they_are_printed_the_last_one_too(fake_uv, tmp_path):
    fake_uv("echo one; echo; printf 'two\\nthree' >&2; exit 3")
    lines: list[str] = []
    code, output = Uv(IndexSettings({}), tmp_path).run([], lines.append)
    assert (code, lines, output) == (3, ["one", "two", "three"], "one\ntwo\nthree")


def test_a_secret_is_redacted_even_where_uv_prints_it(fake_uv, tmp_path):
    fake_uv('echo "using $UV_DEFAULT_INDEX and hush-hush"')
    settings = IndexSettings({"UV_DEFAULT_INDEX": "https://me:hush-hush@host/simple"}, secrets=("hush-hush",))
    lines: list[str] = []
    _, output = Uv(settings, tmp_path).run([], lines.append)
    assert lines == [output] == ["using https://****@host/simple and ****"]


def test_uv_gets_no_python_of_ours_and_downloads_none(fake_uv, tmp_path, monkeypatch):
    monkeypatch.setenv("VIRTUAL_ENV", "/somewhere")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    fake_uv('echo "[$VIRTUAL_ENV$PYTHONPATH] $UV_PYTHON_DOWNLOADS"')
    assert Uv(IndexSettings({}), tmp_path).run([], lambda _: None)[1] == "[] never"


def test_a_stop_ends_uv_and_its_children(fake_uv, tmp_path):
    fake_uv("trap '' TERM; (trap '' TERM; sleep 600) & echo $!; sleep 600")
    cancelled = threading.Event()
    lines: list[str] = []

    def log(line: str) -> None:
        lines.append(line)
        cancelled.set()

    started = time.monotonic()
    with pytest.raises(Stopped):
        Uv(IndexSettings({}), tmp_path, cancelled).run([], log)
    assert time.monotonic() - started < 300
    child = int(lines[0])
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < started + 300, "uv's child lives on"
        time.sleep(0.01)


REFUSED = """error: Request failed after 3 retries in 9.0s
  cause: Failed to fetch: http://127.0.0.1:9/simple/six/
  cause: error sending request for url (http://127.0.0.1:9/simple/six/)
  cause: client error (Connect)
  cause: tcp connect error
  cause: Connection refused (os error 111)"""
UNSOLVED = """error: No solution found when resolving dependencies
  cause: Because there is no version of a==99 and you require a==99, we can conclude that your requirements are unsatisfiable.

hint: Something long."""
OLD_UV = """  × No solution found when resolving dependencies:
  ╰─▶ Because there is no version of a==99 and you
      require a==99, we can conclude that your requirements are unsatisfiable."""
FULL = """error: Failed to install: a-1.0-py3-none-any.whl
  cause: failed to copy file from /c/a to /e/a
  cause: No space left on device (os error 28)"""


@pytest.mark.parametrize(
    ("output", "resolving", "kind", "part"),
    [
        (REFUSED, True, Unreachable, "127.0.0.1:9"),
        (REFUSED, False, Unreachable, "127.0.0.1:9"),
        (UNSOLVED, True, ResolveError, "there is no version of a==99 and you require a==99"),
        (FULL, False, DiskFull, " free"),
        ("error: x\n  cause: Read-only file system (os error 30)", False, NotWritable, "May not write"),
        ("error: x\n  cause: Permission denied (os error 13)", False, NotWritable, "May not write"),
        (
            "error: Failed to fetch: `http://h/x`\n cause: HTTP status client error (401 Unauthorized)",
            True,
            Unreachable,
            "refused",
        ),
        (
            "error: Failed to build `a`\n  cause: gcc is missing",
            False,
            BuildFailed,
            "Failed to build `a`: gcc is missing",
        ),
        ("", False, BuildFailed, "no reason given"),
    ],
)
def test_failures_are_told_apart(output, resolving, kind, part, tmp_path):
    error = failure(output, name="mine", resolving=resolving, folder=tmp_path)
    assert type(error) is kind
    assert part in error.message
    assert "\n" not in error.message
    assert error.mend


def test_the_cause_in_one_line():
    expected = "there is no version of a==99 and you require a==99"
    assert one_line_cause(UNSOLVED) == expected
    assert one_line_cause(OLD_UV) == expected
    assert len(one_line_cause("error: " + "x" * 5000)) == 400


def test_what_belongs_to_the_kernel_alone_does_not_reach_another_python(monkeypatch):
    kernels = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "PYTHONPATH": "/k", "VIRTUAL_ENV": "/k"}
    for name, value in kernels.items():
        monkeypatch.setenv(name, value)
    assert not kernels.keys() & uv_module.uv_environment({}).keys()
    assert uv_module.uv_environment({"MPLBACKEND": "agg"})["MPLBACKEND"] == "agg"
