"""A run whose nodes are on several hosts: what its engines see, say and do of it, as one."""

from __future__ import annotations

import asyncio
import contextlib
import filecmp
import os
import re
import shutil
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar

from jupyter_mltrain.computes.workfolder import KEPT
from jupyter_mltrain.core.compute import (
    Compute,
    Exit,
    Frame,
    Handle,
    LaunchPlan,
    Observation,
    Phase,
    StopEvidence,
)
from jupyter_mltrain.errors import EngineError, EngineUnreachable

T = TypeVar("T")

_AGAIN_SECONDS = 2.0
"""Between two tries to follow a host that does not answer, while others do."""
_CLEAN_UP_SECONDS = (1, 2, 5, 10, 30, 60, 120, 300)
_GRACE = 2.0
_OF_RANK = re.compile(r"r(\d+)[.-]")
_WORST = (Phase.VANISHED, Phase.STARTING, Phase.RUNNING, Phase.EXITED)


class Telling(Compute, Protocol):
    """An engine that has some of a run's ranks."""

    async def tell(self, handle: Handle, exits: Sequence[Exit]) -> None:
        """Let the ranks that it has know how others ended. Idempotent."""
        ...


@dataclass(frozen=True, eq=False)
class Part:
    """What one host has of a run. `nodes`: those of the run that are there; `handle`: as its engine knows it."""

    host: str
    engine: Telling
    nodes: tuple[int, ...]
    handle: Handle

    @property
    def ranks(self) -> tuple[int, ...]:
        return tuple(rank for one in self.handle.get("containers", ()) for rank in one["ranks"])


def nodes_by_host(hosts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """`hosts`: of each node."""
    return {host: tuple(i for i, one in enumerate(hosts) if one == host) for host in dict.fromkeys(hosts)}


# -- its launch ----------------------------------------------------------------------------------------------------


class Refused(EngineUnreachable):
    """A launch that `why` stands against, while something of it may be left on a host that does not answer."""

    code = "engine.unreachable.refused"

    def __init__(self, why: BaseException, part: Part, error: EngineUnreachable) -> None:
        super().__init__(f"{part.host}: {error.message} ({why})", mend=error.mend)
        self.why = why


async def launch(parts: Sequence[Part], plan: Callable[[Part], LaunchPlan], secrets: Mapping[str, str]) -> None:
    """Start all parts at once. Where one cannot be started nothing is left of the others. Where a host does not answer nobody
    knows what it began: that is raised, and a second launch goes on from there; or `Refused`, where that has to `refuse`."""

    async def start(part: Part) -> Handle:
        return await part.engine.launch(plan(part), secrets)

    starting = [asyncio.ensure_future(start(part)) for part in parts]
    try:
        found = await asyncio.gather(*starting, return_exceptions=True)
    except asyncio.CancelledError:
        for one in starting:
            one.cancel()
        await asyncio.wait(starting)
        await undo(parts)
        raise
    problems = {part: one for part, one in zip(parts, found, strict=True) if isinstance(one, BaseException)}
    worst = next((p for p in problems.items() if not isinstance(p[1], EngineUnreachable)), None)
    if worst is not None:
        await refuse([part for part in parts if part is not worst[0]], _named(*worst))
    _raise_unreachable(problems)


async def refuse(parts: Sequence[Part], why: BaseException) -> NoReturn:
    """Leave nothing of a launch and raise `why`; `Refused` where a host does not answer. Begins nothing. Idempotent."""
    for part, error in (await _each(parts, _end))[1].items():
        if isinstance(error, EngineUnreachable):
            raise Refused(why, part, error) from error
        raise _named(part, error)
    raise why


_cleaning: set[asyncio.Task[None]] = set()


async def undo(parts: Sequence[Part]) -> None:
    """Leave nothing of them; of a host that does not answer, as soon as it does."""

    async def again(part: Part) -> None:
        for pause in _CLEAN_UP_SECONDS:
            await asyncio.sleep(pause)
            with contextlib.suppress(EngineUnreachable):
                await _end(part)
                return

    for part, error in (await _each(parts, _end))[1].items():
        if not isinstance(error, EngineUnreachable):
            raise error
        task = asyncio.create_task(again(part))
        _cleaning.add(task)
        task.add_done_callback(_cleaning.discard)


async def _end(part: Part) -> None:
    await part.engine.stop(part.handle, 0.0)
    await part.engine.remove(part.handle)


# -- what is seen of it --------------------------------------------------------------------------------------------


async def observe(parts: Sequence[Part], told: set[tuple[str, int]]) -> Observation:
    """What all hosts see; raises `EngineUnreachable` where one does not answer. What has ended on one host is told to those
    that go on elsewhere, as far as they answer, so that they end as well. `told`: what was, by host and rank."""
    seen, problems = await _each(parts, lambda part: part.engine.observe(part.handle))
    ended = [one for part, found in seen.items() for one in _ended(part, found)]

    async def tell(part: Part) -> None:
        own = part.ranks
        news = [one for one in ended if one.rank not in own and (part.host, one.rank) not in told]
        if news:
            await part.engine.tell(part.handle, news)
            told.update((part.host, one.rank) for one in news)

    going = [part for part, found in seen.items() if found.phase in {Phase.STARTING, Phase.RUNNING}]
    for part, error in (await _each(going, tell))[1].items():
        problems.setdefault(part, error)
    _raise_others(problems)
    _raise_unreachable(problems)
    return _one({part.host: found for part, found in seen.items()})


def _ended(part: Part, seen: Observation) -> list[Exit]:
    """How ranks ended there, also those of which nobody knows."""
    known = {one.rank for one in seen.exits}
    lost = part.ranks if seen.phase in {Phase.VANISHED, Phase.ABSENT} else ()
    gone = [Exit(rank, None, None, time.time(), error="its supervisor is lost") for rank in lost if rank not in known]
    return [*seen.exits, *gone]


def _one(seen: Mapping[str, Observation]) -> Observation:
    phases = {one.phase for one in seen.values()}
    phase = next((one for one in _WORST if one in phases), Phase.ABSENT)
    if Phase.ABSENT in phases and phase is not Phase.ABSENT:
        phase = Phase.VANISHED
    details = [
        f"{host}: {one.detail or 'nothing of the run is there'}"
        for host, one in seen.items()
        if one.detail or (one.phase is Phase.ABSENT and phase is Phase.VANISHED)
    ]
    ranks = {rank: what for one in seen.values() for rank, what in one.evidence.get("ranks", {}).items()}
    evidence = {name: what for one in seen.values() for name, what in one.evidence.items()}
    return Observation(
        phase,
        tuple(sorted((exit_ for one in seen.values() for exit_ in one.exits), key=lambda exit_: exit_.rank)),
        min((one.started for one in seen.values() if one.started is not None), default=None),
        max((one.beat_age for one in seen.values() if one.beat_age is not None), default=None),
        "; ".join(details),
        {**evidence, **({"ranks": ranks} if ranks else {})},
    )


# -- what it says and made -----------------------------------------------------------------------------------------


async def stream(parts: Sequence[Part], offsets: Mapping[str, int]) -> AsyncGenerator[Frame]:
    """The streams of all. A host that is away for a while does not hold up the others; raises `EngineUnreachable` once
    nothing comes from any other."""
    merged = _Merged(parts, offsets)
    tasks = {asyncio.create_task(merged.follow(part)) for part in parts}
    try:
        left = len(tasks)
        while left:
            got = await merged.ready.get()
            if isinstance(got, Frame):
                yield got
            else:
                left -= 1
                await got
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Merged:
    """`ready`: frames as they come, and each follower once it is done. `going`: the parts that may have more to say."""

    def __init__(self, parts: Sequence[Part], offsets: Mapping[str, int]) -> None:
        self.ready: asyncio.Queue[Frame | asyncio.Task[None]] = asyncio.Queue(16)
        self.going = set(parts)
        self._offsets = offsets

    async def follow(self, part: Part) -> None:
        me = asyncio.current_task()
        assert me is not None
        at = dict(self._offsets)
        try:
            while True:
                if await self._followed(part, at):
                    break
                await asyncio.sleep(_AGAIN_SECONDS)
        except asyncio.CancelledError:
            raise  # nobody reads any more, and who waits for room would wait for ever
        except BaseException:
            self.going.discard(part)
            await self.ready.put(me)
            raise
        self.going.discard(part)
        await self.ready.put(me)

    async def _followed(self, part: Part, at: dict[str, int]) -> bool:
        """Whether it came to its end; False where its host is away, and others are not."""
        try:
            async with contextlib.aclosing(_frames(part, at)) as frames:
                async for frame in frames:
                    self.going.add(part)
                    at[frame.stream] = frame.offset + len(frame.data)
                    if _is_of(part, frame.stream):  # what an earlier attempt said lies on all hosts
                        await self.ready.put(frame)
        except EngineUnreachable as error:
            self.going.discard(part)
            if not self.going:
                raise _named(part, error) from error
            return False
        return True


async def _frames(part: Part, offsets: Mapping[str, int]) -> AsyncGenerator[Frame]:
    async for frame in part.engine.stream(part.handle, offsets):
        yield frame


def _is_of(part: Part, stream_name: str) -> bool:
    found = _OF_RANK.match(stream_name)
    return found is None or int(found[1]) in part.ranks


async def collect(parts: Sequence[Part], into: Path) -> None:
    """What the first node's host has is the run's. Of the others comes what that one has not; a file of the same name that
    is another is told apart by its node: `outputs/node1/model.keras`."""
    drafts = into / "collecting"
    first, *others = parts
    _raise_any((await _each([first], lambda part: part.engine.collect(part.handle, into)))[1])
    try:
        for part in others:
            draft = drafts / f"node{part.nodes[0]}"
            await asyncio.to_thread(draft.mkdir, parents=True, exist_ok=True)
            try:
                await part.engine.collect(part.handle, draft)
            except EngineError as error:
                raise _named(part, error) from error
            await asyncio.to_thread(_merge, draft, into)
    finally:
        await asyncio.to_thread(shutil.rmtree, drafts, ignore_errors=True)


def _merge(draft: Path, into: Path) -> None:
    """Move the files below `draft` to where they belong."""
    for name in KEPT:
        for folder, folders, files in os.walk(draft / name):
            linked = [one for one in folders if (Path(folder) / one).is_symlink()]
            for file in (Path(folder) / one for one in sorted([*files, *linked])):
                inner = file.relative_to(draft / name)
                target = into / name / inner
                if os.path.lexists(target) and _same(file, target):
                    continue
                if os.path.lexists(target) or not _can_hold(target.parent, into / name):
                    target = into / name / draft.name / inner
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)


def _same(one: Path, other: Path) -> bool:
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and one.readlink() == other.readlink()
    return other.is_file() and filecmp.cmp(one, other, shallow=False)


def _can_hold(folder: Path, top: Path) -> bool:
    """Whether files can be put there: none of its parents is a file, or a link to elsewhere."""
    ways = [folder, *folder.parents]
    return all(
        not os.path.lexists(one) or (one.is_dir() and not one.is_symlink()) for one in ways[: ways.index(top) + 1]
    )


# -- its end -------------------------------------------------------------------------------------------------------


async def stop(parts: Sequence[Part], grace: float) -> StopEvidence:
    """End all of them at once, also where a host does not answer: that is raised when the others have ended."""
    found, problems = await _each(parts, lambda part: part.engine.stop(part.handle, grace))
    _raise_any(problems)
    each = list(found.values())
    return StopEvidence(
        tuple(dict.fromkeys(name for one in each for name in one.signals)),
        tuple(name for one in each for name in one.ended),
        tuple(name for one in each for name in one.remaining),
        max(one.seconds for one in each),
        "; ".join(f"{part.host}: {one.container}" for part, one in found.items() if one.container),
    )


async def remove(parts: Sequence[Part]) -> None:
    _raise_any((await _each(parts, lambda part: part.engine.remove(part.handle)))[1])


# -- each of them --------------------------------------------------------------------------------------------------


async def _each(
    parts: Sequence[Part], ask: Callable[[Part], Awaitable[T]]
) -> tuple[dict[Part, T], dict[Part, Exception]]:
    """What each answers, and what each raises."""
    answers: dict[Part, T] = {}
    problems: dict[Part, Exception] = {}

    async def one(part: Part) -> None:
        try:
            answers[part] = await ask(part)
        except Exception as error:  # noqa: BLE001 - raised by who asks, once all have answered
            problems[part] = error

    await asyncio.gather(*map(one, parts))
    in_order = {part: answers[part] for part in parts if part in answers}
    return in_order, problems


def _raise_any(problems: Mapping[Part, Exception]) -> None:
    _raise_others(problems)
    _raise_unreachable(problems)


def _raise_others(problems: Mapping[Part, Exception]) -> None:
    for part, error in problems.items():
        if not isinstance(error, EngineUnreachable):
            raise _named(part, error) from error


def _raise_unreachable(problems: Mapping[Part, BaseException]) -> None:
    """Where one host cannot be asked nothing is known of the run as a whole."""
    for part, error in problems.items():
        raise _named(part, error) from error


def _named(part: Part, error: BaseException) -> BaseException:
    """An error of an engine, with the host that it is about."""
    if not isinstance(error, EngineError) or error.message.startswith(f"{part.host}: "):
        return error
    return type(error)(f"{part.host}: {error.message}", mend=error.mend, **error.details)
