"""Loading engines, reports of shims, GPUs, scopes."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from jupyter_mltrain.computes import gpus, load
from jupyter_mltrain.computes.local import LocalCompute
from jupyter_mltrain.computes.reports import Heartbeats, exit_of
from jupyter_mltrain.computes.scope import in_scope
from jupyter_mltrain.core.compute import Phase
from jupyter_mltrain.errors import UsageError


def test_load_gives_the_engine_with_its_settings() -> None:
    assert isinstance(load("local", slots=3), LocalCompute)


def test_an_unknown_engine_or_setting_is_one_clear_error() -> None:
    with pytest.raises(UsageError, match="no engine 'lokal'"):
        load("lokal")
    with pytest.raises(UsageError, match="colour"):
        load("local", colour="red")


async def test_capacity_comes_from_the_settings_or_the_machine() -> None:
    given = await load("local", slots=3, cpus=1, memory_gb=2.5).capacity()
    assert (given.slots, given.cpus, given.memory_gb) == (3, 1, 2.5)
    found = await load("local").capacity()
    assert found.cpus == len(os.sched_getaffinity(0))
    assert found.slots == max(1, found.cpus // 2)


def program(folder: Path, text: str) -> None:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_gpus_are_those_that_the_driver_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    program(tmp_path, "echo 'NVIDIA A100-SXM4-40GB'; echo 'NVIDIA T4'")
    assert gpus.names() == ("NVIDIA A100-SXM4-40GB", "NVIDIA T4")
    program(tmp_path, "echo 'NVIDIA-SMI has failed'; exit 9")
    assert gpus.names() == ()
    (tmp_path / "nvidia-smi").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.names() == ()


def raw(**changes: Any) -> dict[str, Any]:
    values = {
        "phase": "running",
        "exits": [],
        "started": 1.0,
        "beats": {"0": 1},
        "memory": 5,
        "detail": "",
        "evidence": {},
    }
    return {**values, **changes}


def test_a_heartbeat_ages_on_our_own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    hearts = Heartbeats()
    assert hearts.observation("a", raw()).beat_age == 0
    now[0] += 7
    assert hearts.observation("a", raw()).beat_age == 7
    assert hearts.observation("b", raw()).beat_age == 0
    assert hearts.observation("a", raw(beats={"0": 2, "1": 9})).beat_age == 0
    now[0] += 3
    assert hearts.observation("a", raw(beats={"0": 3, "1": 9})).beat_age == 3  # the oldest counts
    assert hearts.observation("a", raw(beats={}, phase="exited")).beat_age is None
    assert hearts.observation("a", raw()).beat_age == 0


def test_a_record_of_a_newer_shim_is_read() -> None:
    ended = exit_of({"rank": 0, "code": 1, "signal": None, "ended": 2.0, "leftovers": ["7 sh"], "unknown": "new"})
    assert (ended.code, ended.leftovers) == (1, ("7 sh",))


def test_evidence_says_what_was_seen() -> None:
    seen = Heartbeats().observation("a", raw(phase="vanished", beats={}, detail="gone", evidence={"0": {"pid": 3}}))
    assert (seen.phase, seen.detail, seen.evidence["ranks"]) == (Phase.VANISHED, "gone", {"0": {"pid": 3}})


def test_a_scope_only_where_the_users_systemd_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = tmp_path / "run"
    (runtime / "systemd").mkdir(parents=True)
    tool = tmp_path / "systemd-run"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert in_scope(["python"], "e_1_aa") is None
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    assert in_scope(["python"], "e_1_aa") is None  # the program is there, the manager is not
    with socket.socket(socket.AF_UNIX) as manager:
        manager.bind(os.path.relpath(runtime / "systemd" / "private"))
        command = in_scope(["python", "x"], "e_1_aa")
        assert command is not None
        assert command[0] == str(tool)
        assert {"--user", "--scope", "--unit=mltrain-e_1_aa", "--property=Delegate=yes"} <= set(command)
        assert command[-3:] == ["--", "python", "x"]
