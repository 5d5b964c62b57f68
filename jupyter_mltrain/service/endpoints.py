"""The endpoints of a workspace: their records, what is asked of them, and the watch over what their keepers report."""

from __future__ import annotations

import asyncio
import errno
import json
import secrets
import shutil
import time
import traceback
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_mltrain.cache import write_whole
from jupyter_mltrain.core import wire_endpoints as wire
from jupyter_mltrain.core.deployment import EndpointObservation, EndpointSpec
from jupyter_mltrain.deployments.local import LocalDeployer
from jupyter_mltrain.deployments.place import Place
from jupyter_mltrain.errors import ConflictError, DiskFull, MLTrainError, WebserviceException, WebserviceNotFound
from jupyter_mltrain.service import deploying, deploying_there
from jupyter_mltrain.service.endpoint_keys import make_keys
from jupyter_mltrain.service.endpoint_state import endpoint_state
from jupyter_mltrain.service.long_work import in_thread
from jupyter_mltrain.service.wire_endpoints import EndpointChanges, EndpointRequest

if TYPE_CHECKING:
    from jupyter_mltrain.service.service import Service

_SOON, _LATER = 0.1, 2.0
"""Seconds between looks at the keepers' reports: while something is going on, and otherwise."""
_GRACE = 10.0
_KEEP_AGAIN = 5.0
"""Seconds between attempts to start a keeper anew."""


SMOKE = ".smoke"
"""Below the endpoints' folder: what smoke predictions need while they last."""


class Held:
    """An endpoint in the service's memory: its record (`endpoint.json`), its newest spec, and what was last seen of it."""

    def __init__(self, folder: Path, record: dict[str, Any]) -> None:
        self.place = Place(folder)
        self.record = record
        self.spec = _read_spec(self.place, record["revision"])
        self.seen = EndpointObservation("absent", kept=False)
        self.served: EndpointSpec | None = None
        self.task: asyncio.Task[Any] | None = None
        self.news = int(time.time() * 1000)
        self.kept_at = 0.0
        self._changed = asyncio.Event()

    @property
    def name(self) -> str:
        return str(self.record["name"])

    @property
    def busy(self) -> bool:
        """Whether its state is about to change by itself."""
        return (
            self.record["preparing"] is not None
            or (self.seen.handled != self.record["applied"] and self.seen.state != "failed")
            or self.seen.state == "restarting"
        )

    def save(self) -> None:
        self.record["updated"] = time.time()
        write_whole(self.place.record, json.dumps(self.record, indent=1).encode(), 0o600)
        self.tell()

    def tell(self) -> None:
        self.news += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, after: int, seconds: float) -> None:
        """Return when `news` is beyond `after`, or after so many seconds."""
        deadline = time.monotonic() + seconds
        while self.news <= after and (left := deadline - time.monotonic()) > 0:
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return

    def look(self, deployer: LocalDeployer) -> EndpointObservation:
        """What is seen now. Blocking."""
        return deployer.observe(self.place.folder)


class Endpoints:
    """All endpoints by name. What is asked is recorded before it is answered, so that a service that comes after this one
    goes on with it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.folder = service.layout.folder / "endpoints"
        self.deployer = LocalDeployer()
        self._held: dict[str, Held] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By name: what is asked of one endpoint is done one after the other."""
        self._watch: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    async def open(self) -> None:
        """Take up what an earlier service left: deployments that were being prepared, and keepers that are gone."""
        await asyncio.to_thread(shutil.rmtree, self.folder / SMOKE, ignore_errors=True)
        for path in sorted(self.folder.glob("*/endpoint.json")):
            record = json.loads(await asyncio.to_thread(path.read_text, "utf-8"))
            if record["deleted"]:
                self._spawn(self._remove(path.parent))
                continue
            held = self._held[record["name"]] = Held(path.parent, record)
            held.seen = await asyncio.to_thread(held.look, self.deployer)
            if record["preparing"] is not None:
                self.prepare(held)
        if self._held:
            self._watch_over()

    async def close(self) -> None:
        """Stop looking; endpoints go on without us."""
        tasks = [held.task for held in self._held.values() if held.task is not None]
        tasks += [self._watch] if self._watch is not None else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def get(self, name: str) -> Held:
        if name not in self._held:
            raise WebserviceNotFound.of(name, self._held)
        return self._held[name]

    def all(self) -> list[Held]:
        return sorted(self._held.values(), key=lambda held: -held.record["created"])

    def state(self, held: Held) -> wire.Endpoint:
        return endpoint_state(self.service, held)

    async def deploy(self, request: EndpointRequest) -> Held:
        """Record a new endpoint, or a new revision of one that is there, and begin to bring it up.

        Raises `WebserviceException` (name, models, a name that is taken), `ModelNotFound`, `EnvironmentNotFound`, and
        what taking a source folder raises.
        """
        async with self._turns[request.name]:
            return await self._deploy(request)

    async def _deploy(self, request: EndpointRequest) -> Held:
        old = self._held.get(request.name)
        if old is not None and not request.overwrite and request.deployment.kind != "Local":
            raise WebserviceException(
                f"A service {request.name!r} exists already.",
                mend="Use `overwrite=True` to replace what it serves, another name, or delete it first.",
                name=request.name,
            )
        folder = self.folder / request.name
        revision = old.record["revision"] + 1 if old is not None else 1
        spec = await deploying.make_spec(self.service, request, revision, old.spec if old is not None else None)
        await asyncio.to_thread(_check_port, spec, self._held)
        await deploying.lay_out(self.service, Place(folder), spec, request.inference)
        now = time.time()
        record: dict[str, Any] = {
            "format": 1, "name": request.name, "id": f"{self.service.config.id[:8]}-{request.name}-{secrets.token_hex(3)}",
            "created": now, "applied": None, "deleted": False, "problem": None,
        }  # fmt: skip
        if old is not None:
            record = old.record
        record |= {
            "kind": request.deployment.kind,
            "revision": revision,
            "preparing": {"revision": revision, "step": "queued", "since": now},
            "kernel_python": request.kernel_python,
            "description": request.deployment.description,
            "tags": request.deployment.tags,
            "properties": request.deployment.properties,
        }
        await asyncio.to_thread(make_keys, Place(folder), request.deployment.auth_enabled, fresh=old is None)
        held = old or Held(folder, record)
        held.record, held.spec = record, spec
        await asyncio.to_thread(held.save)
        self._held[request.name] = held
        self.prepare(held)
        self._watch_over()
        return held

    async def change(self, name: str, changes: EndpointChanges) -> Held:
        """Change what is said; a new revision where it changes the process."""
        async with self._turns[name]:
            return await self._change(self.get(name), changes)

    async def _change(self, held: Held, changes: EndpointChanges) -> Held:
        if changes.auth_enabled is not None:
            await asyncio.to_thread(make_keys, held.place, changes.auth_enabled, fresh=False)
            await asyncio.to_thread(self.deployer.tell_keys, held.place.folder)
        for field in ("tags", "properties", "description"):
            if (value := getattr(changes, field)) is not None:
                held.record[field] = value
        process = (changes.models, changes.inference, changes.cpu, changes.memory_gb, changes.port)
        if any(each is not None for each in process):
            await self._revise(held, changes)
        await asyncio.to_thread(held.save)
        return held

    async def reload(self, name: str) -> Held:
        """The same again, with the source folder's present files and a new process."""
        async with self._turns[name]:
            held = self.get(name)
            await self._revise(held, EndpointChanges())
            await asyncio.to_thread(held.save)
            return held

    async def _revise(self, held: Held, changes: EndpointChanges) -> None:
        revision = held.record["revision"] + 1
        spec, inference = await deploying.revise(self.service, held.place, held.spec, revision, changes)
        await deploying.lay_out(self.service, held.place, spec, inference)
        held.record |= {
            "revision": revision,
            "preparing": {"revision": revision, "step": "queued", "since": time.time()},
        }
        if changes.kernel_python is not None:
            held.record["kernel_python"] = changes.kernel_python
        held.spec = spec
        self.prepare(held)
        self._watch_over()

    async def delete(self, name: str) -> None:
        """End it and delete its folder; answers when its processes are gone."""
        async with self._turns[name]:
            held = self.get(name)
            if held.task is not None:
                held.task.cancel()
                await asyncio.wait([held.task])  # or a keeper that is being started would outlive its folder
            held.record["deleted"] = True
            await asyncio.to_thread(held.save)
            del self._held[name]
            try:
                await self.service.working(self._remove(held.place.folder))
            except MLTrainError:
                # Something of it may still run: it stays listed, so that it can be deleted again.
                held.record["deleted"] = False
                self._held[name] = held
                await asyncio.to_thread(held.save)
                self._watch_over()
                raise
            held.tell()

    async def _remove(self, folder: Path) -> None:
        remaining = await in_thread(lambda _: self.deployer.stop(folder, _GRACE))
        if remaining:
            raise ConflictError(f"Processes of the endpoint do not end: {', '.join(remaining)}.")
        await asyncio.to_thread(deploying_there.clear, Place(folder))
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    # -- what goes on ------------------------------------------------------------------------------------------------

    def prepare(self, held: Held) -> None:
        """Begin to prepare the newest revision; one that was being prepared is given up."""
        before = held.task
        if before is not None:
            before.cancel()
        held.record["problem"] = None
        held.task = self.service.working(self._prepare(held, held.spec, before))

    async def _prepare(self, held: Held, spec: EndpointSpec, before: asyncio.Task[Any] | None) -> None:
        def step(text: str) -> None:
            if held.record["preparing"] is not None and held.record["preparing"]["step"] != text:
                held.record["preparing"]["step"] = text
                held.tell()

        if before is not None:
            await asyncio.wait([before])
        try:
            plan = await deploying.prepare(self.service, held.place, spec, held.record, self._taken(held), step)
            step("starting")
            await _to_its_end(lambda: self.deployer.apply(plan))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told: not an endpoint that deploys for ever
            held.record["problem"] = {**_told(error).to_wire(), "revision": spec.revision}
        else:
            held.record["applied"] = spec.revision
        held.record["preparing"] = None
        held.seen = await asyncio.to_thread(held.look, self.deployer)
        await asyncio.to_thread(held.save)
        self._wake.set()

    def _taken(self, held: Held) -> list[list[int]]:
        """The CPUs that other endpoints are bound to."""
        return [other.record.get("cpus") or [] for other in self._held.values() if other is not held]

    def _watch_over(self) -> None:
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look_on())
        self._wake.set()

    async def _look_on(self) -> None:
        while self._held:
            for held in list(self._held.values()):
                try:
                    await self._look_at(held)
                except OSError as error:  # a disk that is full or gone: the others are looked at all the same
                    traceback.print_exception(error)
            busy = any(held.busy for held in self._held.values())
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), _SOON if busy else _LATER)
            except TimeoutError:
                continue

    async def _look_at(self, held: Held) -> None:
        seen = await asyncio.to_thread(held.look, self.deployer)
        before, held.seen = held.seen, seen
        if _differs(seen, before):
            held.tell()
            await asyncio.to_thread(self.deployer.tidy, held.place.folder)
        await self._keep(held)

    async def _keep(self, held: Held) -> None:
        if held.seen.kept or held.record["applied"] is None or held.record["deleted"]:
            return
        if time.monotonic() < held.kept_at + _KEEP_AGAIN or held.seen.state in ("failed", "stopped"):
            return
        held.kept_at = time.monotonic()
        try:
            await asyncio.to_thread(self.deployer.keep, held.place.folder)
        except MLTrainError as error:
            held.record["problem"] = error.to_wire()
            held.tell()

    def _spawn(self, work: Any) -> None:
        self.service.working(work)


async def _to_its_end(work: Callable[[], None]) -> None:
    """Run blocking work in a thread; who cancels it waits for it all the same."""
    task = asyncio.ensure_future(in_thread(lambda _: work()))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _told(error: Exception) -> MLTrainError:
    if isinstance(error, MLTrainError):
        return error
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return DiskFull(
                "No room to bring the endpoint up: the disk is full.", mend="Free some space, then reload it."
            )
        return WebserviceException(f"The endpoint cannot be brought up: {error}.", mend="Mend that, then reload it.")
    traceback.print_exception(error)
    return MLTrainError(
        f"A bug in jupyter_mltrain's service: {type(error).__name__}: {error}", mend="Its log has the traceback."
    )


def _differs(a: EndpointObservation, b: EndpointObservation) -> bool:
    return (a.state, a.serving, a.handled, a.port, a.pid, a.restarts, a.failure) != (
        b.state, b.serving, b.handled, b.port, b.pid, b.restarts, b.failure,
    )  # fmt: skip


def _read_spec(place: Place, revision: int) -> EndpointSpec:
    return EndpointSpec.from_json(json.loads((place.revision(revision) / "spec.json").read_text("utf-8")))


def _check_port(spec: EndpointSpec, others: dict[str, Held]) -> None:
    """Raise `WebserviceException` where the port that is asked for is somebody else's."""
    if spec.port is None:
        return
    for held in others.values():
        if held.name != spec.name and spec.port in (held.spec.port, held.seen.port):
            raise WebserviceException(
                f"The port {spec.port} is that of the endpoint {held.name!r}.", mend="Use another port, or none."
            )
    own = others.get(spec.name)
    if own is not None and own.seen.port == spec.port:
        return
    deploying.check_port(spec.port)
