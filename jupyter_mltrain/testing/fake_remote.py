"""An engine whose runs live on "another machine": under another root, reached through a wire that carries bytes only.

It is complete: a run trains, streams and is collected. It shows that the contract leans on no shared files, and its wire
(`FakeRemoteCompute.wire`) can be cut, slowed and closed by a test.
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from posixpath import join
from typing import IO

from jupyter_mltrain import runclient
from jupyter_mltrain.computes import archives
from jupyter_mltrain.computes.archives import Entry
from jupyter_mltrain.computes.plan import compose, launch_record
from jupyter_mltrain.computes.reports import Heartbeats, stop_of
from jupyter_mltrain.computes.workfolder import KEPT
from jupyter_mltrain.core.compute import (
    Capabilities,
    Capacity,
    Frame,
    Handle,
    Health,
    LaunchInputs,
    LaunchPlan,
    Mount,
    Observation,
    Phase,
    StopEvidence,
)
from jupyter_mltrain.core.spec import RunSpec
from jupyter_mltrain.errors import EngineError, EngineUnreachable
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim.frames import Parser
from jupyter_mltrain.testing.wire import Wire

_GONE = 75
# The first command there: it can only count on a Python.
_UNPACK = """
import os, sys, tarfile
folder = sys.argv[1]
partial = "%s.%d" % (folder, os.getpid())
os.makedirs(partial)
tarfile.open(fileobj=sys.stdin.buffer, mode="r|").extractall(partial)
try:
    os.rename(partial, folder)
except OSError:
    assert os.path.isdir(folder)  # somebody else was quicker
"""
_SHIM = f"""
import os, sys
os.path.exists(sys.argv[1]) or sys.exit({_GONE})
os.execv(sys.executable, [sys.executable, "-I", "-S", *sys.argv[1:]])
"""


class FakeRemoteCompute:
    """Runs under `root`, which stands for the file system of another machine; `python` is that machine's interpreter."""

    name = "fake-remote"

    def __init__(self, *, root: str | Path, python: str = sys.executable, slots: int = 2) -> None:
        self.wire = Wire(Path(root))
        self.capabilities = Capabilities()
        self._root = os.fspath(root)
        self._python = python
        self._slots = slots
        self._heartbeats = Heartbeats()

    async def check(self) -> Health:
        try:
            await self.wire.run([self._python, "-I", "-S", "-c", "pass"])
        except EngineUnreachable as error:
            return Health(ok=False, problem=error.message, mend=error.mend)
        return Health(ok=True)

    async def capacity(self) -> Capacity:
        return Capacity(self._slots, os.cpu_count() or 1, 8.0)

    def plan(self, spec: RunSpec, inputs: LaunchInputs) -> LaunchPlan:
        root = join(self._root, "runs", spec.run_id)
        mounts = {
            mount.name: join(root, "work", mount.place) if mount.place else self._path(mount) for mount in inputs.mounts
        }
        return compose(spec, inputs, engine=self.name, root=root, python=self._python, mounts=mounts)

    async def launch(self, plan: LaunchPlan, secrets: Mapping[str, str]) -> Handle:
        handle: Handle = {"engine": self.name, "run_id": plan.run_id, "root": plan.root}
        if (await self.observe(handle)).phase is not Phase.ABSENT:
            return handle
        inject = [self._python, "-I", "-c", _UNPACK, join(plan.root, "inject")]
        await self.wire.run(inject, give=_archive(archives.of_client()))
        for mount in plan.mounts:
            await self._verb(plan.root, "unpack", self._place(mount), give=_archive(archives.of_tree(mount.path)))
        links = {mount.place: self._path(mount) for mount in plan.mounts if mount.place}
        work = archives.of_work(Path(plan.record), Path(plan.blobs), links)
        await self._verb(plan.root, "unpack", join(plan.root, "work"), give=_archive(work))
        await self._verb(plan.root, "unpack", join(plan.root, "streams"), give=_archive(()))
        launches = {
            f"r{rank.rank}.launch.json": {**launch_record(plan, rank.rank, secrets, None), "cpus": plan.cpus}
            for rank in plan.ranks
        }
        files = [Entry(name, data=json.dumps(launch).encode()) for name, launch in launches.items()]
        await self._verb(plan.root, "unpack", join(plan.root, "shim"), give=_archive(files))
        kept = json.dumps(dict(secrets)).encode()
        for name in launches:
            path = join(plan.root, "shim", name)
            await self._verb(plan.root, "launch", path, "--secrets", give=_bytes(kept))
        return handle

    async def observe(self, handle: Handle) -> Observation:
        said = await self._verb(handle["root"], "observe", handle["root"])
        if said is None:
            return Observation(Phase.ABSENT)
        return self._heartbeats.observation(handle["run_id"], json.loads(said))

    async def stream(self, handle: Handle, offsets: Mapping[str, int]) -> AsyncIterator[Frame]:
        parser = Parser()
        command = self._command(handle["root"], "follow", handle["root"], json.dumps(dict(offsets)))
        async for data in self.wire.stream(command):
            for piece in parser.feed(data):
                yield Frame(piece.name, piece.offset, piece.data)
        if not parser.ended:
            raise EngineUnreachable("The stream of the run was cut.")

    async def collect(self, handle: Handle, into: Path) -> None:
        command = self._command(handle["root"], "pack", join(handle["root"], "work"), *KEPT)
        await self.wire.take(command, lambda out: _extract(out, into))

    async def stop(self, handle: Handle, grace: float) -> StopEvidence:
        said = await self._verb(handle["root"], "stop", handle["root"], handle["run_id"], str(grace))
        return StopEvidence() if said is None else stop_of(json.loads(said))

    async def remove(self, handle: Handle) -> None:
        self._heartbeats.forget(handle["run_id"])
        await self._verb(handle["root"], "remove", join(self._root, "runs"), handle["run_id"])

    def _place(self, mount: Mount) -> str:
        """Where a dataset lies over there: by its content, so that it is sent once."""
        return join(self._root, "data", mount.key)

    def _path(self, mount: Mount) -> str:
        """The dataset's path over there: its folder, or its one file."""
        return join(self._place(mount), mount.path.name) if mount.path.is_file() else self._place(mount)

    def _command(self, root: str, *verb: str) -> list[str]:
        return [self._python, "-I", "-S", "-c", _SHIM, join(root, "inject", runclient.SHIM), *verb]

    async def _verb(self, root: str, *verb: str, give: Callable[[IO[bytes]], None] | None = None) -> bytes | None:
        """What a verb of the shim prints; None where the run has no shim (any more)."""
        try:
            return await self.wire.run(self._command(root, *verb), give=give)
        except EngineError as error:
            if error.details.get("code") == _GONE:
                return None
            raise


def _bytes(data: bytes) -> Callable[[IO[bytes]], None]:
    def give(stdin: IO[bytes]) -> None:
        stdin.write(data)

    return give


def _archive(entries: Iterable[Entry]) -> Callable[[IO[bytes]], None]:
    def give(stdin: IO[bytes]) -> None:
        for piece in archives.archive(entries):
            stdin.write(piece)

    return give


def _extract(out: IO[bytes], into: Path) -> None:
    try:
        with tarfile.open(fileobj=out, mode="r|") as archive:
            archive.extractall(into, filter=_harmless)  # noqa: S202 - the filter is the check
    except tarfile.ReadError as error:
        raise EngineUnreachable("The connection was lost while outputs were fetched.") from error


def _harmless(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
    try:
        return tarfile.data_filter(member, path)
    except tarfile.FilterError:
        return None  # a link out of the outputs: there is nothing to keep
