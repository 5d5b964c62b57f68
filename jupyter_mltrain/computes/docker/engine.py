"""The engine `docker`: one container per node of a run, on whichever engine its settings name."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from jupyter_mltrain.computes.docker import (
    collecting,
    data,
    following,
    gpus,
    health,
    housekeeping,
    seeing,
    starting,
    telling,
)
from jupyter_mltrain.computes.docker import plan as plans
from jupyter_mltrain.computes.docker.connection import Connection
from jupyter_mltrain.computes.docker.dialling import Client
from jupyter_mltrain.computes.docker.environment import DockerEnvironments
from jupyter_mltrain.computes.docker.nodes import interpreter, of_plan
from jupyter_mltrain.computes.docker.rewinding import Rewinds
from jupyter_mltrain.computes.docker.serving import ServesEndpoints
from jupyter_mltrain.computes.docker.sharing import Sharing
from jupyter_mltrain.computes.docker.stopping import stop
from jupyter_mltrain.computes.docker.talking import Pump, pumped
from jupyter_mltrain.computes.reports import Heartbeats
from jupyter_mltrain.core.compute import (
    Capabilities,
    Capacity,
    EnvironmentOrder,
    Exit,
    ForeseenEnvironment,
    Frame,
    Handle,
    Health,
    LaunchInputs,
    LaunchPlan,
    Leftover,
    Mount,
    Observation,
    PreparedEnvironment,
    ReadyEnvironment,
    StopEvidence,
)
from jupyter_mltrain.core.environment import DEFAULT_CPU_IMAGE
from jupyter_mltrain.core.spec import RunSpec
from jupyter_mltrain.core.target import DOCKER
from jupyter_mltrain.errors import EngineUnreachable

T = TypeVar("T")

USER = "1000:1000"
_CLEAN_UP_SECONDS = (1, 2, 5, 10, 30, 60, 120, 300)
"""Pauses between the tries to take back what was begun on an engine that does not answer."""

_LAST_WORDS_SECONDS = 2.0
"""For so long the streams of a container that runs no more may come the way they came."""


class DockerCompute(ServesEndpoints, Rewinds):
    """Containers of one engine.

    `url`: where it is (`unix://`, `ssh://user@host[:port]`, `tcp://host:port` with TLS), or `context`, a Docker context by
    name; neither: what the docker command would talk to. `base_image`: what containers are made from where an environment
    names none. `user`: whom runs are, `uid[:gid]` or a name in the image. `max_nodes`: how many containers at once
    (default: half of the host's CPUs, at least one). `tls_ca`, `tls_cert`, `tls_key`: paths of PEM files.
    `image="build"`: every environment becomes an image. `registry`: `host[:port][/prefix]`, where images that are built
    here are shared with other hosts; `docker login` says as whom.
    """

    name = DOCKER

    def __init__(
        self,
        *,
        url: str = "",
        context: str = "",
        tls_ca: str = "",
        tls_cert: str = "",
        tls_key: str = "",
        base_image: str = "",
        user: str = "",
        max_nodes: int | None = None,
        image: str = "",
        registry: str = "",
    ) -> None:
        self.connection = Connection(url=url, context=context, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key)
        self.capabilities = Capabilities(gpu=True, multi_node=True, containers=True)
        self._base_image = base_image or DEFAULT_CPU_IMAGE
        self._user = user or USER
        self.max_nodes = max_nodes
        self._environments = DockerEnvironments(self.connection, base_image=base_image, image=image, registry=registry)
        self._sharing = Sharing(self.connection, self._user)
        self._heartbeats = Heartbeats()
        self._gpus: tuple[str, ...] | None = None
        self._launching: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._asked: set[str] = set()
        """Runs that were asked to end here: also where the disk was too full to say so in their folder."""
        self._followed: defaultdict[str, set[Pump[Frame]]] = defaultdict(set)
        """By run: who reads its streams."""
        self._cleaning: set[asyncio.Task[None]] = set()

    # -- the engine ------------------------------------------------------------------------------------------------

    async def check(self) -> Health:
        return await health.check(self.connection)

    async def capacity(self) -> Capacity:
        info: dict[str, Any] = await self.connection.call(lambda client: client.info())
        if self._gpus is None:
            self._gpus = await self.connection.call(lambda client: gpus.names(client, self._base_image))
        cpus = int(info["NCPU"])
        return Capacity(self.max_nodes or max(1, cpus // 2), cpus, round(info["MemTotal"] / 1e9, 3), self._gpus)

    # -- what runs need --------------------------------------------------------------------------------------------

    async def platform(self) -> str:
        return await self._environments.platform()

    async def prepare(
        self, order: EnvironmentOrder, log: Callable[[str], None], progress: Callable[[str], None]
    ) -> ReadyEnvironment:
        return await self._environments.prepare(order, log, progress)

    async def foresee(self, order: EnvironmentOrder) -> ForeseenEnvironment:
        return await self._environments.foresee(order)

    async def bring(
        self, mounts: Sequence[Mount], environment: PreparedEnvironment, progress: Callable[[str, str], None]
    ) -> None:
        image = environment.image or self._base_image
        await self._sharing.look(image, mounts)
        bound = self._sharing.bound(mounts)
        wanted = [mount for mount in mounts if mount.key not in bound]
        await data.bring(self.connection, image, wanted, progress, environment.python)

    # -- a run -----------------------------------------------------------------------------------------------------

    def plan(self, spec: RunSpec, inputs: LaunchInputs, addresses: Sequence[str] = ()) -> LaunchPlan:
        """`addresses`: of the host of each node, where they are not all on this one. What is started here is then said by
        `here` of the plan."""
        image = inputs.environment.image or self._base_image
        bound = self._sharing.bound(inputs.mounts)
        return plans.plan(
            spec, inputs, engine=self.name, image=image, user=self._user, bound=bound, addresses=addresses
        )

    def foretold(self, plan: LaunchPlan) -> Handle:
        assert plan.container is not None, "made by this engine"
        return {
            "engine": self.name,
            "run_id": plan.run_id,
            "root": plan.root,
            **of_plan(plan),
            "image": plan.container["Image"],
            "python": interpreter(plan),
        }

    async def launch(self, plan: LaunchPlan, secrets: Mapping[str, str]) -> Handle:
        assert plan.container is not None, "made by this engine"
        handle = self.foretold(plan)
        async with self._launching[plan.run_id]:
            if plan.mounts:
                mounted = plan.container["HostConfig"]["Mounts"]
                await data.bring(self.connection, handle["image"], data.to_send(plan.mounts, mounted))
            launching = asyncio.ensure_future(self._launch(plan, handle, secrets))
            try:
                await asyncio.shield(launching)
            except asyncio.CancelledError:
                # It cannot be stopped in the middle; what comes of it is nobody's.
                await asyncio.wait({launching})
                await self._undo(handle)
                raise
            finally:
                self._launching.pop(plan.run_id, None)
        return handle

    async def _launch(self, plan: LaunchPlan, handle: Handle, secrets: Mapping[str, str]) -> None:
        made = await self.connection.call(lambda client: starting.take(client, plan, handle))
        try:
            if made is None:
                await self.connection.call(lambda client: starting.wait(client, plan, handle))
                return
            await self.connection.call(lambda client: starting.fill(client, plan, made[0], list(secrets)))
            await self.connection.call(lambda client: starting.start(client, plan, handle, made, secrets))
        except EngineUnreachable:
            raise  # nobody knows how far it came: who launches the run again goes on from there
        except BaseException:
            await self._undo(handle)
            raise

    async def _undo(self, handle: Handle) -> None:
        """Take back a launch; where the engine does not answer, as soon as it does."""
        undo = functools.partial(starting.undo, handle=handle)

        async def again() -> None:
            for pause in _CLEAN_UP_SECONDS:
                await asyncio.sleep(pause)
                with contextlib.suppress(EngineUnreachable):
                    await self.connection.call(undo)
                    return

        try:
            await self.connection.call(undo)
        except EngineUnreachable:
            task = asyncio.create_task(again())
            self._cleaning.add(task)
            task.add_done_callback(self._cleaning.discard)

    async def observe(self, handle: Handle) -> Observation:
        seen = await self._look(handle)
        raw = seeing.observation(seen, asked=handle["run_id"] in self._asked)
        if not seen.running and self._followed[handle["run_id"]]:
            asyncio.get_running_loop().call_later(_LAST_WORDS_SECONDS, self._break_off, handle["run_id"])
        return self._heartbeats.observation(handle["run_id"], raw)

    async def stream(self, handle: Handle, offsets: Mapping[str, int]) -> AsyncIterator[Frame]:
        def follow(pump: Pump[Frame]) -> None:
            self._followed[handle["run_id"]].add(pump)
            try:
                self.connection.do(lambda client: following.follow(client, handle, offsets, pump))
            finally:
                self._followed[handle["run_id"]].discard(pump)

        async with contextlib.aclosing(pumped(self.connection, follow)) as frames:
            async for frame in frames:
                yield frame

    def _break_off(self, run_id: str) -> None:
        """An engine may keep the connection to a container that is gone: what it said is read from its folder."""
        for pump in list(self._followed[run_id]):
            pump.break_off()

    async def collect(self, handle: Handle, into: Path) -> None:
        await self.connection.call(lambda client: collecting.collect(client, handle, into))

    async def stop(self, handle: Handle, grace: float) -> StopEvidence:
        self._asked.add(handle["run_id"])
        return await stop(self.connection, handle, grace)

    async def tell(self, handle: Handle, exits: Sequence[Exit]) -> None:
        """Let the ranks that are here know how others of the run, on other hosts, have ended."""
        await self.connection.call(lambda client: telling.tell(client, handle, exits))

    async def remove(self, handle: Handle) -> None:
        self._heartbeats.forget(handle["run_id"])
        self._asked.discard(handle["run_id"])
        self._followed.pop(handle["run_id"], None)
        await self.connection.call(lambda client: starting.undo(client, handle))

    # -- what is left ----------------------------------------------------------------------------------------------

    def belongs_to(self, workspace: str) -> None:
        self.connection.workspace = workspace

    async def leftovers(self, ended: Collection[str]) -> list[Leftover]:
        return await self.connection.call(lambda client: housekeeping.leftovers(client, ended))

    async def discard(self, leftovers: Sequence[Leftover]) -> list[Leftover]:
        return await self.connection.call(lambda client: housekeeping.discard(client, leftovers))

    async def _look(self, handle: Handle) -> seeing.Seen:
        def ask(client: Client) -> seeing.Seen:
            return seeing.look(client, handle)

        return await self.connection.call(ask)
