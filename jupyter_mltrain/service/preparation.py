"""The stage Preparing: a run's environment made ready and its data fetched, both shown while they happen."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from jupyter_mltrain.core.compute import Mount, PreparedEnvironment
from jupyter_mltrain.environments import Progress, ReadyEnvironment
from jupyter_mltrain.service.inputs import prepare_data
from jupyter_mltrain.service.logs import BUILD
from jupyter_mltrain.service.long_work import in_thread
from jupyter_mltrain.service.record import Record

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service

T = TypeVar("T")

_SHOW_SECONDS = 0.5


class _Note:
    """The one line under Preparing, from several threads, at most a few times a second."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._loop = asyncio.get_running_loop()
        self._parts: dict[str, str] = {}
        self._said = 0.0

    def say(self, what: str, text: str, *, at_once: bool = False) -> None:
        self._parts[what] = text
        now = time.monotonic()
        if at_once or now - self._said > _SHOW_SECONDS:
            self._said = now
            self._record.doc["preparing"] = " · ".join(p for p in self._parts.values() if p)
            self._loop.call_soon_threadsafe(self._record.touch)


async def prepare_environment(service: Service, record: Record) -> PreparedEnvironment:
    """The run's environment, built if it has to be; its log goes to `build.log`, its lock into the run's folder."""
    spec, note = record.spec, _Note(record)
    reference = (
        spec.environment if spec.environment_version is None else f"{spec.environment}:{spec.environment_version}"
    )
    gpu = bool(service.pool(spec.target).gives(spec.resources).gpus)

    def prepare(stop: threading.Event) -> ReadyEnvironment:
        with (record.folder / BUILD).open("a", encoding="utf-8", errors="replace") as file:

            def log(line: str) -> None:
                file.write(line.rstrip("\n") + "\n")
                file.flush()
                if line.strip():
                    note.say("environment", line.strip()[:120])

            return service.environments.prepare(
                reference,
                log=log,
                gpu=gpu,
                kernel_python=record.doc.get("kernel_python"),
                cancelled=stop,
                progress=lambda p: note.say("environment", _progress(p)),
            )

    ready = await in_thread(prepare)
    how = "cached" if ready.cached else f"built in {ready.seconds:.0f} s"
    note.say("environment", how, at_once=True)
    record.doc["environment"] |= {
        "version": ready.prepared.version,
        "key": ready.prepared.key,
        "python": ready.python_version,
        "packages": len(ready.packages),
    }
    lock = {
        **dataclasses.asdict(ready),
        "prepared": {**dataclasses.asdict(ready.prepared), "python": ready.python_version},
    }
    await asyncio.to_thread((record.folder / "environment.json").write_text, json.dumps(lock, indent=1), "utf-8")
    return ready.prepared


async def prepare_inputs(service: Service, record: Record) -> list[Mount]:
    """The run's datasets on this machine, fetched if they have to be; how far, under the stage."""
    return await prepare_data(service, record, _Note(record).say)


def _progress(progress: Progress) -> str:
    text = f"{progress.phase} {progress.packages} packages"
    if progress.bytes_total:
        text += f", {progress.bytes_done / 1e6:.0f} of {progress.bytes_total / 1e6:.0f} MB"
    if progress.remaining is not None:
        text += f", about {progress.remaining:.0f} s left"
    return text
