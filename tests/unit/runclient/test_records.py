"""Records in a run's folder: a reader sees all of one or the one before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import records


def test_a_disk_that_takes_half_of_a_record_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "state.json")
    records.write(path, {"state": "running"})
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:5]))
    with pytest.raises(OSError, match="No space left"):
        records.write(path, {"state": "failed", "why": "x" * 100})
    assert records.read(path) == {"state": "running"}
