"""The stage Preparing: a run's environment made ready and its data fetched, both shown while they happen."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from jupyter_mltrain.core.addresses import redact
from jupyter_mltrain.core.compute import Compute, ContainerCompute, Mount, PreparedEnvironment, ReadyEnvironment
from jupyter_mltrain.environments import Environments, Progress
from jupyter_mltrain.environments.progress import ProgressReader
from jupyter_mltrain.environments.uv import Log, there_failed
from jupyter_mltrain.errors import BuildFailed, EngineUnreachable
from jupyter_mltrain.service import resuming
from jupyter_mltrain.service.inputs import prepare_data
from jupyter_mltrain.service.logs import BUILD
from jupyter_mltrain.service.long_work import in_thread
from jupyter_mltrain.service.record import Record
from jupyter_mltrain.service.together import check_together, script_of

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service

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


async def prepare(service: Service, record: Record, compute: Compute | None = None) -> None:
    """Make ready what the run needs, and note it in its `doc`. A run inside another has what that one has. `compute`: where,
    if that is one host of the target's."""
    if record.spec.within is not None:
        within = await service.record(record.spec.within)
        record.doc.update(prepared=within.doc["prepared"], mounts=[])
        record.doc["environment"] = dict(within.doc["environment"])
        return
    compute = compute or service.compute(record.spec.target)
    environment, mounts = await asyncio.gather(
        prepare_environment(service, record, compute), prepare_inputs(service, record)
    )
    await _bring(record, compute, environment, mounts)
    record.doc["prepared"] = dataclasses.asdict(environment)
    record.doc["environment"]["key"] = environment.key
    record.doc["mounts"] = [m.to_json() for m in mounts]


async def prepare_on(service: Service, record: Record, hosts: Mapping[str, Compute]) -> dict[str, EngineUnreachable]:
    """Make ready what the run needs on each of these hosts of its target, at once, and note it as `prepared_on`. Returns
    those that cannot be reached, and why."""
    away: dict[str, EngineUnreachable] = {}
    ready: dict[str, Any] = record.doc.setdefault("prepared_on", {})
    several = len(hosts) > 1

    async def bring(host: str, environment: PreparedEnvironment, mounts: list[Mount]) -> None:
        try:
            await _bring(record, hosts[host], environment, mounts, f" on {host}" if several else "")
        except EngineUnreachable as error:
            away[host] = error
        else:
            ready[host] = dataclasses.asdict(environment)

    async def make(host: str) -> PreparedEnvironment | None:
        try:
            return await prepare_environment(service, record, hosts[host], host if several else "")
        except EngineUnreachable as error:
            away[host] = error
            return None

    try:
        async with asyncio.TaskGroup() as group:
            fetched = group.create_task(_fetched(service, record))
            made = {host: group.create_task(make(host)) for host in hosts}
        async with asyncio.TaskGroup() as group:
            for host, task in made.items():
                if (environment := task.result()) is not None:
                    group.create_task(bring(host, environment, fetched.result()))
    except BaseExceptionGroup as problems:
        raise problems.exceptions[0] from None  # the others were ended for it
    return away


async def _fetched(service: Service, record: Record) -> list[Mount]:
    """The run's data on this machine, fetched once for all hosts."""
    if "mounts" not in record.doc:
        record.doc["mounts"] = [mount.to_json() for mount in await prepare_inputs(service, record)]
    return [Mount.from_json(one) for one in record.doc["mounts"]]


async def prepare_environment(
    service: Service, record: Record, compute: Compute, host: str = ""
) -> PreparedEnvironment:
    """The run's environment, made if it has to be, where `compute` has its runs; its log goes to `build.log`, its lock into
    the run's folder. `host`: which of several that are made ready at once."""
    spec, note = record.spec, _Note(record)
    before = f"{host}: " if host else ""
    reference = (
        spec.environment if spec.environment_version is None else f"{spec.environment}:{spec.environment_version}"
    )
    gpu = bool(service.pool(spec.target).gives(spec.resources).gpus)
    with (record.folder / BUILD).open("a", encoding="utf-8", errors="replace") as file:

        def log(line: str) -> None:
            with suppress(ValueError):  # the last words of a build that was stopped
                file.write(before + line.rstrip("\n") + "\n")
                file.flush()
            if line.strip():
                note.say("environment", before + line.strip()[:120])

        if compute.capabilities.containers:
            there = cast("ContainerCompute", compute)
            ready = await _prepare_there(service.environments, there, reference, gpu=gpu, log=log, note=note)
        else:
            kernel_python = record.doc.get("kernel_python")
            ready = await _prepare_here(
                service.environments, reference, gpu=gpu, log=log, note=note, kernel_python=kernel_python
            )
    if spec.distribution is not None:
        text = await asyncio.to_thread(script_of, record.folder, service.layout.blobs, spec.script)
        check_together(spec, ready.packages, text)
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
    draft = record.folder / f"environment.{uuid.uuid4().hex}.new"
    await asyncio.to_thread(draft.write_text, json.dumps(lock, indent=1), "utf-8")
    await asyncio.to_thread(
        draft.replace, record.folder / "environment.json"
    )  # several hosts may be made ready at once
    return ready.prepared


async def _prepare_here(
    environments: Environments, reference: str, *, gpu: bool, log: Log, note: _Note, kernel_python: str | None
) -> ReadyEnvironment:
    return await in_thread(
        lambda stop: environments.prepare(
            reference,
            log=log,
            gpu=gpu,
            kernel_python=kernel_python,
            cancelled=stop,
            progress=lambda p: note.say("environment", _progress(p)),
        )
    )


async def _prepare_there(
    environments: Environments, compute: ContainerCompute, reference: str, *, gpu: bool, log: Log, note: _Note
) -> ReadyEnvironment:
    """The environment where the containers of `compute` are: resolved here, once, and made there."""
    platform = await compute.platform()
    order = await in_thread(lambda stop: environments.order(reference, platform, log=log, gpu=gpu, cancelled=stop))
    reader = ProgressReader(
        len(order.packages),
        lambda line: log(redact(line, order.secrets)),
        lambda p: note.say("environment", _progress(p)),
    )
    try:
        return await compute.prepare(order, reader.line, lambda phrase: note.say("environment", phrase))
    except BuildFailed as error:
        output = redact(str(error.details.get("output", "")), order.secrets)
        raise there_failed(error, output, order.name) from error


async def prepare_inputs(service: Service, record: Record) -> list[Mount]:
    """The run's datasets, and the outputs that it goes on from, on this machine, fetched if they have to be; how far, under the stage."""
    return [*await prepare_data(service, record, _Note(record).say), *await resuming.mounts(service, record)]


async def _bring(
    record: Record, compute: Compute, environment: PreparedEnvironment, mounts: list[Mount], where: str = ""
) -> None:
    """The datasets to where the containers of `compute` are, if it has any."""
    if mounts and compute.capabilities.containers:
        note = _Note(record)
        say = (lambda name, phrase: note.say(name + where, phrase + where)) if where else note.say
        await cast("ContainerCompute", compute).bring(mounts, environment, say)


def _progress(progress: Progress) -> str:
    text = f"{progress.phase} {progress.packages} packages"
    if progress.bytes_total:
        text += f", {progress.bytes_done / 1e6:.0f} of {progress.bytes_total / 1e6:.0f} MB"
    if progress.remaining is not None:
        text += f", about {progress.remaining:.0f} s left"
    return text
