"""The compute targets of a workspace: their definitions, one readable file each, and the pools they are.

`local` and every `AmlCompute` are on this machine and share it. What is attached has a machine of its own.
"""

from __future__ import annotations

import asyncio
import dataclasses
import difflib
import errno
import json
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jupyter_mltrain import computes
from jupyter_mltrain.computes import sizes
from jupyter_mltrain.computes.notebook import NotebookCompute
from jupyter_mltrain.computes.within import WithinCompute
from jupyter_mltrain.core.compute import Capacity, Compute, Housekeeping, Leftover
from jupyter_mltrain.core.engines import ManyHosts
from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.core.spec import Substitution
from jupyter_mltrain.core.target import (
    AML,
    DEDICATED,
    DOCKER,
    LOCAL,
    LOW_PRIORITY,
    Size,
    TargetDefinition,
    check_scale,
    check_target_name,
)
from jupyter_mltrain.errors import (
    ComputeTargetException,
    MLTrainError,
    NotWritable,
    SubstitutionRefused,
    TargetInUse,
    TargetNotFound,
)
from jupyter_mltrain.service.hosts import HostsPool
from jupyter_mltrain.service.machine import Machine
from jupyter_mltrain.service.scheduler import Pool, Scale


@dataclasses.dataclass(eq=False)
class Target:
    """A target that is there. `definition` is None for `local` and for one whose definition is gone."""

    name: str
    compute: Compute
    pool: Pool | HostsPool
    definition: TargetDefinition | None = None
    substitutions: tuple[Substitution, ...] = ()


class Targets:
    """Made closed; `open` reads the definitions. `moved` is told of runs whose place in a queue changed, `preempt` of
    those that are to give up theirs, and for whom (`service.machine`)."""

    def __init__(
        self,
        layout: Layout,
        config: dict[str, Any],
        moved: Callable[[str], None],
        preempt: Callable[[str, str], None] = lambda _run, _by: None,
    ) -> None:
        self.problems: list[str] = []
        self._folder = layout.computes
        self._strict = bool(config.get("strict", False))
        self._settings: dict[str, dict[str, Any]] = config.get("targets", {})
        self._workspace = str(config.get("id", ""))
        self._attaching = asyncio.Lock()
        self._moved = moved
        self._preempt = preempt
        self._there: dict[str, Target] = {}
        self._gone: dict[str, Target] = {}
        self._aside: dict[str, Target] = {}

    async def open(self) -> None:
        """Take up `local`, and every definition that can be read; of the others `problems` tells."""
        local = computes.load(LOCAL, **self._settings.get(LOCAL, {}))
        here = await local.capacity()
        self._machine = Machine(here, self._preempt)
        always = Scale(here.slots, here.slots)
        self._there[LOCAL] = Target(LOCAL, local, Pool(LOCAL, self._machine, always, moved=self._moved))
        for compute in (NotebookCompute(), WithinCompute()):
            many = await compute.capacity()
            unlimited = Pool(compute.name, Machine(many), Scale(0, many.slots, 0))
            self._aside[compute.name] = Target(compute.name, compute, unlimited)
        for path in sorted(self._folder.glob("*.json")):
            try:
                definition = TargetDefinition.from_json(json.loads(await asyncio.to_thread(path.read_text, "utf-8")))
                if definition.name != path.stem:
                    raise ComputeTargetException(f"it names {definition.name!r}")
                check_target_name(definition.name)
                self._there[definition.name] = self._made(definition)
            except (OSError, ValueError, MLTrainError) as error:
                said = error.message if isinstance(error, MLTrainError) else str(error)
                self.problems.append(f"The compute target in {path} cannot be read: {said}")

    # -- looking up ------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Target]:
        """`local` first, then by name; what runs elsewhere (in notebooks, in scripts) is none."""
        return iter(sorted(self._there.values(), key=lambda target: (target.name != LOCAL, target.name)))

    def __contains__(self, name: object) -> bool:
        return name in self._there or name in self._gone

    def get(self, name: str) -> Target:
        """Raises `TargetNotFound` with the nearest names."""
        if name not in self._there:
            raise TargetNotFound.of(name, self._there)
        return self._there[name]

    def of_run(self, name: str) -> Target:
        """The target of a run that is there: also the notebooks' and scripts', and one that is listed no more."""
        if name in self._aside:
            return self._aside[name]
        return self._gone[name] if name in self._gone and name not in self._there else self.get(name)

    def keep(self, name: str) -> None:
        """Runs live on a target whose definition is gone: they are looked after to their end, and it takes no others."""
        if name not in self._there and name not in self._aside:
            pool = Pool(name, self._machine, Scale(0, 1))
            pool.retire()
            self._gone[name] = Target(name, self._there[LOCAL].compute, pool)

    def substitutions(self, name: str) -> tuple[Substitution, ...]:
        """What a run on the target is given in place of what its size asks for. Raises `SubstitutionRefused` where the
        workspace is strict."""
        target = self.get(name)
        self._check_strict(target.substitutions)
        return target.substitutions

    @property
    def sizes(self) -> dict[str, Size]:
        """The sizes that there are, by name. Raises `UsageError` for a table that cannot be read."""
        return sizes.load(self._folder / sizes.FILE)

    # -- changing --------------------------------------------------------------------------------------------------

    async def create(self, asked: TargetDefinition) -> Target:
        """Make a pool, or change the numbers of nodes of the one that has the name.

        Raises `ComputeTargetException` for a name, size or number that cannot be, and `SubstitutionRefused`.
        """
        check_target_name(asked.name)
        check_scale(asked.min_nodes, asked.max_nodes, asked.idle_seconds)
        if asked.priority not in (DEDICATED, LOW_PRIORITY):
            raise ComputeTargetException(
                f"vm_priority is {asked.priority!r}.", mend=f"Give {DEDICATED!r} or {LOW_PRIORITY!r}."
            )
        asked = replace(asked, size=asked.size.upper())
        there = self._namesake(asked.name)
        if there is not None:
            return await self._again(there, asked)
        self._check_gone(asked.name)
        now = time.time()
        asked = replace(asked, created=now, modified=now)
        self._check_strict(self._share(asked)[1])
        # There before the file is written, so that of two who ask at once the second finds it.
        made = self._there[asked.name] = self._made(asked)
        await self._keep_or_drop(made)
        return made

    async def attach(self, asked: TargetDefinition) -> Target:
        """Take what is there already as a target. Raises `UsageError` for an engine or a setting that does not exist, and
        what the engine raises when it is asked what it has."""
        check_target_name(asked.name)
        if asked.kind == LOCAL:
            raise ComputeTargetException("This machine is the target 'local' already.")
        if self._namesake(asked.name) is not None:
            raise ComputeTargetException(f"There is a compute target {asked.name!r} already.")
        self._check_gone(asked.name)
        compute = self._load(asked)
        many = isinstance(compute, ManyHosts)
        for host, health in (await compute.checks() if many else {"": await compute.check()}).items():
            if not health.ok:
                where = f"{asked.name}, {host}" if host else asked.name
                raise ComputeTargetException(f"{where}: {health.problem}", mend=health.mend)
        capacity = await compute.capacity()
        hosts = await compute.capacities() if many else {}
        now, most = time.time(), max(1, capacity.slots)
        asked = replace(asked, capacity=capacity, hosts=hosts, max_nodes=most, created=now, modified=now)
        made = self._there[asked.name] = self._made(asked, compute)
        await self._keep_or_drop(made)
        return made

    async def first_use(self, name: str) -> None:
        """Attach `docker`, the engine that the docker command would talk to, when it is first asked for by that name.

        Raises as `attach` does: where no engine answers, it says why.
        """
        async with self._attaching:
            if name == DOCKER and self._namesake(name) is None:
                settings = self._settings.get(DOCKER, {})
                await self.attach(TargetDefinition(DOCKER, DOCKER, settings=settings, description=_OWN_ENGINE))

    async def change(self, name: str, **changes: Any) -> Target:
        """Other numbers of nodes, tags, description. Runs that have a node keep it to their end.

        Raises `TargetNotFound`, `ComputeTargetException`, `SubstitutionRefused`; `TargetInUse` where runs wait for more nodes
        at once than it would have.
        """
        target = self.get(name)
        if target.definition is None:
            check_target_name(name)
            raise ComputeTargetException(f"The compute target {name!r} cannot be changed.")
        definition = replace(target.definition, **changes)
        if definition.kind != AML and definition.max_nodes != target.definition.max_nodes:
            raise ComputeTargetException(f"{name} has the nodes that it has: it is attached.")
        check_scale(definition.min_nodes, definition.max_nodes, definition.idle_seconds)
        if definition.same_as(target.definition):
            return target
        if waiting := target.pool.too_large(definition.max_nodes):
            raise TargetInUse(
                f"{len(waiting)} waiting run{'s' if len(waiting) > 1 else ''} asked for more than {definition.max_nodes} nodes"
                f" of {name} at once: {_few(waiting)}.",
                mend="Cancel them, or leave it as many nodes as they asked for.",
            )
        share, substitutions = self._share(definition)
        self._check_strict(substitutions)
        changed = replace(target, definition=replace(definition, modified=time.time()), substitutions=substitutions)
        await self._write(changed)
        target.definition, target.substitutions = changed.definition, substitutions
        target.pool.rescale(_scale(definition), share, low_priority=definition.priority == LOW_PRIORITY)
        return target

    async def delete(self, name: str, live: Sequence[str]) -> None:
        """Take a target away. `live`: the names of the runs that are not over yet on it.

        Raises `TargetInUse` naming the runs that live on it, `TargetNotFound`, `ComputeTargetException` for `local`.
        """
        target = self.get(name)
        if target.definition is None:
            check_target_name(name)
        if live:
            raise TargetInUse(
                f"{name} has {len(live)} live run{'s' if len(live) > 1 else ''}: {_few(live)}.",
                mend="Cancel them, or wait for their end; then delete it.",
            )
        # First, so that nothing gets in line while the file goes.
        target.pool.retire()
        del self._there[name]
        await asyncio.to_thread(self._path(name).unlink, missing_ok=True)

    async def prune(self, name: str, ended: Collection[str], *, dry_run: bool) -> list[Leftover]:
        """What the target's engine keeps for us and nothing needs; without `dry_run` it goes. `ended`: ids of runs that
        are over.

        Nothing where an engine keeps all there is in the workspace. Raises `TargetNotFound`, `EngineUnreachable`.
        """
        compute = self.get(name).compute
        if not isinstance(compute, Housekeeping):
            return []
        found = await compute.leftovers(ended)
        return found if dry_run else await compute.discard(found)

    # -- the parts -------------------------------------------------------------------------------------------------

    def _namesake(self, name: str) -> Target | None:
        """The target of that name, in capitals or not: their files may lie where these are one."""
        return next((target for target in self._there.values() if target.name.casefold() == name.casefold()), None)

    def _check_gone(self, name: str) -> None:
        if name in self._gone and self._gone[name].pool.runs:
            raise TargetInUse(f"Runs of an earlier compute target {name!r} are still live.", mend="Wait for their end.")

    async def _again(self, there: Target, asked: TargetDefinition) -> Target:
        have = there.definition
        if have is None or (have.name, have.kind, have.size) != (asked.name, asked.kind, asked.size):
            what = f"{have.size or have.kind}" if have is not None else there.name
            raise ComputeTargetException(
                f"There is a compute target {there.name!r} already ({what}).",
                mend="Delete it first, or choose another name: a target keeps its size.",
            )
        return await self.change(
            have.name,
            priority=asked.priority,
            min_nodes=asked.min_nodes,
            max_nodes=asked.max_nodes,
            idle_seconds=asked.idle_seconds,
            description=asked.description,
            tags=asked.tags,
        )

    def _load(self, definition: TargetDefinition) -> Compute:
        compute = computes.load(definition.kind, **definition.settings)
        if isinstance(compute, Housekeeping):
            compute.belongs_to(self._workspace)
        return compute

    def _made(self, definition: TargetDefinition, compute: Compute | None = None) -> Target:
        share, substitutions = self._share(definition)
        machine = self._machine
        if definition.kind == AML:
            compute = self._there[LOCAL].compute
        else:
            compute = compute or self._load(definition)
            if isinstance(compute, ManyHosts):
                return Target(definition.name, compute, self._over_hosts(definition, compute), definition)
            machine = Machine(definition.capacity or Capacity(0, 0, 0.0))
        pool = Pool(
            definition.name,
            machine,
            _scale(definition),
            share,
            counts=compute.capabilities.containers,
            bounded=definition.settings.get("max_nodes") is not None,
            low_priority=definition.priority == LOW_PRIORITY,
            prepare=compute.check,
            moved=self._moved,
        )
        return Target(definition.name, compute, pool, definition, substitutions)

    def _over_hosts(self, definition: TargetDefinition, compute: ManyHosts) -> HostsPool:
        return HostsPool(
            definition.name,
            definition.hosts,
            _scale(definition),
            check=lambda host: compute.on(host).check(),
            moved=self._moved,
        )

    def _share(self, definition: TargetDefinition) -> tuple[Size | None, tuple[Substitution, ...]]:
        if definition.kind != AML:
            return None, ()
        table = self.sizes
        size = table.get(definition.size.upper())
        if size is None:
            raise _unknown(definition.size, table)
        machine, nodes = self._machine.capacity, definition.max_nodes
        given = size.substitution(machine, nodes)
        return size.on(machine, nodes), (given,) if given is not None else ()

    def _check_strict(self, given: Sequence[Substitution]) -> None:
        if self._strict and given:
            raise _refused(given[0])

    async def _keep_or_drop(self, made: Target) -> None:
        """Write the definition of a target that was just made; what cannot be written is not there."""
        try:
            await self._write(made)
        except OSError as error:
            made.pool.retire()
            del self._there[made.name]
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise
            raise NotWritable(f"{self._path(made.name)} cannot be written: {error.strerror}.") from error

    async def _write(self, target: Target) -> None:
        assert target.definition is not None, "only what has a definition is written"
        text = json.dumps(target.definition.to_json(), indent=1, ensure_ascii=False)
        await asyncio.to_thread(_replace, self._path(target.name), text + "\n")

    def _path(self, name: str) -> Path:
        return self._folder / f"{check_target_name(name)}.json"


_NAMED = 5
_OWN_ENGINE = "the Docker engine of this machine"


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _scale(definition: TargetDefinition) -> Scale:
    if definition.kind != AML:
        return Scale(definition.max_nodes, definition.max_nodes)
    return Scale(definition.min_nodes, definition.max_nodes, definition.idle_seconds)


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _refused(one: Substitution) -> SubstitutionRefused:
    return SubstitutionRefused(
        f"{one.asked} would be given as {one.given}: {one.reason}.",
        mend="The workspace is strict (config.toml): ask for what there is, or set strict = false.",
    )


def _unknown(asked: str, table: dict[str, Size]) -> ComputeTargetException:
    near = difflib.get_close_matches(asked.upper(), table, n=3, cutoff=0.5)
    mend = f"Did you mean {' or '.join(near)}?" if near else "AmlCompute.supported_vmsizes(workspace) lists them."
    return ComputeTargetException(f"There is no size {asked[:60]!r}.", mend=mend)
