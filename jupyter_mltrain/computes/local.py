"""The engine `local`: runs are processes on this machine, each held by a detached shim of its own.

The run folder is the run's record. Everything that is known of a run is read from there, so an engine object that was
made a second ago knows as much as the one that launched the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import os
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from jupyter_mltrain import runclient
from jupyter_mltrain.computes import gpus, workfolder
from jupyter_mltrain.computes.plan import compose, launch_record
from jupyter_mltrain.computes.ports import free_ports
from jupyter_mltrain.computes.reports import Heartbeats, stop_of
from jupyter_mltrain.computes.scope import in_scope
from jupyter_mltrain.core.compute import (
    Capabilities,
    Capacity,
    Frame,
    Handle,
    Health,
    LaunchInputs,
    LaunchPlan,
    Observation,
    Phase,
    StopEvidence,
)
from jupyter_mltrain.core.spec import RunSpec
from jupyter_mltrain.errors import DiskFull, EngineError
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import follow, records, sockets
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim.files import delete
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim.observe import observe
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim.stop import stop

_START_PATIENCE = 60.0
_LINKS, _LOOKED_AT = 2000, 50_000
"""Linked files that are made read-only one by one, of so many that are looked at; changes of others are told when the run
is over, as where none can be prevented."""
_FROM_MACHINE = frozenset(
    [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "LD_LIBRARY_PATH",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
    ]
)
_FROM_MACHINE_TOO = ("LC_", "XDG_", "CUDA_", "NVIDIA_", "NCCL_")


class LocalCompute:
    """Processes on this machine.

    `slots`: how many runs at once (default: half the CPUs, at least one); `cpus`, `memory_gb`: what they have in all
    (default: what this process may use). `read_only_data`: whether data is made read-only for the processes of runs, where
    the machine lets us; a script that is not root then sees the files of others as nobody's.
    """

    name = "local"

    def __init__(
        self,
        *,
        slots: int | None = None,
        cpus: int | None = None,
        memory_gb: float | None = None,
        read_only_data: bool = True,
    ) -> None:
        self._read_only_data = read_only_data
        self._cpu_indexes = sorted(os.sched_getaffinity(0))[:cpus]
        self._slots = slots if slots is not None else max(1, len(self._cpu_indexes) // 2)
        self._memory_gb = memory_gb if memory_gb is not None else _memory_gb()
        self._gpus: tuple[str, ...] | None = None
        self._heartbeats = Heartbeats()
        self._cpus_of: dict[str, list[int]] = {}  # of live runs: so that two of them do not share a CPU unasked
        self.capabilities = Capabilities(gpu=True, multi_node=True, shared_files=True)

    async def check(self) -> Health:
        return Health(ok=True)

    async def capacity(self) -> Capacity:
        if self._gpus is None:
            self._gpus = await asyncio.to_thread(gpus.names)
        return Capacity(self._slots, len(self._cpu_indexes), self._memory_gb, self._gpus)

    def plan(self, spec: RunSpec, inputs: LaunchInputs) -> LaunchPlan:
        work = inputs.folder / "work"
        mounts = {mount.name: str(work / mount.place if mount.place else mount.path) for mount in inputs.mounts}
        python = inputs.environment.python
        return compose(spec, inputs, engine=self.name, root=str(inputs.folder), python=python, mounts=mounts)

    def foretold(self, plan: LaunchPlan) -> Handle:
        return {
            "engine": self.name,
            "run_id": plan.run_id,
            "root": plan.root,
            "boot_id": records.boot_id(),
            "cpus": None,
        }

    async def launch(self, plan: LaunchPlan, secrets: Mapping[str, str]) -> Handle:
        cpus = self._choose_cpus(plan)
        handle: Handle = {**self.foretold(plan), "cpus": cpus}
        try:
            read_only = await asyncio.to_thread(_data_of, plan) if self._read_only_data else []
            await asyncio.to_thread(_launch, plan, dict(secrets), cpus, read_only)
        except Exception:
            # Something may have started all the same (only the one who waited for it was killed), and nobody will look.
            await asyncio.to_thread(stop, plan.root, plan.run_id, 0.0)
            # What an earlier attempt made was brought into the working folder, which goes only once the record has it again.
            with contextlib.suppress(OSError):
                await self.collect(handle, Path(plan.record))
                await self.remove(handle)
            raise
        return handle

    async def observe(self, handle: Handle) -> Observation:
        raw = observe(handle["root"])
        seen = self._heartbeats.observation(handle["run_id"], raw)
        if seen.phase in {Phase.STARTING, Phase.RUNNING}:
            if handle.get("cpus"):
                self._cpus_of.setdefault(handle["run_id"], handle["cpus"])
        else:
            self._cpus_of.pop(handle["run_id"], None)
        if seen.phase is Phase.ABSENT and handle["boot_id"] != records.boot_id():
            return Observation(Phase.VANISHED, detail="machine restarted", evidence={"boot_id": handle["boot_id"]})
        return seen

    async def stream(self, handle: Handle, offsets: Mapping[str, int]) -> AsyncIterator[Frame]:
        with follow.Tail(handle["root"], offsets) as tail:
            while True:
                tail.hush()
                for piece in tail.read():
                    yield Frame(piece.name, piece.offset, piece.data)
                    await asyncio.sleep(0)  # a log that grows faster than it is read must not hold the loop
                if tail.over:
                    return
                await _bell(tail)

    async def collect(self, handle: Handle, into: Path) -> None:
        await asyncio.to_thread(workfolder.collect, Path(handle["root"], "work"), into)

    async def stop(self, handle: Handle, grace: float) -> StopEvidence:
        return stop_of(await asyncio.to_thread(stop, handle["root"], handle["run_id"], grace))

    async def rewind(self, handle: Handle, into: Path, note: str) -> None:  # noqa: ARG002 - its record is where it runs
        """Make a run whose processes have ended ready to be launched once more; `note` ends its log. What it kept is in its
        record already, from where its next working folder gets it. Idempotent."""
        await self.remove(handle)
        await asyncio.to_thread(_forget_processes, Path(handle["root"]), note)

    async def remove(self, handle: Handle) -> None:
        self._cpus_of.pop(handle["run_id"], None)
        self._heartbeats.forget(handle["run_id"])
        for name in ("work", "work.partial", "inject"):
            await asyncio.to_thread(delete, f"{handle['root']}/{name}")

    def _choose_cpus(self, plan: LaunchPlan) -> list[int] | None:
        """The CPUs that the fewest live runs are bound to; None where the run may use all."""
        if plan.cpus is None or plan.cpus >= len(self._cpu_indexes):
            return None
        self._cpus_of.pop(plan.run_id, None)
        used = Counter(index for taken in self._cpus_of.values() for index in taken)
        chosen = sorted(sorted(self._cpu_indexes, key=lambda index: used[index])[: plan.cpus])
        self._cpus_of[plan.run_id] = chosen
        return chosen


async def _bell(tail: follow.Tail) -> None:
    """Wait until the streams may have changed."""
    if tail.fd < 0:
        await asyncio.sleep(tail.pause)
        return
    loop = asyncio.get_running_loop()
    rung = asyncio.Event()
    loop.add_reader(tail.fd, rung.set)
    try:
        await asyncio.wait_for(rung.wait(), tail.pause)
    except TimeoutError:
        return
    finally:
        loop.remove_reader(tail.fd)
    await asyncio.sleep(tail.rest())


def _launch(plan: LaunchPlan, secrets: dict[str, str], cpus: list[int] | None, read_only: Sequence[str]) -> None:
    root = Path(plan.root)
    for name in ("shim", "streams"):
        (root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    with (root / "shim" / "prepare.lock").open("w") as lock:
        # Two launches of one run: the second waits here, and then finds everything done.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not any(map(records.launched, records.ranks(plan.root))):
            workfolder.materialise(Path(plan.record), Path(plan.blobs), root / "work", plan.mounts)
            workfolder.bring_back(Path(plan.record), root / "work")
            runclient.inject(root / "inject")
            ports = _ports(root / "shim" / "ports.json", plan.ports)
            for rank in plan.ranks:
                launch = {**launch_record(plan, rank.rank, secrets, cpus, ports), "read_only": list(read_only)}
                records.write(records.Rank(plan.root, rank.rank).launch, launch)
        for rank in plan.ranks:
            _start_shim(plan, rank.rank, secrets)


def _ports(record: Path, count: int) -> list[int]:
    """The run's ports, before any of its processes is there. Written down before one knows of them: a launch that another
    takes up has the same, but where somebody else has taken one meanwhile."""
    known = records.read(str(record)) if count else {"ports": []}
    if known is None or any(map(sockets.taken, known["ports"])):
        known = {"ports": free_ports(count)}
        records.write(str(record), known)
    return known["ports"]


def _data_of(plan: LaunchPlan) -> list[str]:
    """Where the data is that the run reads and must not change: its folders, and what they link to."""
    found: list[str] = []
    for mount in plan.mounts:
        if not mount.private:
            below = itertools.islice(mount.path.rglob("*"), _LOOKED_AT) if mount.path.is_dir() else ()
            found += [str(mount.path), *(str(path) for path in below if path.is_symlink() and path.exists())]
    return found[:_LINKS]


def _forget_processes(root: Path, note: str) -> None:
    # The log first: a note that is said twice is better than none.
    if (root / "shim").is_dir():
        with (root / "streams" / "r0.log").open("a", encoding="utf-8", errors="replace") as log:
            log.write(f"\njupyter_mltrain: {note}\n")
        delete(f"{root}/shim")


def _start_shim(plan: LaunchPlan, rank: int, secrets: dict[str, str]) -> None:
    paths = records.Rank(plan.root, rank)
    python = plan.ranks[0].env["MLTRAIN_PYTHON"]
    command = [python, "-I", "-S", f"{plan.root}/inject/{runclient.SHIM}", "launch", paths.launch]
    env = {**_own_environment(), **secrets}
    said = None
    unit = plan.run_id if rank == 0 else f"{plan.run_id}-r{rank}"
    for attempt in (in_scope(command, unit), command):
        if attempt is None:
            continue
        try:
            said = subprocess.run(
                attempt, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                start_new_session=True, timeout=_START_PATIENCE, check=False,
            )  # fmt: skip
        except OSError as error:
            raise EngineError(
                f"The environment's interpreter {python} cannot be started: {error.strerror}.",
                mend="Build the environment again.",
            ) from error
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"The run's supervisor did not start within {_START_PATIENCE:.0f} s.") from error
        if said.returncode == 0 or records.launched(paths):
            return
    assert said is not None, "the plain command was tried"
    problem = said.stderr.strip()[-2000:]
    if "[Errno 28]" in problem or "[Errno 122]" in problem:
        raise DiskFull(f"The run's folder cannot be written: {problem.splitlines()[-1]}", mend="Free some disk space.")
    raise EngineError(
        f"The run's supervisor did not start: {problem.splitlines()[-1] if problem else 'no reason'}", said=problem
    )


def _own_environment() -> dict[str, str]:
    """What a run gets of the service's environment: what describes the machine and nothing else.

    The service's variables are those of whichever kernel or terminal happened to start it (`MPLBACKEND`, API keys): a
    run must not depend on them, nor get a secret that nobody gave it.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _FROM_MACHINE or name.startswith(_FROM_MACHINE_TOO)
    }


def _memory_gb() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 3)
