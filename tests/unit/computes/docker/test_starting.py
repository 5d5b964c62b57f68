"""Whose a container is that was made and not started."""

from __future__ import annotations

import subprocess
import sys

from jupyter_mltrain.computes.docker import starting


def test_who_began_a_launch_is_known_to_be_dead_or_is_waited_for():
    code = f"from {starting.__name__} import _launcher; print(_launcher(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        said = other.stdout.readline().decode().strip()
        assert len(said.split()) == 4
        assert not starting._dead(said)
    assert starting._dead(said)
    assert not starting._dead(starting._launcher())
    # Of another machine, of another space of numbers, of somebody who says nothing: nobody can know.
    boot, space, *process = said.split()
    assert not starting._dead(" ".join(["another", space, *process]))
    assert not starting._dead(" ".join([boot, "pid:[1]", *process]))
    assert not starting._dead("")
