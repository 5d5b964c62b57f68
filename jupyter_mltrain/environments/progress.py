"""How far a build is, from the lines uv prints when it has no terminal, and from the bytes it has written."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jupyter_mltrain.environments.uv import Log


@dataclass(frozen=True)
class Progress:
    """`phase`: downloading, installing or compiling. Bytes of downloads, compressed; `done` is an estimate between
    finished packages. `remaining`: seconds, None while nothing is known."""

    phase: str
    packages: int
    downloads: int
    downloaded: int
    bytes_done: int
    bytes_total: int
    remaining: float | None = None


BuildProgress = Callable[[Progress], None]


class ProgressReader:
    """Reads uv's lines; passes them on, and every `every` seconds a line of its own while downloads run."""

    # A wheel unpacks to about 3.5 times its size (measured on TensorFlow's 261 MiB: 3.4).
    UNPACKED = 3.5

    def __init__(self, packages: int, log: Log, report: BuildProgress | None = None, every: float = 2.0) -> None:
        self._packages = packages
        self._log = log
        self._report = report
        self._every = every
        self._started = self._said = time.monotonic()
        self._running: dict[str, int] = {}
        self._downloads = 0
        self._done = 0
        self._total = 0
        self._written = 0
        self._phase = "downloading"

    def line(self, line: str) -> None:
        """One line that uv printed."""
        if found := _STARTED.match(line):
            self._running[found[1]] = size = round(float(found[2]) * _UNITS[found[3]])
            self._downloads += 1
            self._total += size
        elif found := _FINISHED.match(line):
            self._done += self._running.pop(found[1], 0)
        elif line.startswith("Prepared "):
            self._phase = "installing"
        elif line.startswith("Installed "):
            self._phase = "compiling"
        self._log(line)

    def look(self, process: int) -> None:
        """Called often; looks at what process `process` has written and says so now and then."""
        now = time.monotonic()
        if now - self._said < self._every:
            return
        self._said = now
        self._written = _written_by(process)
        state = self.state(now - self._started)
        if self._report is not None:
            self._report(state)
        self._log(self._sentence(state, now - self._started))

    def _sentence(self, state: Progress, elapsed: float) -> str:
        if not self._running:
            # Packages from uv's cache or a local folder are unpacked without a word.
            doing = "unpacking" if self._phase == "downloading" else self._phase
            return f"… {doing} {self._packages} packages, {elapsed:.0f} s"
        largest = max(self._running, key=lambda name: self._running[name])
        left = f", about {state.remaining:.0f} s left" if state.remaining is not None else ""
        return (
            f"… {state.bytes_done / 2**20:.0f} of {state.bytes_total / 2**20:.0f} MiB, {state.downloaded} of"
            f" {state.downloads} downloads; waiting for {largest}{left}"
        )

    def state(self, elapsed: float) -> Progress:
        """Where the build stands `elapsed` seconds after its start."""
        # Never past what is finished plus nearly all of what runs: an estimate must not claim to be done.
        most = self._done + 0.98 * sum(self._running.values())
        done = self._done if not self._running else int(min(max(self._done, self._written / self.UNPACKED), most))
        remaining = elapsed * (self._total - done) / done if done and self._phase == "downloading" else None
        return Progress(
            self._phase,
            self._packages,
            self._downloads,
            self._downloads - len(self._running),
            done,
            self._total,
            remaining,
        )


_STARTED = re.compile(r"\s*Downloading (\S+) \(([\d.]+)\s*([KMG]i?B|B)\)")
_FINISHED = re.compile(r"\s*Downloaded (\S+)")
_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "KB": 10**3, "MB": 10**6, "GB": 10**9}


def _written_by(process: int) -> int:
    """Bytes that `process` has written to files so far (proc(5), `wchar`); 0 where the system does not tell."""
    try:
        lines = Path(f"/proc/{process}/io").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("wchar:")), 0)
