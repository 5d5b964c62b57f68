"""Several engines as one target: each run is on one of them, or, where it has several nodes, on some (`gang`). Its plan and
its handle say which."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import socket
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from jupyter_mltrain.computes.docker import gang
from jupyter_mltrain.computes.docker.address import Address, is_loopback
from jupyter_mltrain.computes.docker.engine import DockerCompute
from jupyter_mltrain.computes.docker.rewinding import Rewinds
from jupyter_mltrain.computes.ranks import LOOPBACK
from jupyter_mltrain.core.compute import (
    Capabilities,
    Capacity,
    Frame,
    Handle,
    Health,
    LaunchInputs,
    LaunchPlan,
    Leftover,
    Observation,
    StopEvidence,
)
from jupyter_mltrain.core.engines import together
from jupyter_mltrain.core.ranks import RankPlan, interface_of
from jupyter_mltrain.core.spec import RunSpec
from jupyter_mltrain.core.target import DOCKER
from jupyter_mltrain.errors import EngineError, EngineUnreachable, UsageError

T = TypeVar("T")

_OF_A_HOST = frozenset(
    {"name", "url", "context", "tls_ca", "tls_cert", "tls_key", "max_nodes", "base_image", "user", "address"}
)
_TLS = ("tls_ca", "tls_cert", "tls_key")


def compute(*, hosts: Sequence[str | Mapping[str, Any]] = (), **settings: Any) -> DockerCompute | DockerHosts:
    """The engine with those settings (`DockerCompute`); with `hosts` one that has them all.

    `hosts`: further engines, each its url or its settings: `url` or `context`, `tls_*` (default for `tcp://`: the target's),
    `max_nodes` (how many containers at once there), `base_image`, `user`, `name` (default: the host's), `address` (what the
    other hosts reach it by, for runs over several; default: the host of its url, for this machine's engine the address that it
    has towards the others). `max_nodes` of the target: on all of them together; default: the sum.
    """
    if not hosts:
        return DockerCompute(**settings)
    most: int | None = settings.pop("max_nodes", None)
    own = {name: settings.pop(name) for name in ("url", "context") if name in settings}
    tls = {name: settings.pop(name) for name in _TLS if name in settings}
    asked = [own] if any(own.values()) else []
    asked += [{"url": one} if isinstance(one, str) else dict(one) for one in hosts]
    made: list[tuple[str, DockerCompute]] = []
    addresses: list[str] = []
    for one in asked:
        unknown = sorted(one.keys() - _OF_A_HOST)
        if unknown:
            raise UsageError(
                f"A host of a target has no setting {unknown[0]!r}.", mend=f"It has {', '.join(sorted(_OF_A_HOST))}."
            )
        name, secure = str(one.pop("name", "")), str(one.get("url", "")).startswith("tcp:")
        addresses.append(str(one.pop("address", "")))
        engine = DockerCompute(**{**settings, **(tls if secure else {}), **one})
        made.append((name, engine))
    engines = _named(made)
    return DockerHosts(engines, max_nodes=most, addresses=dict(zip(engines, addresses, strict=True)))


def _named(engines: Sequence[tuple[str, DockerCompute]]) -> dict[str, DockerCompute]:
    """By the names that were given; else by their hosts, or their addresses where those are not enough."""
    addresses = [engine.connection.address for _, engine in engines]
    for url, count in Counter(address.url for address in addresses).items():
        if count > 1:
            raise UsageError(f"The host {url} is named twice.")
    short = Counter(_host(address) for address in addresses)
    found: dict[str, DockerCompute] = {}
    for name, engine in engines:
        address = engine.connection.address
        name = name or (_host(address) if short[_host(address)] == 1 else address.url)  # noqa: PLW2901
        if name in found:
            raise UsageError(f"Two hosts are called {name!r}.", mend="Give each a `name` of its own.")
        found[name] = engine
    return found


def _host(address: Address) -> str:
    return address.host or "this machine"


class DockerHosts(Rewinds):
    """`engines`: by the names that users know the hosts by. `max_nodes`: containers at once on all of them together.
    `addresses`: what the hosts reach each other by, where their engines' addresses do not say so."""

    name = DOCKER

    def __init__(
        self,
        engines: Mapping[str, DockerCompute],
        *,
        max_nodes: int | None = None,
        addresses: Mapping[str, str] | None = None,
    ) -> None:
        self.capabilities = Capabilities(gpu=True, multi_node=True, containers=True)
        self._engines = dict(engines)
        self._max_nodes = max_nodes
        self._addresses = dict(addresses or {})
        self._told: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)
        """By run: of which ranks each host was told that they have ended elsewhere."""
        self._refused: dict[str, BaseException] = {}
        """What stands against the launch of a run of which something may be left on a host that is away."""

    # -- the hosts -------------------------------------------------------------------------------------------------

    def on(self, host: str) -> DockerCompute:
        if host not in self._engines:
            raise EngineError(
                f"The target has no host {host!r} (any more).", mend=f"It has {', '.join(self._engines)}."
            )
        return self._engines[host]

    async def capacities(self) -> dict[str, Capacity]:
        found = dict(zip(self._engines, await self._all(lambda engine: engine.capacity()), strict=True))
        if self._max_nodes is None:
            return found
        # So many that all together may come to what was asked for, also where a host has few CPUs.
        even = math.ceil(self._max_nodes / len(found))
        return {
            name: one if self._engines[name].max_nodes else dataclasses.replace(one, slots=max(one.slots, even))
            for name, one in found.items()
        }

    async def capacity(self) -> Capacity:
        each = list((await self.capacities()).values())
        slots = sum(one.slots for one in each)
        return Capacity(
            min(slots, self._max_nodes or slots),
            sum(one.cpus for one in each),
            round(sum(one.memory_gb for one in each), 3),
            tuple(gpu for one in each for gpu in one.gpus),
        )

    async def checks(self, within: float | None = None) -> dict[str, Health]:
        async def check(engine: DockerCompute) -> Health:
            try:
                async with asyncio.timeout(within):
                    return await engine.check()
            except TimeoutError:
                where = engine.connection.address.words
                return Health(ok=False, problem=f"No answer from {where} within {within:g} s.")

        return dict(zip(self._engines, await self._all(check), strict=True))

    async def check(self) -> Health:
        return together(await self.checks())

    # -- a run -----------------------------------------------------------------------------------------------------

    def plan(self, spec: RunSpec, inputs: LaunchInputs) -> LaunchPlan:
        """Without a host in the grant (nothing is granted yet), as it would be on the first."""
        host, hosts = inputs.grant.host, inputs.grant.hosts
        if not hosts:
            engine = self.on(host) if host else next(iter(self._engines.values()))
            return dataclasses.replace(engine.plan(spec, inputs), host=host)
        addresses = self.addresses(hosts)
        each = {
            name: self.on(name).plan(
                spec,
                dataclasses.replace(inputs, environment=inputs.environments.get(name, inputs.environment)),
                addresses,
            )
            for name in dict.fromkeys(hosts)
        }
        first, *more = (_requests(each[name])[node] for node, name in enumerate(hosts))
        plan = each[hosts[0]]
        return dataclasses.replace(
            plan,
            # Each as its own host has it: where images differ, so do the places of interpreters.
            ranks=tuple(
                _by_its_interface(each[hosts[one.node]].ranks[index], addresses[one.node])
                for index, one in enumerate(plan.ranks)
            ),
            container=first,
            more_containers=tuple(more),
            host=hosts[0],
            hosts=tuple(hosts),
        )

    def addresses(self, hosts: Sequence[str]) -> list[str]:
        """What each of those hosts is reached by from the others. Asks nobody. Raises `EngineError` where that cannot be."""
        own = {name: self._addresses.get(name, "") or _reached(self.on(name)) for name in dict.fromkeys(hosts)}
        for name, address in own.items():
            if ":" in address:
                # TensorFlow's and Horovod's lists of processes are of `host:port`.
                raise EngineError(
                    f"{name} is reached by {address}, and ranks of several hosts find each other by IPv4 alone.",
                    mend="Attach the host with its name or its IPv4 address as `address`.",
                )
        elsewhere = next((address for address in own.values() if address), "")
        return [own[name] or _towards(elsewhere) for name in hosts]

    def foretold(self, plan: LaunchPlan) -> Handle:
        if not plan.hosts:
            return {**self.on(plan.host).foretold(plan), "host": plan.host}
        parts = {
            host: self.on(host).foretold(_part(plan, nodes)) for host, nodes in gang.nodes_by_host(plan.hosts).items()
        }
        return {**parts[plan.host], "host": plan.host, "hosts": list(plan.hosts), "parts": parts}

    async def launch(self, plan: LaunchPlan, secrets: Mapping[str, str]) -> Handle:
        if not plan.hosts:
            return {**await self.on(plan.host).launch(plan, secrets), "host": plan.host}
        handle = self.foretold(plan)
        parts, refused = self._parts(handle), self._refused.pop(plan.run_id, None)
        try:
            if refused is not None:
                # Begun again, it would run and be killed on the other hosts for as long as one is away.
                await gang.refuse(parts, refused)
            await gang.launch(parts, lambda part: _part(plan, part.nodes), secrets)
        except gang.Refused as error:
            self._refused[plan.run_id] = error.why
            raise
        return handle

    async def observe(self, handle: Handle) -> Observation:
        if "parts" in handle:
            return await gang.observe(self._parts(handle), self._told[handle["run_id"]])
        return await self.on(handle["host"]).observe(handle)

    async def stream(self, handle: Handle, offsets: Mapping[str, int]) -> AsyncIterator[Frame]:
        if "parts" in handle:
            frames = gang.stream(self._parts(handle), offsets)
        else:
            frames = self.on(handle["host"]).stream(handle, offsets)
        async for frame in frames:
            yield frame

    async def collect(self, handle: Handle, into: Path) -> None:
        if "parts" in handle:
            await gang.collect(self._parts(handle), into)
        else:
            await self.on(handle["host"]).collect(handle, into)

    async def stop(self, handle: Handle, grace: float) -> StopEvidence:
        if "parts" in handle:
            return await gang.stop(self._parts(handle), grace)
        return await self.on(handle["host"]).stop(handle, grace)

    async def remove(self, handle: Handle) -> None:
        self._told.pop(handle["run_id"], None)
        if "parts" in handle:
            await gang.remove(self._parts(handle))
        else:
            await self.on(handle["host"]).remove(handle)

    def _parts(self, handle: Handle) -> list[gang.Part]:
        """Of a run over several hosts, the first node's first."""
        return [
            gang.Part(host, self.on(host), nodes, handle["parts"][host])
            for host, nodes in gang.nodes_by_host(handle["hosts"]).items()
        ]

    # -- what is left ----------------------------------------------------------------------------------------------

    def belongs_to(self, workspace: str) -> None:
        for engine in self._engines.values():
            engine.belongs_to(workspace)

    async def leftovers(self, ended: Collection[str]) -> list[Leftover]:
        """Of the hosts that answer; a host that does not is asked another time. Raises where none does."""

        async def look(engine: DockerCompute) -> list[Leftover] | EngineUnreachable:
            try:
                return await engine.leftovers(ended)
            except EngineUnreachable as error:
                return error

        found = dict(zip(self._engines, await self._all(look), strict=True))
        errors = [one for one in found.values() if isinstance(one, EngineUnreachable)]
        if len(errors) == len(found):
            raise errors[0]
        return [
            dataclasses.replace(one, host=host)
            for host, there in found.items()
            if not isinstance(there, EngineUnreachable)
            for one in there
        ]

    async def discard(self, leftovers: Sequence[Leftover]) -> list[Leftover]:
        gone: list[Leftover] = []
        for host, engine in self._engines.items():
            there = [one for one in leftovers if one.host == host]
            if there:
                gone += await engine.discard(there)
        return gone

    # -- the parts -------------------------------------------------------------------------------------------------

    async def _all(self, ask: Callable[[DockerCompute], Awaitable[T]]) -> list[T]:
        """At once: a host that does not answer shall not hold up the others."""
        return await asyncio.gather(*map(ask, self._engines.values()))


def _requests(plan: LaunchPlan) -> Sequence[Mapping[str, Any]]:
    assert plan.container is not None, "made by an engine with containers"
    return (plan.container, *plan.more_containers)


def _by_its_interface(one: RankPlan, address: str) -> RankPlan:
    """Horovod and NCCL would take any of a host's networks, or what its name leads to there, which may be the loopback."""
    if "HOROVOD_RANK" not in one.env:
        return one
    found = {"HOROVOD_GLOO_IFACE": interface_of(address), "NCCL_SOCKET_IFNAME": f"={interface_of(address)}"}
    return dataclasses.replace(one, env={**found, **one.env})


def _part(plan: LaunchPlan, nodes: Sequence[int]) -> LaunchPlan:
    """What one host is to start: its image is that of the nodes that are there."""
    return dataclasses.replace(plan, here=tuple(nodes), container=_requests(plan)[nodes[0]])


def _reached(engine: DockerCompute) -> str:
    """By its engine's address; empty where that is this machine."""
    host = engine.connection.address.host
    return "" if is_loopback(host) else host


def _towards(address: str) -> str:
    """This machine's own address, as a host at `address` sees it. A datagram's socket that is connected sends nothing."""
    if not address:
        return LOOPBACK
    try:
        family, kind, _, _, place = socket.getaddrinfo(address, 9, socket.AF_INET, socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as one:
            one.connect(place)
            return str(one.getsockname()[0])
    except OSError as error:
        raise EngineError(
            f"Which address this machine has towards {address} is not known: {error.strerror}.",
            mend="Attach this machine's engine with its `address`.",
        ) from error
