"""From a request to a run: everything that can be refused is refused here, before anything is started."""

from __future__ import annotations

import ast
import asyncio
import errno
import json
import shutil
import sqlite3
import sys
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.core.environment import EnvironmentDefinition
from jupyter_mltrain.core.ids import check_experiment, check_run_id, new_display_name, new_run_id
from jupyter_mltrain.core.spec import (
    DATA_PLACEHOLDER,
    NOTEBOOK,
    WITHIN,
    Distribution,
    Resources,
    RunSpec,
    Substitution,
)
from jupyter_mltrain.core.status import Change, Status
from jupyter_mltrain.core.target import NODE_SUBSTITUTIONS
from jupyter_mltrain.environments.compiled import is_compiled
from jupyter_mltrain.environments.interpreters import find_interpreter
from jupyter_mltrain.errors import ConflictError, DiskFull, PathNotFound, PreflightError, PythonNotFound, UsageError
from jupyter_mltrain.service import git, resuming
from jupyter_mltrain.service.inputs import first_entry, resolve_inputs
from jupyter_mltrain.service.record import Record, append_status, write_state
from jupyter_mltrain.service.snapshot import Snapshot, check_limits, take
from jupyter_mltrain.service.together import check_together, crowded
from jupyter_mltrain.service.wire import RerunRequest, RunRequest

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service

DEFAULT_ENVIRONMENT = "tensorflow"
DEFAULT_TARGET = "local"

_LEAST_FREE = 50e6
"""Bytes that must be free before a run is taken: its record alone needs some."""


async def check(service: Service, request: RunRequest) -> RunSpec:
    """The spec that `request` means. Raises the error that names what is wrong with it; changes nothing."""
    defaults = service.config.raw.get("defaults", {})
    check_experiment(request.experiment)
    if (request.script is None) == (request.command is None):
        raise UsageError("A run needs a script or a command, and not both.")
    target = request.target or str(defaults.get("target", DEFAULT_TARGET))
    if target == NOTEBOOK:
        raise UsageError(
            f"The target {NOTEBOOK!r} is for runs that a notebook logs itself: experiment.start_logging()."
        )
    await service.targets.first_use(target)
    other_nodes = service.targets.substitutions(target)
    resources = Resources(**request.resources.model_dump())
    distribution = _distribution(service, request, target)
    service.pool(target).check(resources, distribution.nodes if distribution is not None else 1)
    reference = request.environment or str(defaults.get("environment", DEFAULT_ENVIRONMENT))
    name, _, version = reference.partition(":")
    if version and not version.isdigit():
        raise UsageError(f"Environment version {version!r} is not a number.", mend="Write NAME or NAME:VERSION.")
    if name == "current" and not request.kernel_python:
        raise UsageError("Environment `current` is a kernel's interpreter; this request comes from none.")
    containers = service.compute(target).capabilities.containers
    if name == "current" and containers:
        raise UsageError(
            f"The environment `current` is the kernel's own Python, which is in no container of {target!r}.",
            mend="Name another environment, for example `-e tensorflow`.",
        )
    instead: tuple[Substitution, ...] = ()
    if name != "current":
        definition = await asyncio.to_thread(service.environments.get, reference)
        name = definition.name
        instead = service.environments.for_target(definition, containers=containers)
        if containers:
            _check_compiled(definition)
        if request.script is not None and not definition.user_managed:
            with suppress(*((PythonNotFound,) if containers else ())):  # a container has it, or fetches it
                await asyncio.to_thread(_check_syntax, request, request.script, definition)
    data, other_data = await asyncio.to_thread(resolve_inputs, service, request.data)
    run_id = check_run_id(request.run_id or new_run_id(request.experiment))
    spec = RunSpec(
        run_id=run_id,
        experiment=request.experiment,
        display_name=request.display_name or "",
        target=target,
        environment=name,
        environment_version=int(version) if version else None,
        script=request.script,
        command=tuple(request.command) if request.command else None,
        arguments=tuple(_arguments(request)),
        source_directory=request.source_directory,
        data=data,
        environment_variables=request.environment_variables,
        secrets=tuple(request.secrets),
        resources=resources,
        tags=request.tags,
        substitutions=(*other_nodes, *instead, *other_data),
        rerun_of=request.rerun_of,
        parent=(await service.record(request.parent)).id if request.parent else None,
        distribution=distribution,
        retries=request.retries,
    )
    spec = await resuming.resumed(service, spec, request.resume_from)
    if distribution is not None:
        await asyncio.to_thread(_check_together, service, request, spec, reference)
    return spec


def _distribution(service: Service, request: RunRequest, target: str) -> Distribution | None:
    """How many processes are asked for; None for one. Raises `UsageError` where the target has no more."""
    if request.distribution is None:
        return None
    distribution = Distribution(**request.distribution.model_dump())
    if not service.compute(target).capabilities.multi_node:
        raise UsageError(
            f"The target {target!r} runs one process for a run; {distribution.processes} are asked for.",
            mend="Choose a target of this machine, such as `-t local`.",
        )
    return distribution


def _check_compiled(definition: EnvironmentDefinition) -> None:
    """Raise `UsageError` for an environment that no container can have."""
    if is_compiled((*definition.packages.pip, *definition.packages.pip_gpu)):
        raise UsageError(
            f"The environment {definition.name!r} has a package that is compiled, which is done on this machine alone.",
            mend="Run it with `-t local`, or name an environment with an image that has it.",
        )


def _check_together(service: Service, request: RunRequest, spec: RunSpec, reference: str) -> None:
    """Raise `PreflightError` for what would fail in an environment whose packages are known already."""
    gpu = bool(service.pool(spec.target).gives(spec.resources).gpus)
    known = service.environments.state(reference, gpu=gpu, kernel_python=request.kernel_python)
    if known.packages:
        text: str | None = None
        with suppress(OSError, ValueError):
            text = _text(request, request.script) if request.script is not None else None
        check_together(spec, known.packages, text)


def _text(request: RunRequest, script: str) -> str | None:
    """The text of a file that goes along, where it is known. Raises `OSError` and `ValueError`."""
    if script in request.files or not request.source_directory:
        return request.files.get(script)
    return Path(request.source_directory, script).read_text("utf-8")


def _check_syntax(request: RunRequest, script: str, definition: EnvironmentDefinition) -> None:
    """Raise `PreflightError` for a script that does not compile: it would cost a build to learn it. A script for another
    version of Python than this one is not judged: its syntax may be another."""
    if definition.packages.conda:  # brings its own Python
        return
    if find_interpreter(definition.packages.python).minor != f"{sys.version_info[0]}.{sys.version_info[1]}":
        return
    try:
        text: str | bytes | None = request.files.get(script)
        if text is None and request.source_directory:
            text = Path(request.source_directory, script).read_bytes()
        if text is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ast.parse(text, script)
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise PreflightError(
            f"{script}, line {error.lineno}: {error.msg}" + (f": `{line[:60]}`" if line else "."),
            mend="Nothing was started.",
        ) from None
    except (OSError, ValueError, RecursionError, MemoryError):
        return  # not there, no text, or beyond what a parser takes: told by who needs it


def snapshot(service: Service, request: RunRequest, *, store: bool) -> Snapshot:
    """The files that `request` names; with `store` kept as blobs. Blocking. Refuses a script that is not among them."""
    free = shutil.disk_usage(service.layout.root).free
    if store and free < _LEAST_FREE:
        raise DiskFull(
            f"Only {free / 1e6:.0f} MB are free at {service.layout.root}.", mend="Free some, then submit again."
        )
    source = Path(request.source_directory) if request.source_directory else None
    taken = take(service.layout, source, request.files, store=store)
    if request.limit_snapshot:
        check_limits(taken)
    if request.script is not None and not any(f["path"] == request.script for f in taken.files):
        where = f"in {source}" if source else "in the snapshot"
        raise PathNotFound(
            f"The script {request.script} is not {where}.",
            mend="Check its name, and that the ignore file does not leave it out.",
        )
    return taken


async def submit(service: Service, request: RunRequest) -> Record:
    """Make the run and start driving it. The same `run_id` a second time gives the first run."""
    if request.run_id:
        async with service.submitting:
            known = await _known(service, request.run_id)
        if known is not None:
            # The first sending may have met a service that was killed since, and secrets with it.
            service.keep_secrets(known.id, request.secrets)
            return known
    spec = await check(service, request)
    async with service.snapshots.shared():
        taken = await asyncio.to_thread(snapshot, service, request, store=True)
        found_git = (
            await asyncio.to_thread(git.describe, Path(request.source_directory)) if request.source_directory else {}
        )
        pool = service.pool(spec.target)
        taken.notices.extend(crowded(spec, pool.gives(spec.resources), pool.machine.capacity.cpus))
        return await make(service, replace(spec, git=found_git), taken, request.kernel_python, request.secrets)


async def rerun(service: Service, record: Record, changes: RerunRequest) -> Record:
    """The same run once more: same snapshot, arguments, environment version and data; other resources where given.

    Raises `ConflictError` for a run with secrets, whose values nobody kept.
    """
    spec = record.spec
    if spec.target == NOTEBOOK:
        raise ConflictError("A notebook logged this run itself: there is nothing to submit again.")
    if spec.within is not None:
        raise ConflictError(
            "A script logged this run beside its own: there is nothing to submit again.",
            mend=f"Submit the run that it is in again: {spec.within}.",
        )
    if spec.secrets:
        raise ConflictError(
            f"The run took secrets ({', '.join(spec.secrets)}), which are never kept.",
            mend="Submit its cell again from a kernel that has them.",
        )
    resources = replace(spec.resources, **changes.resources.model_dump(exclude_none=True))
    other_nodes = service.targets.substitutions(spec.target)
    service.pool(spec.target).check(resources, spec.nodes)
    if spec.resume_from is not None:
        await resuming.earlier(service, spec.resume_from)
    manifest = json.loads(
        await asyncio.to_thread((record.folder / "snapshot.json").read_text, "utf-8", "surrogateescape")
    )
    again = replace(
        spec,
        run_id=changes.run_id or new_run_id(spec.experiment),
        display_name="",
        environment_version=record.doc["environment"]["version"],
        resources=resources,
        substitutions=(*other_nodes, *(s for s in spec.substitutions if s.kind not in NODE_SUBSTITUTIONS)),
        rerun_of=spec.run_id,
    )
    return await make(service, again, Snapshot(manifest["files"]), record.doc.get("kernel_python"), {})


async def make(
    service: Service, spec: RunSpec, taken: Snapshot, kernel_python: str | None, secrets: Mapping[str, str]
) -> Record:
    """Write the run's record and start driving it. An id that is there already gives that run."""
    async with service.submitting:
        known = await _known(service, spec.run_id)
        if known is not None:
            return known
        if spec.target not in {NOTEBOOK, WITHIN}:
            service.targets.get(spec.target)  # it may have been deleted since it was checked
        number = await service.store.call(service.store.next_number)
        spec = replace(spec, display_name=spec.display_name or new_display_name(number), snapshot=taken.digest)
        change = Change(Status.NOT_STARTED, time.time(), "submitted")
        row = _row(spec, number, change.time, taken, kernel_python, service.publication.first)
        row["doc"]["data"] += await resuming.entries(service, spec)
        folder = service.layout.run(spec.run_id)
        try:
            await asyncio.to_thread(_write_folder, folder, spec, taken, row, change)
            await service.store.call(service.store.insert, row, change)
        except (OSError, sqlite3.OperationalError) as error:
            if isinstance(error, OSError) and error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            free = shutil.disk_usage(service.layout.root).free / 1e6
            raise DiskFull(f"The run's record cannot be written: {error} ({free:.0f} MB free).") from error
        record = Record(service.store, folder, spec, row, [change])
        service.adopt(record)
        service.keep_secrets(spec.run_id, secrets)
    service.drive(record)
    return record


async def _known(service: Service, run_id: str) -> Record | None:
    if service.held(run_id) is None and await service.store.call(service.store.get, run_id) is None:
        return None
    return await service.record(run_id)


def _row(
    spec: RunSpec, number: int, now: float, taken: Snapshot, kernel_python: str | None, tracking: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "id": spec.run_id,
        "number": number,
        "experiment": spec.experiment,
        "display_name": spec.display_name,
        "status": Status.NOT_STARTED.value,
        "revision": int(now * 1000),
        "created": now,
        "started": None,
        "ended": None,
        "target": spec.target,
        "doc": {
            "environment": {"name": spec.environment, "version": spec.environment_version, "key": None},
            "data": [first_entry(d) for d in spec.data],
            "snapshot": {"files": len(taken.files), "bytes": taken.bytes, "digest": taken.digest},
            "notices": taken.notices,
            "tags": dict(spec.tags),
            "notes": "",
            "pinned": False,
            "models": [],
            "parent": spec.parent,
            "resume_from": spec.resume_from,
            "properties": {},
            "kernel_python": kernel_python,
            "tracking": dict(tracking),
        },
    }


def _write_folder(folder: Path, spec: RunSpec, taken: Snapshot, row: dict[str, Any], change: Change) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # In ASCII: so that names of files that are no UTF-8 come back as they were.
    (folder / "snapshot.json").write_text(json.dumps(taken.manifest(), indent=1), encoding="ascii")
    (folder / "spec.json").write_text(spec.dumps(), encoding="utf-8", errors="surrogateescape")
    # A sending that failed here before (a killed service) may have left its first line.
    (folder / "status.jsonl").unlink(missing_ok=True)
    append_status(folder, change)
    write_state(folder, row)


def _arguments(request: RunRequest) -> list[str]:
    """The script's arguments, with each dataset's option in front: `--data-folder DatasetConsumptionConfig:mnist`."""
    given = [part for d in request.data if d.argument for part in (d.argument, DATA_PLACEHOLDER + d.name)]
    return [*given, *request.arguments]
