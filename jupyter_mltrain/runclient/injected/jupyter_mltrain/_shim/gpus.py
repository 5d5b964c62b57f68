"""The GPUs given to a run, watched by a thread of its own: a driver that hangs holds up no heartbeat."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Mapping

from .nvml import Nvml, NvmlError
from .system import EVERY, SILENT, Samples

_AFTER_PROBLEM = 30.0
"""Seconds until a driver that said no is asked again."""


def given(env: Mapping[str, str]) -> list[str]:
    """The GPUs (indexes or UUIDs) that a process with this environment may use; none where it does not name them."""
    named = [part.strip() for part in env.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    # CUDA takes those before the first that is none.
    valid: list[str] = []
    for name in named:
        if not name.isdigit() and not name.startswith(("GPU-", "MIG-")):
            break
        valid.append(name)
    return valid


class Gpus:
    """`given`: what `given()` says. Nothing is asked before `start`, and nothing is written before `want`."""

    def __init__(
        self, given: list[str], samples: Samples, load: Callable[[], Any] = Nvml, every: float = EVERY
    ) -> None:
        self.given = given
        self._names = [name if name.isdigit() else str(place) for place, name in enumerate(given)]
        self._samples = samples
        self._load = load
        self._every = every
        self._over = threading.Event()
        self._writing = threading.Lock()
        self._wanted = False
        self._answered: float | None = None
        self._problem = ""

    def start(self) -> None:
        threading.Thread(target=self._watch, name="gpus", daemon=True).start()

    def want(self, now: float) -> None:
        """Write a sample when the driver answers next; tell where it has not for `SILENT` seconds."""
        self._wanted = True
        if self._answered is not None and now - self._answered > SILENT:
            self._tell(f"the NVIDIA driver has not answered for {SILENT:.0f} s")

    def close(self) -> None:
        with self._writing:
            self._over.set()

    def _watch(self) -> None:
        while not self._over.is_set():
            self._answered = time.monotonic()
            try:
                self._read()
            except NvmlError as error:
                self._tell(str(error))
                self._answered = None  # it did answer, and is not asked for a while
                self._over.wait(_AFTER_PROBLEM)

    def _read(self) -> None:
        nvml = self._load()
        devices = [nvml.device(name) for name in self.given]
        about = [
            {"name": name, "model": nvml.model(device), "memory": nvml.memory(device).total}
            for name, device in zip(self._names, devices)
        ]
        self._write({}, {"k": "gpus", "gpus": about})
        busy: dict[str, list[int]] = {}
        most: dict[str, int] = {}
        while not self._over.wait(self._every):
            for name, device in zip(self._names, devices):
                share = nvml.busy(device)
                if share is not None:
                    busy.setdefault(f"gpu{name}_percent", []).append(share)
                key = f"gpu{name}_memory_bytes"
                most[key] = max(most.get(key, 0), nvml.memory(device).used)
            self._answered = time.monotonic()
            if self._wanted:
                self._wanted = False
                self._write({**{key: round(sum(all_) / len(all_), 1) for key, all_ in busy.items()}, **most})
                busy, most = {}, {}

    def _tell(self, text: str) -> None:
        if text != self._problem:
            self._problem = text
            self._write({}, {"k": "gpu_problem", "text": text})

    def _write(self, numbers: Mapping[str, float], *items: Mapping[str, Any]) -> None:
        with self._writing:
            if not self._over.is_set():
                self._samples.write(numbers, *items)
