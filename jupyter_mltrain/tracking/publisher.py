"""What the service holds of MLflow: publish runs, register models. Asks the child process; imports no MLflow."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jupyter_mltrain.core import records
from jupyter_mltrain.core.ids import check_name
from jupyter_mltrain.core.model import Registration
from jupyter_mltrain.core.status import TERMINAL
from jupyter_mltrain.core.wire import TrackingName, TrackingState
from jupyter_mltrain.core.wire_models import Inspection, ModelVersion
from jupyter_mltrain.errors import MLTrainError
from jupyter_mltrain.tracking import cursor as cursors
from jupyter_mltrain.tracking.process import Child

LIVE_SECONDS = 5.0
"""Pause between two publications of a run that goes on."""

_SLICE = 0.5  # seconds of work in one request, so that registering never waits long
_TURN = 3.0
_FEW = 1000
"""Records that a run which goes on may be left with: it logs while it is published, and to chase its last ones, a
request for each handful, took six times the work of publishing them with the next."""

_SLICE_TIMEOUT = 120.0
_ASK_TIMEOUT = 60.0
_COPY_TIMEOUT = 3600.0
_RETRY_FIRST, _RETRY_LAST = 2.0, 300.0
_TERMINAL = {status.value for status in TERMINAL}
_log = logging.getLogger(__name__)


@dataclass
class _Job:
    folder: Path
    state: Mapping[str, Any]
    due: float = 0.0
    failures: int = 0
    again: bool = False


class Tracking:
    """MLflow for the workspace folder `root` (`.mltrain`): embedded in it, or the server at `uri`.

    `changed(run_id, tracking_state)` is called on the event loop when a run's state changes, and whenever what `notify`
    named is done or has failed. The MLflow process starts
    with the first thing there is to do, and ends after `idle` seconds without any.
    """

    def __init__(
        self,
        root: Path,
        uri: str | None = None,
        *,
        changed: Callable[[str, TrackingState], None] = lambda _run, _state: None,
        interval: float = LIVE_SECONDS,
        idle: float = 600.0,
    ) -> None:
        self._root = root
        self._changed = changed
        self._interval = interval
        self._idle = idle
        self._child = Child(root, uri)
        self._turn = (
            asyncio.Lock()
        )  # one run at a time is published, so that another request waits for one slice at most
        self._jobs: dict[str, _Job] = {}
        self._states: dict[str, TrackingState] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._used = time.monotonic()

    async def start(self) -> None:
        """Begin to publish what `notify` names. Returns at once; MLflow is not started yet."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="tracking")

    async def close(self) -> None:
        """Stop, and end the MLflow process. What is not published yet goes on from there after the next start."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._child.close()

    @property
    def about(self) -> dict[str, Any]:
        """What the MLflow process said of itself when it started: `mlflow`, `uri`, `embedded`, `backup`, `seconds`."""
        return self._child.about

    def notify(self, run_id: str, folder: Path, state: Mapping[str, Any]) -> None:
        """There is something new of a run: publish it soon. A run that goes on at most every few seconds; one that has
        ended at once. Errors are tried again, with growing pauses, until it is synced. Returns at once."""
        job = self._jobs.get(run_id)
        now = time.monotonic()
        ended = state.get("status") in _TERMINAL
        if job is None:
            # The first few seconds belong to the run's own start.
            due = now if ended else now + min(self._interval, 1.0)
            self._jobs[run_id] = _Job(folder, dict(state), due)
        else:
            job.folder, job.state, job.again = folder, dict(state), True
            if ended and not job.failures:
                job.due = now
        self._wake.set()

    def state(self, run_id: str) -> TrackingState:
        """The run's tracking state, as far as this process knows (`pending` of 0 before the first publication)."""
        return self._states.get(run_id, {"state": "pending", "pending": 0, "message": ""})

    async def publish(self, run_id: str, folder: Path, state: Mapping[str, Any]) -> TrackingState:
        """Publish all that is new of a run, now. Returns its state; never raises for what MLflow or the disk says."""
        return await self._publish(run_id, folder, state, math.inf)

    async def register(self, run_id: str, run_folder: Path, given: Registration) -> dict[str, Any]:
        """Register the file or folder at `given.path` of a run's record (`outputs/model`; `outputs/` may be left out) as
        a version of the model `given.name`. Returns the ModelVersion.

        Framework, its version and the signature are read from the files where they are not given. Content that is
        registered under this name already gives that version, with `same_as` its number, and gets the tags,
        description, properties, resources and metrics given now; with `force` a new version is made, `same_as` the
        earlier one. While the run goes on its outputs are taken as they are at the moment. Of `metrics` the first 90,000
        characters are kept. Raises `InvalidName`, `PathNotFound` (names what is there), `UsageError`, `DiskFull`,
        `TrackingError`.
        """
        check_name(given.name, "Model")
        about = asdict(given)
        return await self._ask("register", _COPY_TIMEOUT, run_id=run_id, folder=str(run_folder), given=about)

    async def register_files(self, given: Registration, source: Path) -> dict[str, Any]:
        """The same for a file or folder of this machine that no run made."""
        check_name(given.name, "Model")
        return await self._ask("register_files", _COPY_TIMEOUT, source=str(source), given=asdict(given))

    async def change(
        self,
        name: str,
        version: int,
        *,
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
        properties: Mapping[str, str] | None = None,
        sample_input: str | None = None,
    ) -> dict[str, Any]:
        """Set what is given: `tags` take the place of those that were, `properties` are added and never change. Raises
        `ModelNotFound`, `ConflictError`."""
        return await self._ask(
            "change",
            _ASK_TIMEOUT,
            name=check_name(name, "Model"),
            version=version,
            tags=dict(tags) if tags is not None else None,
            description=description,
            properties=dict(properties) if properties is not None else None,
            sample_input=sample_input,
        )

    async def delete(self, name: str, version: int) -> None:
        """Take a version away, and its files where no other version has them. Raises `ModelNotFound`."""
        await self._ask("delete", _ASK_TIMEOUT, name=check_name(name, "Model"), version=version)

    async def inspect(self, run_folder: Path, path: str) -> Inspection:
        """What the file or folder at `path` of a run's record says it is: `core.model.Inspection` and its `path` there.
        Nothing of it is run. Raises `PathNotFound`."""
        return await self._ask("inspect", _ASK_TIMEOUT, folder=str(run_folder), path=path)

    async def models(self) -> list[ModelVersion]:
        """All versions of all registered models, the newest first."""
        return await self._ask("models", _ASK_TIMEOUT)

    async def versions(self, name: str) -> list[ModelVersion]:
        """All versions of a model, oldest first. Raises `ModelNotFound` with the nearest names."""
        return await self._ask("model", _ASK_TIMEOUT, name=check_name(name, "Model"))

    async def get(self, name: str, version: int | None = None) -> ModelVersion:
        """One version of a model; the newest if `version` is None. Raises `ModelNotFound`."""
        return await self._ask("version", _ASK_TIMEOUT, name=check_name(name, "Model"), version=version)

    async def path(self, name: str, version: int | None = None) -> Path:
        """Where the registered folder or file can be loaded from, read-only; fetched first from a team's server."""
        return Path(await self._ask("path", _COPY_TIMEOUT, name=check_name(name, "Model"), version=version))

    async def _ask(self, operation: str, seconds: float, **arguments: Any) -> Any:
        self._used = time.monotonic()
        try:
            return await self._child.request(operation, seconds, **arguments)
        finally:
            self._used = time.monotonic()

    async def _publish(
        self, run_id: str, folder: Path, state: Mapping[str, Any], seconds: float, leave: int = 0
    ) -> TrackingState:
        try:
            pending = await self._slices(run_id, folder, state, time.monotonic() + seconds, leave)
        except MLTrainError as error:
            return self._note(run_id, "error", await asyncio.to_thread(unpublished, folder), error.message)
        return self._note(run_id, "pending" if pending else "synced", pending, "")

    async def _slices(self, run_id: str, folder: Path, state: Mapping[str, Any], deadline: float, leave: int) -> int:
        """Publish until no more than `leave` is pending, or the deadline, or a run logs faster than MLflow takes it."""
        async with self._turn:
            pending, stuck = -1, 0
            while True:
                before = pending
                reply = await self._ask(
                    "publish", _SLICE_TIMEOUT, run_id=run_id, folder=str(folder), state=_header(state), budget=_SLICE
                )
                pending = int(reply["pending"])
                stuck = stuck + 1 if 0 <= before <= pending else 0
                if pending <= leave or stuck >= 3 or time.monotonic() >= deadline:
                    return pending
                self._note(run_id, "pending", pending, "")

    async def _run(self) -> None:
        while True:
            now = time.monotonic()
            due = sorted((job.due, run_id) for run_id, job in self._jobs.items())
            if due and due[0][0] <= now:
                await self._advance(due[0][1])
                continue
            if not due and self._child.running and now - self._used > self._idle:
                await self._child.close()
            pause = max(0.01, due[0][0] - now) if due else max(1.0, self._idle)
            self._wake.clear()
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _advance(self, run_id: str) -> None:
        job = self._jobs[run_id]
        job.again = False
        # Some seconds for each: a run with millions of points must not keep others waiting.
        leave = 0 if job.state.get("status") in _TERMINAL else _FEW
        before = self._states.get(run_id)
        result = await self._publish(run_id, job.folder, job.state, _TURN, leave)
        if result == before:
            # Told though it is what it was: who asked anew waits for an answer, and must not wait for ever.
            self._changed(run_id, result)
        now = time.monotonic()
        if result["state"] == "error":
            job.failures += 1
            job.due = now + min(_RETRY_LAST, _RETRY_FIRST * 2 ** (job.failures - 1))
            _log.warning("run %s is not published: %s", run_id, result["message"])
            return
        job.failures = 0
        job.due = now + (0.0 if job.state.get("status") in _TERMINAL else self._interval)
        if result["state"] == "synced" and not job.again:
            del self._jobs[run_id]

    def _note(self, run_id: str, state: TrackingName, pending: int, message: str) -> TrackingState:
        new = TrackingState(state=state, pending=pending, message=message)
        if self._states.get(run_id) != new:
            self._states[run_id] = new
            self._changed(run_id, new)
        return new


def recorded(folder: Path) -> TrackingState:
    """The tracking state of a run as its record tells it, for a service that just started: `synced` if its end and all
    its records are in MLflow, else `pending`, and `Tracking.notify` goes on with it. Blocks on the disk."""
    pending = unpublished(folder)
    done = pending == 0 and cursors.read(folder).get("status") in {"FINISHED", "FAILED", "KILLED"}
    return TrackingState(state="synced" if done else "pending", pending=pending, message="")


def unpublished(folder: Path) -> int:
    """Records in a run's streams that are not in MLflow yet, by its `publish.json`. Blocks on the disk."""
    offsets: dict[str, int] = cursors.read(folder).get("offsets") or {}
    count = 0
    for path in (folder / "streams").glob("*.metrics"):
        if records.file_rank(path.name) is None:
            continue
        with path.open("rb") as file:
            file.seek(offsets.get(path.name, 0))
            while data := file.read(1 << 20):
                count += data.count(b"\n")
    return count


_HEADER = frozenset(
    {
        *("id", "run_id", "experiment", "display_name", "status", "created", "started", "ended", "failure"),
        *("target", "environment", "data", "arguments", "command", "rerun_of", "git", "workspace", "tags", "notes"),
    }
)


def _header(state: Mapping[str, Any]) -> dict[str, Any]:
    """Of a RunState what MLflow's header is made of."""
    return {key: value for key, value in state.items() if key in _HEADER}
