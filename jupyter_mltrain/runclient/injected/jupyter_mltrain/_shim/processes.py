"""Processes as /proc shows them: which belong to a run, how much memory they have, and ending exactly those.

A process belongs to a run if it descends from the run's shim or main process, or if its environment carries the run's
id: so it is found whatever groups, sessions or parents it changed. A pid alone names nobody, since numbers are used again;
pid and start time together do.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Iterable, NamedTuple

PAGE = os.sysconf("SC_PAGE_SIZE")


class Process(NamedTuple):
    """One process. `ticks`: its start time in clock ticks since boot; `used`: clock ticks of CPU that it has used, with
    those of its children that it has waited for."""

    pid: int
    ppid: int
    group: int
    ticks: int
    name: str
    state: str
    used: int = 0

    def __str__(self) -> str:
        return f"{self.pid} {self.name}"


def find(pid: int) -> Process | None:
    """The process with that number, None if there is none. Zombies are found too (`state` Z)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            raw = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name is in parentheses and may hold spaces and parentheses itself.
    head, _, tail = raw.rpartition(b")")
    fields = tail.split()
    name = head.partition(b"(")[2].decode("utf-8", "replace")
    used = int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])
    return Process(pid, int(fields[1]), int(fields[2]), int(fields[19]), name, fields[0].decode(), used)


def table(dead: bool = False) -> dict[int, Process]:
    """All processes that are there now, by pid; without zombies, unless `dead`."""
    found: dict[int, Process] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            process = find(int(name))
            if process is not None and (dead or process.state not in "ZX"):
                found[process.pid] = process
    return found


def same(pid: int, ticks: int) -> Process | None:
    """The living process with that pid and start time."""
    process = find(pid)
    return process if process is not None and process.ticks == ticks and process.state not in "ZX" else None


def below(roots: Iterable[int], processes: dict[int, Process]) -> set[int]:
    """The descendants of `roots` among `processes`, without the roots."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.ppid, []).append(process.pid)
    found: set[int] = set()
    todo = list(roots)
    while todo:
        for child in children.get(todo.pop(), ()):
            if child not in found:
                found.add(child)
                todo.append(child)
    return found


def carries(pid: int, run_id: str, rank: int | None = None) -> bool:
    """Whether the process was started with the run's id, and that rank if one is named, in its environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            environ = file.read().split(b"\0")
    except OSError:
        return False
    of_rank = rank is None or b"MLTRAIN_RANK=%d" % rank in environ
    return of_rank and b"MLTRAIN_RUN_ID=" + os.fsencode(run_id) in environ


def of_run(run_id: str, roots: Iterable[int], rank: int | None = None) -> list[Process]:
    """All living processes of the run but this one: what descends from `roots`, the ids that carry the run's id, and
    what descends from those. `rank`: of that rank alone."""
    processes = table()
    known = set(roots)
    carriers = {pid for pid in processes if carries(pid, run_id, rank)}
    pids = (below(known | carriers, processes) | carriers) - {os.getpid()}
    return [processes[pid] for pid in sorted(pids)]


def send(process: Process, number: int) -> bool:
    """Send a signal to exactly that process; False if it is gone."""
    opened = -1
    try:
        # With a descriptor the number cannot be taken over between the check and the signal.
        if hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal"):
            with contextlib.suppress(OSError):
                opened = os.pidfd_open(process.pid)
        if same(process.pid, process.ticks) is None:
            return False
        if opened >= 0:
            signal.pidfd_send_signal(opened, number)
        else:
            os.kill(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    else:
        return True
    finally:
        if opened >= 0:
            os.close(opened)


def resident(pids: Iterable[int]) -> int:
    """Bytes of memory that the processes hold, shared pages counted for each."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/statm", "rb") as file:
            total += int(file.read().split()[1]) * PAGE
    return total


def proportional(pids: Iterable[int]) -> int:
    """Bytes of memory that the processes hold, a shared page divided among its holders; slower than `resident`."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    total += int(line.split()[1]) * 1024
    return total
