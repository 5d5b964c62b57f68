"""Data that a process may read and not change: a namespace of its own, with root and without."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import shield
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim.shield import Shield


def in_a_child(work: Callable[[], str]) -> str:
    """What `work` returns in a process that was forked for it, as a run's is."""
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(into, work().encode())
        finally:
            os._exit(0)
    os.close(into)
    with os.fdopen(out) as file:
        said = file.read()
    os.waitpid(pid, 0)
    return said


def write(path: Path) -> str:
    try:
        path.write_text("x")
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "wrote"


@pytest.fixture(params=["root", "user"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """By the means of root, where these tests have them; and by those of everybody."""
    if request.param == "user":
        real = Shield._unshare
        monkeypatch.setattr(Shield, "_unshare", lambda me, flags: -1 if flags == shield._NEWNS else real(me, flags))
    return request.param


def test_it_is_read_and_not_written(tmp_path: Path, way: str) -> None:
    data, run = tmp_path / "da ta", tmp_path / "run"
    data.mkdir()
    run.mkdir()
    (data / "a").write_text("a")

    def work() -> str:
        why = Shield([str(data)], str(run)).up()
        return f"{why} {(data / 'a').read_text()} {write(data / 'a')} {write(data / 'b')} {write(run / 'c')}"

    assert in_a_child(work) == " a EROFS EROFS wrote"
    assert write(data / "a") == "wrote", "for others it is what it was"


def test_a_run_that_lies_in_its_own_data_can_write(tmp_path: Path, way: str) -> None:
    run = tmp_path / ".mltrain" / "runs" / "r"
    run.mkdir(parents=True)

    def work() -> str:
        why = Shield([str(tmp_path)], str(run)).up()
        return f"{why} {write(tmp_path / 'a')} {write(run / 'a')}"

    assert in_a_child(work) == " EROFS wrote"


def test_it_says_why_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shield, "_unshare", lambda *_: -1)
    assert in_a_child(lambda: Shield([str(tmp_path)], "/x").up()).startswith("namespace")
    gone = str(tmp_path / "gone")
    assert Shield([], "/x").up() == "", "there is nothing to keep"
    monkeypatch.undo()
    assert in_a_child(lambda: Shield([gone], "/x").up()) == f"{gone}: No such file or directory"
