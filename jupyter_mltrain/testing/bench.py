"""What a test of an engine needs around it: records, snapshots and blobs as the service makes them, and an eye on /proc."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_mltrain.core.compute import (
    Compute,
    Exit,
    Frame,
    Grant,
    Handle,
    LaunchInputs,
    LaunchPlan,
    Mount,
    Observation,
    Phase,
    PreparedEnvironment,
)
from jupyter_mltrain.core.ids import new_run_id
from jupyter_mltrain.core.spec import Distribution, Resources, RunSpec
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import processes

PATIENCE = 120.0
"""Seconds that anything may take before a test says that it does not happen; nothing waits this long in a good run."""


class Bench:
    """A place to run scripts on an engine. `close` ends whatever a test left. `python`: the interpreter, as runs see it."""

    def __init__(self, compute: Compute, folder: Path, python: str = sys.executable) -> None:
        self.compute = compute
        self.python = python
        self.folder = folder
        self.blobs = folder / "blobs"
        self.handles: list[Handle] = []

    def record(self, run_id: str) -> Path:
        return self.folder / "runs" / run_id

    def prepare(
        self,
        code: str = "",
        *,
        files: Mapping[str, bytes] | None = None,
        script: str | None = "train.py",
        command: tuple[str, ...] | None = None,
        arguments: tuple[str, ...] = (),
        variables: Mapping[str, str] | None = None,
        secrets: tuple[str, ...] = (),
        resources: Resources | None = None,
        grant: Grant | None = None,
        mounts: tuple[Mount, ...] = (),
        python: str = "",
        distribution: Distribution | None = None,
    ) -> LaunchPlan:
        """The plan of a run of `code` by `python` (default: the bench's); its record and its blobs are made."""
        contents = {"train.py": code.encode(), **(files or {})}
        run_id = new_run_id("contract")
        self._snapshot(self.record(run_id), contents)
        spec = RunSpec(
            run_id=run_id,
            experiment="contract",
            display_name="brave-otter-7",
            target=self.compute.name,
            environment="current",
            script=None if command else script,
            command=command,
            arguments=arguments,
            environment_variables=variables or {},
            secrets=secrets,
            resources=resources or Resources(),
            distribution=distribution,
        )
        return self.compute.plan(spec, self.inputs(run_id, python or self.python, grant or Grant(), mounts))

    def inputs(self, run_id: str, python: str, grant: Grant, mounts: tuple[Mount, ...]) -> LaunchInputs:
        environment = PreparedEnvironment("current", None, "key", python)
        return LaunchInputs(self.record(run_id), self.blobs, environment, mounts, grant)

    async def launch(self, plan: LaunchPlan, secrets: Mapping[str, str] | None = None) -> Handle:
        handle = await self.compute.launch(plan, secrets or {})
        self.handles.append(handle)
        return handle

    async def run(self, code: str, **options: Any) -> Handle:
        """Launch `code`; options of `prepare`."""
        return await self.launch(self.prepare(code, **options))

    async def streams(self, handle: Handle, offsets: Mapping[str, int] | None = None) -> dict[str, bytes]:
        """All streams of the run to its end, checked to come without holes."""
        found: dict[str, bytearray] = {}
        start = dict(offsets or {})
        async with asyncio.timeout(PATIENCE):
            async for frame in self.compute.stream(handle, start):
                add(found, frame, start)
        return {name: bytes(data) for name, data in found.items()}

    async def log(self, handle: Handle) -> str:
        return (await self.streams(handle)).get("r0.log", b"").decode("utf-8", "replace")

    async def until(self, handle: Handle, *phases: Phase) -> Observation:
        """The first observation in one of `phases`."""
        end = time.monotonic() + PATIENCE
        while (seen := await self.compute.observe(handle)).phase not in phases:
            assert time.monotonic() < end, f"still {seen} after {PATIENCE} s"
            await asyncio.sleep(0.02)
        return seen

    async def exit(self, handle: Handle) -> Exit:
        seen = await self.until(handle, Phase.EXITED)
        assert len(seen.exits) == 1
        return seen.exits[0]

    async def said(self, handle: Handle, text: bytes) -> None:
        """Wait until the run's log holds `text`."""
        found = bytearray()
        async with asyncio.timeout(PATIENCE):
            async for frame in self.compute.stream(handle, {}):
                if frame.stream == "r0.log":
                    found += frame.data
                    if text in found:
                        return
        raise AssertionError(f"the run ended without saying {text!r}: {bytes(found[-2000:])!r}")

    async def beginning(self, handle: Handle) -> str:
        """What the log holds now."""
        async for frame in self.compute.stream(handle, {}):
            if frame.stream == "r0.log":
                return frame.data.decode("utf-8", "replace")
        return ""

    async def close(self) -> None:
        for handle in self.handles:
            await self.compute.stop(handle, 0)
            assert not living(handle["run_id"])
            await self.compute.remove(handle)

    def _snapshot(self, record: Path, contents: Mapping[str, bytes]) -> None:
        record.mkdir(parents=True)
        files = []
        for path, data in contents.items():
            sha256 = hashlib.sha256(data).hexdigest()
            blob = self.blobs / sha256[:2] / sha256
            if not blob.exists():
                blob.parent.mkdir(parents=True, exist_ok=True)
                blob.write_bytes(data)
                blob.chmod(0o444)
            files.append({"path": path, "size": len(data), "mode": 0o644, "sha256": sha256})
        (record / "snapshot.json").write_text(json.dumps({"format": 1, "digest": "", "files": files}), "utf-8")


def add(found: dict[str, bytearray], frame: Frame, start: Mapping[str, int]) -> None:
    """Append a frame to what came before it; a hole or a repetition is an error."""
    data = found.setdefault(frame.stream, bytearray())
    assert frame.offset == start.get(frame.stream, 0) + len(data), f"{frame.stream}: a hole or a repetition"
    data += frame.data


def living(run_id: str) -> list[str]:
    """Processes on this machine that carry the run's id (zombies excepted): `pid name`."""
    found = processes.table()
    return [str(process) for process in found.values() if processes.carries(process.pid, run_id)]


def gone(pid: int) -> bool:
    """Whether the process has ended."""
    process = processes.find(pid)
    return process is None or process.state in "ZX"


def kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
