"""What a run uses of its node, sampled beside the heartbeat: CPU, memory, and the GPUs that were given to it.

What a container uses is read from the kernel's counters of it, inside: they are what its engine's stats tell, too, and
here no sample is lost when nobody can reach the engine, and nobody holds a connection to it for each run.

They go to `streams/r<rank>.system`, JSON lines in the form of the run's other streams (see the package's docstring):

    {"k": "given", "t": time, "cpus": count, "memory_limit": bytes or null, "memory_total": bytes, "gpus": count}
    ["cpu_percent", null, time, value]            of the CPUs given (100: all of them), mean since the sample before; of
                                                  the run's container where it has one to itself, else of its processes
    ["memory_bytes", null, time, value]           the most since the sample before: of the run's own cgroup where it has
                                                  one, else of its processes, memory that they share counted for each
    {"k": "gpus", "t": time, "gpus": [{"name": text, "model": text, "memory": bytes}, …]}
    ["gpu<name>_percent", null, time, value]      share of the time in which it worked, mean since the sample before
    ["gpu<name>_memory_bytes", null, time, value] the most since the sample before, of all that use the device
    {"k": "gpu_problem", "t": time, "text": text} why nothing (more) is known of them

The time between two samples doubles after every `LEVEL` of them: a run of ten days leaves about 6,000, half of the first
twenty minutes' detail for each twice as long stretch.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import TYPE_CHECKING, Any, Callable, Mapping

from . import memory

if TYPE_CHECKING:
    from .gpus import Gpus

FIRST = 1.0
"""Seconds from the start to the first sample."""
EVERY = 2.0
"""Seconds between two samples at first."""
LEVEL = 600
_EARLY = 0.5
"""Seconds that a sample may come too early: who asks does so about every second."""
SILENT = 30.0
"""Seconds without an answer of the driver after which that is told."""


class Samples:
    """The file. Never raises for a full disk: a sample is lost then."""

    def __init__(self, path: str, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._fd = -1

    def write(self, numbers: Mapping[str, float], *items: Mapping[str, Any]) -> None:
        """Append numbers by name and items (`k` and what belongs to it), all of the present moment, in one write."""
        now = round(self._clock(), 3)
        records: list[Any] = [{**item, "t": now} for item in items]
        records += [[name, None, now, value] for name, value in numbers.items()]
        data = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)
        with contextlib.suppress(OSError):
            if self._fd < 0:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                self._fd = os.open(self._path, flags, 0o600)
            os.write(self._fd, data.encode())


class Pace:
    """When a sample is due: `FIRST` seconds after the start, then every `EVERY`, and after each `LEVEL` half as often."""

    def __init__(self, started: float) -> None:
        self.every = EVERY
        self._next = started + FIRST
        self._left = LEVEL

    def due(self, now: float) -> bool:
        """Whether one is to be taken now; then the next is not before its time."""
        if now < self._next - _EARLY:
            return False
        self._next = now + self.every
        self._left -= 1
        if not self._left:
            self.every *= 2
            self._left = LEVEL
        return True


class Usage:
    """What a run's process tree, or its container, uses. `saw` is told with every heartbeat; most of them write nothing.
    `used`: CPU seconds that do not count, of the time before."""

    def __init__(
        self,
        samples: Samples,
        cpus: int,
        memory_limit: int | None,
        gpus: Gpus | None = None,
        now: float | None = None,
        used: float = 0.0,
    ) -> None:
        started = time.monotonic() if now is None else now
        self._samples = samples
        self._cpus = max(1, cpus)
        self._limit = memory_limit
        self._gpus = gpus
        self._pace = Pace(started)
        self._at, self._used = started, used
        self._memory = 0
        self._told = False

    def saw(self, cpu_seconds: float, memory: int, now: float | None = None) -> None:
        """`cpu_seconds`: used by the tree from its start on; `memory`: bytes now."""
        now = time.monotonic() if now is None else now
        self._memory = max(self._memory, memory)
        if not self._pace.due(now):
            return
        first = not self._told
        items = [self._given()] if first else []
        self._told = True
        share = (cpu_seconds - self._used) / max(now - self._at, 1e-3) / self._cpus
        self._samples.write({"cpu_percent": round(max(0.0, share) * 100, 1), "memory_bytes": self._memory}, *items)
        self._at, self._used, self._memory = now, cpu_seconds, 0
        if self._gpus is not None:
            if first:
                self._gpus.start()
            self._gpus.want(now)

    def close(self) -> None:
        """Nothing is written any more."""
        if self._gpus is not None:
            self._gpus.close()

    def _given(self) -> dict[str, Any]:
        return {
            "k": "given",
            "cpus": self._cpus,
            "memory_limit": self._limit,
            "memory_total": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "gpus": 0 if self._gpus is None else len(self._gpus.given),
        }


class CpuCounter:
    """The kernel's counter of the CPU that all in the present cgroup have used together, those that ended included."""

    def __init__(self) -> None:
        self._found = memory.present("cpuacct", ("cpuacct.usage", "cpu.stat"))

    def seconds(self) -> float | None:
        """None where the kernel does not say."""
        if self._found is None:
            return None
        folder, version = self._found
        if version == 1:
            text = memory.read(os.path.join(folder, "cpuacct.usage"))
            return int(text) / 1e9 if text.isdigit() else None
        for line in memory.read(os.path.join(folder, "cpu.stat")).splitlines():
            key, _, value = line.partition(" ")
            if key == "usage_usec":
                return int(value) / 1e6
        return None


def given_cpus(asked: Any) -> int:
    """How many CPUs a process has that is bound to those (a list of indexes, a number, or None: all it may use), with the
    quota of its cgroup."""
    count = len(asked) if isinstance(asked, list) else len(os.sched_getaffinity(0))
    if isinstance(asked, int) and asked > 0:
        count = min(count, asked)
    quota = _quota()
    return count if quota is None else max(1, min(count, round(quota)))


def _quota() -> float | None:
    """CPUs that this container may use in all; None for no such limit."""
    for quota, period in (
        ("cpu.max", ""),
        ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"),
    ):
        words: list[str] = []
        for name in (quota, period):
            with contextlib.suppress(OSError):
                if name:
                    with open(os.path.join("/sys/fs/cgroup", name), encoding="ascii") as file:
                        words += file.read().split()
        if len(words) == 2 and all(word.isdigit() for word in words) and int(words[1]):
            return int(words[0]) / int(words[1])
    return None
