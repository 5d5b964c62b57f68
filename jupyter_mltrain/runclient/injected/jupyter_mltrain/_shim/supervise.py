"""The shim: starts one process of a run, holds it to its end, and writes down how that was.

It detaches, becomes the reaper of everything the process leaves behind, and keeps a lock for as long as it lives. The
process writes to files, not to pipes, so that it survives the death of its shim. Before the process runs its first
instruction, `start.json` says who it is: so at no moment is there a process that nobody could find, and a second launch
finds the first.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from typing import Any, Callable, Mapping

from . import gpu_check, joining, memory, mpi, peers, processes, records, rendezvous, system, wake
from .events import EventFiles
from .gpus import Gpus, given
from .spawn import Child, environment

TICKS = os.sysconf("SC_CLK_TCK")
BEAT = 1.0
"""Seconds between heartbeats."""
WATCH = 0.2
"""Seconds between looks at the memory of a tree that has a limit and no cgroup."""
STOPPING = 0.05
"""Seconds between looks at a tree that is being ended."""
EVENTS_PATIENCE = 10.0
"""Seconds that reading the rest of TensorBoard's files may take at the end; about 1 GB."""
LEFTOVER_GRACE = 5.0
"""Seconds that processes have to end which are still there after the main one."""
UNKILLABLE = 60.0
"""Seconds after which processes that do not even react to KILL (stuck in the kernel) are given up and named."""


def supervise(launch_file: str, ready: Callable[[], None]) -> None:
    """Run what `launch_file` describes, unless its rank was launched before; `ready` is called once it is there.

    Raises OSError if the records cannot be written; whatever is wrong with the process itself is in the exit record.
    """
    launch = records.read(launch_file)
    if launch is None:
        raise FileNotFoundError(launch_file)
    paths = records.Rank(os.path.dirname(os.path.dirname(os.path.abspath(launch_file))), int(launch["rank"]))
    lock = records.take_lock(paths.lock, patience=0.5)
    if lock is None:
        # Another shim has it. It will start the process, or is about to give up and free the lock.
        records.wait_for(lambda: records.launched(paths) or not records.is_held(paths.lock), 30)
        ready()
        return
    if not records.launched(paths):
        _Shim(launch, paths).run(ready)
    ready()


class _Shim:
    def __init__(self, launch: dict[str, Any], paths: records.Rank) -> None:
        self.launch = launch
        self.paths = paths
        self.run_id = str(launch["run_id"])
        self.grace = float(launch.get("grace", 10))
        self.limit: int | None = launch.get("memory_bytes")
        self.exit = records.Reserved(paths.exit)
        self.beat_fd = os.open(paths.beat, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.peers = peers.Peers(launch, paths)
        self.joining = joining.Joining(launch, paths)
        self.arrival = joining.Arrival(launch, paths)
        self.mpi = mpi.Mpi(launch, paths)
        self.rank = paths.rank if launch.get("ranks", 1) > 1 else None  # which processes are this one's to end
        self.events: EventFiles | None = None  # a process that is no run's (an endpoint's) has no metrics
        if "streams" in launch and paths.rank == 0:  # ranks share their folder: one of them reads what is in it
            self.events = EventFiles(
                os.path.join(str(launch["cwd"]), "logs"),
                os.path.join(str(launch["streams"]), f"r{paths.rank}-{os.getpid()}.metrics"),
            )
        self.usage: system.Usage | None = None
        self.server: subprocess.Popen[bytes] | None = None  # of Horovod, beside the first rank
        self.cause: int | None = None
        # A container that this run has to itself.
        self.counter = system.CpuCounter() if launch.get("alone") else None
        self.beats = 0
        self.next_beat = self.next_watch = 0.0
        self.peak = 0
        self.status: int | None = None  # what waitpid said of the main process
        self.ended = 0.0
        self.term = False
        # Of a stop in progress:
        self.reason: str | None = None
        self.error = ""
        self.kill_at = 0.0
        self.signals: list[str] = []
        self.touched: dict[int, str] = {}
        self.leftovers: list[str] = []

    def run(self, ready: Callable[[], None]) -> None:
        wake.become_subreaper()
        self.wake = wake.wake_on_signals(self._on_term)
        self.group = memory.group(f"mltrain-{self.run_id[-120:]}-r{self.paths.rank}", self.limit)
        self.watched = self.limit is not None and (self.group is None or self.group.limit is None)
        if os.path.exists(self.paths.stop):
            self._record(error="stopped before it was started", stopped="requested")
            return
        if not self._is_among_others():
            return
        try:
            self.child = Child(self.launch, self._checked())
        except OSError as error:
            self._record(error=f"no process could be made: {error.strerror}")
            return
        if self.group is not None and self.group.limit is not None:
            self.group.add(self.child.pid)
        seconds = self.launch.get("max_run_seconds")
        self.deadline = None if seconds is None else time.monotonic() + seconds
        self._beat([self.child.pid])
        self._write_start()
        problem = self.child.go()
        if problem:
            os.waitpid(self.child.pid, 0)
            self._record(error=problem)
            return
        ready()
        self.joining.watch()
        if "streams" in self.launch:
            samples = system.Samples(os.path.join(str(self.launch["streams"]), f"r{self.paths.rank}.system"))
            gpus = given(self.launch["env"])
            self.usage = system.Usage(
                samples,
                system.given_cpus(self.launch.get("cpus")),
                self.limit,
                Gpus(gpus, samples) if gpus else None,
                used=(self.counter and self.counter.seconds()) or 0.0,
            )
        self._hold()

    def _is_among_others(self) -> bool:
        """Start what lets the ranks find each other, where it is this one's to do; where that cannot be, it is recorded."""
        error, stopped = joining.refusal(self.launch), joining.PORT_TAKEN
        try:
            if not error and "rendezvous" in self.launch:
                self.server = rendezvous.start(self.launch, environment(self.launch), os.path.dirname(self.paths.exit))
            if not error and self.mpi.asked:
                self.launch["env"] = {**self.launch["env"], **self.mpi.enter(self._unwanted)}
                stopped = self._unwanted()
                error = "stopped before it was started" if stopped else ""
        except rendezvous.UnavailableError as unavailable:
            error, stopped = str(unavailable), ""
        if error:
            self._record(error=error, stopped=stopped)
        return not error

    def _checked(self) -> list[str]:
        env = self.launch["env"]
        return gpu_check.command(env, len(given(env)), self.paths.refusal) if "streams" in self.launch else []

    def _write_start(self) -> None:
        me, child = processes.find(os.getpid()), processes.find(self.child.pid)
        records.write(
            self.paths.start,
            {
                "pid": self.child.pid,
                "start_ticks": child.ticks if child else 0,
                "shim_pid": os.getpid(),
                "shim_start_ticks": me.ticks if me else 0,
                "boot_id": records.boot_id(),
                "time": time.time(),
                "data": self._data(),
            },
        )

    def _data(self) -> str:
        """How the data that the process reads is kept from it; empty where it reads none."""
        if not self.launch.get("read_only"):
            return ""
        unshielded = self.child.unshielded
        return f"may be written to ({unshielded}): changes are told afterwards" if unshielded else "read-only"

    def _hold(self) -> None:
        while True:
            select.select([self.wake], [], [], max(self._patience(), 0))
            wake.drain(self.wake)
            self._reap()
            if self.reason is None:
                self._decide()
            self._look()
            if self.reason is not None and self._press():
                break
        self._record()

    def _patience(self) -> float:
        """Seconds until something is due."""
        now = time.monotonic()
        due = [self.next_beat - now]
        if self.watched:
            due.append(self.next_watch - now)
        if self.reason is not None:
            due.append(STOPPING)
        elif self.deadline is not None:
            due.append(self.deadline - now)
        return min(due)

    def _decide(self) -> None:
        """Whether the run is to end now, and why. An exit that happened comes before a wish."""
        if self.status is not None:
            self._after_main()
        elif self.term or os.path.exists(self.paths.stop):
            asked = records.read(self.paths.stop) or {}
            self._stop("requested", float(asked.get("grace", self.grace)))
        elif self.deadline is not None and time.monotonic() >= self.deadline:
            self._stop("time limit", self.grace)
        elif self.joining.verdict:
            self.error, self.cause = self.joining.verdict, self.joining.cause
            self._stop(joining.NOT_JOINED, min(self.grace, peers.GRACE))
        elif self.rank is not None and time.monotonic() >= self.next_beat:
            verdict = self.peers.verdict()
            if not verdict:
                self.error, self.cause = self.mpi.verdict()
            if verdict or self.error:
                self._stop(verdict or mpi.ENDED, min(self.grace, peers.GRACE))

    def _look(self) -> None:
        """Beat, and watch the memory, where that is due."""
        now = time.monotonic()
        beat = now >= self.next_beat
        watch = self.watched and now >= self.next_watch
        if not beat and not watch:
            return
        # With those that nobody has waited for yet: what CPU they used is the run's.
        table = processes.table(dead=True)
        tree = sorted({self.child.pid, *processes.below([os.getpid()], table)} - self._beside(table))
        if beat:
            self.arrival.look(tree)
            self._sample(sum(table[pid].used for pid in tree if pid in table), self._beat(tree))
            self._read_events()
            self.next_beat = now + BEAT
        if watch:
            self._watch(tree)
            self.next_watch = now + WATCH

    def _living(self) -> list[processes.Process]:
        """The processes of the rank, without what we started beside it."""
        found = processes.of_run(self.run_id, [os.getpid()], self.rank)
        beside = self._beside({process.pid: process for process in found})
        return [process for process in found if process.pid not in beside]

    def _beside(self, table: Mapping[int, processes.Process]) -> set[int]:
        """What we started beside the rank."""
        return self.mpi.pids(table) | ({self.server.pid} if self.server is not None else set())

    def _unwanted(self) -> str:
        """Why the rank is not to be started any more; empty where it is."""
        return "requested" if self.term or os.path.exists(self.paths.stop) else self.peers.verdict()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self.server is not None and pid == self.server.pid:
                self.server = None  # its number may be another's soon
                self.joining.server_ended()
            self.mpi.reaped(pid, status)
            if pid == self.child.pid:
                self.status, self.ended = status, time.time()

    def _after_main(self) -> None:
        """The main process ended by itself: end what it left behind, and name it."""
        left = self._living()
        self.leftovers = [str(process) for process in left]
        # One that only serves others may break down over their end: that is none of its own.
        reason = peers.DONE if self.peers.verdict() == peers.DONE else ""
        if self.mpi.asked and self.status and not reason:
            self.error, self.cause = self.mpi.verdict()
            reason = mpi.ENDED if self.error else ""
        self._stop(reason, min(self.grace, LEFTOVER_GRACE))

    def _stop(self, reason: str, grace: float, first: signal.Signals = signal.SIGTERM) -> None:
        self.reason = reason
        self.kill_at = time.monotonic() + grace
        self._signal(first)
        self._signal(signal.SIGCONT, named=False)  # a process that is suspended would not see the other

    def _press(self) -> bool:
        """One look at a tree that is being ended; whether it is over."""
        left = self._living()
        if not left and self.status is not None:
            return True
        now = time.monotonic()
        if now >= self.kill_at:
            self._signal(signal.SIGKILL)  # again and again: it may have had children meanwhile
            self._reap()
        return now >= self.kill_at + UNKILLABLE

    def _signal(self, number: signal.Signals, named: bool = True) -> None:
        sent = False
        for process in self._living():
            if processes.send(process, number):
                sent = True
                self.touched.setdefault(process.pid, str(process))
        if sent and named and number.name not in self.signals:
            self.signals.append(number.name)

    def _watch(self, tree: list[int]) -> None:
        assert self.limit is not None
        used = processes.resident(tree)
        if used > self.limit:
            used = processes.proportional(tree) or used  # pages that forked workers share count once
        self.peak = max(self.peak, used)
        if used > self.limit and self.reason is None and self.status is None:
            # No time to end well: what is over the limit now would take the machine down during the grace.
            self._stop("memory limit", 0, signal.SIGKILL)

    def _sample(self, ticks: int, resident: int) -> None:
        if self.usage is None:
            return
        own = self.group is not None and (self.counter is not None or self.group.is_for(self.limit))
        held = self.group.used() if self.group is not None and own else 0
        counted = self.counter.seconds() if self.counter is not None else None
        if counted is None:
            waited = os.times()  # of those that this process has waited for
            counted = ticks / TICKS + waited.children_user + waited.children_system
        self.usage.saw(counted, held or resident)

    def _beat(self, tree: list[int]) -> int:
        used = processes.resident(tree)
        if not self.watched:
            self.peak = max(self.peak, used)
        self.beats += 1
        with contextlib.suppress(OSError):  # a beat that cannot be written makes the run look late, no more
            os.pwrite(self.beat_fd, b"%010d %020d\n" % (self.beats, used), 0)
        return used

    def _read_events(self, seconds: float = 0) -> None:
        """Bring over what TensorBoard's files have that is new: a piece, or for so long as there is more."""
        if self.events is None:
            return
        until = time.monotonic() + seconds
        with contextlib.suppress(OSError):  # a full disk: they stay in `logs/`
            while self.events.read() and time.monotonic() < until:
                pass

    def _record(self, error: str = "", stopped: str = "") -> None:
        import resource

        self.peers.end_orphans()
        self.mpi.tidy()
        if self.server is not None:
            self.server.kill()
        if self.usage is not None:
            self.usage.close()
        self._read_events(EVENTS_PATIENCE)

        code = signal_number = None
        if self.status is not None:
            code = os.WEXITSTATUS(self.status) if os.WIFEXITED(self.status) else None
            signal_number = os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else None
        elif not error and not self.error:
            error = "the process does not end, not even by KILL"
        refusal = records.read(self.paths.refusal)
        if refusal is not None and not self.reason:
            code, error, stopped = None, str(refusal["error"]), str(refusal["stopped"])
        kills = self.group.oom_kills() if self.group else 0
        largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        peak = max(self.peak, largest, self.group.peak() if self.group and self.group.limit and kills else 0)
        left = self._living()
        remaining = [str(process) for process in left]
        self.exit.write(
            {
                "format": 1,
                "rank": self.paths.rank,
                "code": code,
                "signal": signal_number,
                "ended": self.ended or time.time(),
                "error": error or self.error,
                "cause": self.cause,
                "stopped": stopped or self.reason or "",
                "oom_kills": kills,
                "peak_bytes": peak,
                "limit_bytes": self.limit,
                "leftovers": self.leftovers[:100],
                "stop_signals": self.signals,
                "ended_processes": [n for n in self.touched.values() if n not in remaining][:100],
                "remaining": remaining[:100],
                "note": rendezvous.note(self.launch, self.paths) if self.status is not None and not self.reason else "",
            }
        )
        if self.group is not None:
            self.group.remove()

    def _on_term(self) -> None:
        self.term = True
