"""What installs conda packages in a container, with a double for py-rattler."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

PROGRAM = """
import atexit, os, runpy, sys, types

class InstallerError(Exception):
    pass

class LockFile:
    platforms = lambda self: [None]
    default_environment = lambda self: self
    conda_repodata_records_for_platform = lambda self, _: ["one"]
    from_path = staticmethod(lambda _: LockFile())

async def install(records, prefix, **_):
    atexit.register(os.abort)  # what py-rattler's threads make of the interpreter's end, now and then
    if prefix == "broken":
        raise InstallerError("no\\nroom")

exceptions = types.ModuleType("rattler.exceptions")
exceptions.InstallerError = InstallerError
rattler = types.ModuleType("rattler")
rattler.LockFile, rattler.install, rattler.exceptions = LockFile, install, exceptions
rattler.Config = types.SimpleNamespace(from_toml=lambda _: None)
sys.modules |= {"rattler": rattler, "rattler.exceptions": exceptions}
program, *sys.argv[1:] = sys.argv[1:]
runpy.run_path(program, run_name="__main__")
"""


@pytest.mark.parametrize(
    ("prefix", "code", "last"),
    [
        ("sound", 0, "Installing 1 conda packages"),
        ("broken", 1, "The conda packages could not be installed: no room"),
    ],
)
def test_the_end_of_the_interpreter_decides_nothing(prefix: str, code: int, last: str, tmp_path: Path) -> None:
    program = files("jupyter_mltrain.computes.docker") / "inside" / "conda.py"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(program), "lock", prefix, str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.splitlines()[-1], done.stderr) == (code, last, "")
