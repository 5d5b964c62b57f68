"""Brings what a run says into its record: bytes of its streams, then metric columns, each exactly once and in order.

Two steps, each with its own durable mark, so that a service killed anywhere continues where it was:
the stream file itself (its size is the offset to ask the engine from), and the columns (their index holds the bytes
of each file that are in them). For an engine that shares files the first step has nothing to do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_mltrain.core import records
from jupyter_mltrain.core.compute import Compute, Frame, Handle
from jupyter_mltrain.errors import EngineUnreachable

if TYPE_CHECKING:
    from jupyter_mltrain.service.columns import Columns, Window

T = TypeVar("T")

_CHUNK = 1 << 20
_REST, _LONGEST_REST = 0.1, 1.0
"""Least and most seconds between two reads of a run that logs without pause: no eye sees less."""
_SHARE = 0.05
"""Of a core, for reading all live runs together; what it takes is taken from the training."""

_FLUSH_SECONDS = 1.0

_threads = ThreadPoolExecutor(2, thread_name_prefix="ingest")
_followed: set[Ingest] = set()


@dataclass(frozen=True)
class Kind:
    """Records of one kind: which files hold them (the rank, or None for another file), the folder of their columns, and
    what of an item (rank, item) is kept in the columns' `extra`."""

    rank_of: Callable[[str], int | None]
    folder: str
    note: Callable[[dict[str, Any], int, dict[str, Any]], None]


class Ingest:
    """The metrics and logs of one run. `changed` is called, on the event loop, when something new is readable."""

    def __init__(self, folder: Path, changed: Callable[[], None] = lambda: None, kind: Kind | None = None) -> None:
        self.streams = folder / "streams"
        self._kind = kind or METRICS
        self._beside: dict[str, Ingest] = {}
        self.news: Callable[[], None] = lambda: None
        """Called, on the event loop, when records were taken in."""
        self.others: Callable[[frozenset[str]], None] = lambda _: None
        """Called, on the event loop, after a look: the names of the files among the streams that hold no records of this
        run (`runclient`: those of runs that its script keeps below it)."""
        self._others: frozenset[str] = frozenset()
        self._changed = changed
        self._columns_folder = folder / self._kind.folder
        self._columns: Columns | None = None
        self._unwritten = False
        self._lock = asyncio.Lock()
        self._flushed = 0.0
        self._took = 0.0
        """Seconds of processor time since the last rest: a busy machine makes a look long, not dear."""

    def beside(self, kind: Kind) -> Ingest:
        """The records of another kind in the same streams. They come with `follow`, and are taken in by `absorb` alone:
        they are no news for who watches the run."""
        if kind.folder not in self._beside:
            self._beside[kind.folder] = Ingest(self.streams.parent, kind=kind)
        return self._beside[kind.folder]

    async def follow(self, compute: Compute, handle: Handle) -> None:
        """Until the run has ended and all it said is here. Lost connections are taken up again, with growing pauses."""
        _followed.add(self)
        try:
            await self._follow(compute, handle)
        finally:
            _followed.discard(self)

    async def _follow(self, compute: Compute, handle: Handle) -> None:
        shared = compute.capabilities.shared_files
        pause = 1.0
        while True:
            # Where files are shared nothing is copied: what comes beyond their present size rings the doorbell.
            offsets = self._offsets()
            await self.absorb()
            reader = asyncio.create_task(self._absorb_on_doorbell(doorbell := asyncio.Event()))
            try:
                async for frame in compute.stream(handle, offsets):
                    if not shared:
                        await self._alone(self._mirror, frame)
                    if records.system_rank(frame.stream) is None:
                        doorbell.set()
                    pause = 1.0
            except EngineUnreachable:
                await asyncio.sleep(pause)
                pause = min(pause * 2, 60.0)
            else:
                return
            finally:
                reader.cancel()
                await self.absorb(flush=True)

    async def absorb(self, *, flush: bool = False) -> bool:
        """Take into the columns what the stream files hold beyond them; whether there was anything."""
        grew: bool = await self._alone(self._absorb, flush)
        if grew:
            self._changed()
            self.news()
        if self._others:
            self.others(self._others)
        return grew

    async def summary(self) -> tuple[list[dict[str, Any]], int, dict[str, Any]]:
        """Series (name, rank, count, last, extremes), the number of points in all, and the extra state."""
        return await self._alone(self._summary)

    async def window(self, key: tuple[int, str], **given: Any) -> Window:
        """`Columns.window`."""
        return await self._alone(lambda: self._open().window(key, **given))

    async def read(self, function: Callable[[Columns], T]) -> T:
        """What `function` makes of the columns, in their thread."""
        return await self._alone(lambda: function(self._open()))

    def _offsets(self) -> dict[str, int]:
        return {p.name: p.stat().st_size for p in self.streams.glob("*")} if self.streams.is_dir() else {}

    def _mirror(self, frame: Frame) -> None:
        self.streams.mkdir(exist_ok=True)
        with (self.streams / Path(frame.stream).name).open("ab") as file:
            size = file.tell()
            if frame.offset <= size:
                file.write(frame.data[size - frame.offset :])

    async def _absorb_on_doorbell(self, doorbell: asyncio.Event) -> None:
        while True:
            await doorbell.wait()
            doorbell.clear()
            self._took = 0.0
            if not await self.absorb():
                self._changed()  # a log that grew is something new to see, too
            await asyncio.sleep(rest(self._took))

    async def _alone(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run `function` in a thread, one at a time for this run: also after a cancel, which ends the waiting but not
        the thread."""
        async with self._lock:
            work = asyncio.get_running_loop().run_in_executor(_threads, function, *args)
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                await asyncio.wait({work})
                raise

    def _open(self) -> Columns:
        if self._columns is None:
            # numpy is a fifth of the service's start, and of what it weighs: loaded with the first run, in this thread.
            from jupyter_mltrain.service.columns import Columns  # noqa: PLC0415

            self._columns = Columns(self._columns_folder)
        return self._columns

    def _absorb(self, flush: bool) -> bool:
        began = time.thread_time()
        try:
            return self._take_and_flush(flush)
        finally:
            self._took += time.thread_time() - began

    def _take_and_flush(self, flush: bool) -> bool:
        columns = self._open()
        grew = self._take_in(columns)
        if self._unwritten and (flush or time.monotonic() - self._flushed > _FLUSH_SECONDS):
            columns.flush()
            self._unwritten = False
            self._flushed = time.monotonic()
        return grew

    def _take_in(self, columns: Columns) -> bool:
        grew, others = False, set[str]()
        for path in sorted(self.streams.iterdir()) if self.streams.is_dir() else []:
            rank = self._kind.rank_of(path.name)
            if rank is None:
                others.add(path.name)
            elif path.stat().st_size > columns.offsets.get(path.name, 0):
                grew |= self._absorb_file(columns, path, rank)
        self._unwritten |= grew
        self._others = frozenset(others)
        return grew

    def _absorb_file(self, columns: Columns, path: Path, rank: int) -> bool:
        grew, size = False, _CHUNK
        with path.open("rb") as file:
            while True:
                file.seek(columns.offsets.get(path.name, 0))
                data = file.read(size)
                found, consumed = records.parse(data)
                if not consumed:
                    if len(data) < size:
                        return grew  # the rest of the last record is not written yet
                    size *= 4  # one record longer than what was read
                    continue
                size = _CHUNK
                _take(columns, rank, found, self._kind.note)
                columns.offsets[path.name] = columns.offsets.get(path.name, 0) + consumed
                grew = True

    def _summary(self) -> tuple[list[dict[str, Any]], int, dict[str, Any]]:
        columns = self._open()
        series = [
            {
                "name": name,
                "rank": rank,
                "count": s.count,
                "last": s.last,
                "last_step": s.last_step,
                "min": s.min,
                "min_step": s.min_step,
                "max": s.max,
                "max_step": s.max_step,
            }
            for (rank, name), s in columns.series.items()
        ]
        return series, sum(s.count for s in columns.series.values()), dict(columns.extra)


def rest(took: float) -> float:
    """Seconds to rest after a look that took so many of processor time, so that all runs together keep to their share."""
    return min(_LONGEST_REST, max(_REST, took * len(_followed) / _SHARE))


def _take(
    columns: Columns, rank: int, found: list[Any], note: Callable[[dict[str, Any], int, dict[str, Any]], None]
) -> None:
    groups: dict[str, tuple[list[Any], list[Any], list[Any]]] = {}
    for record in found:
        if type(record) is list:
            name, step, when, value = record
            if type(value) is float or type(value) is int or type(value) is bool:
                group = groups.get(name)
                if group is None:
                    group = groups[name] = ([], [], [])
                group[0].append(step)
                group[1].append(when)
                group[2].append(value)
        else:
            note(columns.extra, rank, record)
    for name, (steps, times, values) in groups.items():
        columns.append((rank, name), steps, times, values)


def _note(extra: dict[str, Any], rank: int, item: dict[str, Any]) -> None:
    """Keep of an item what the run's state shows: progress (with its first value, for the rate), tags, unreadable lines."""
    kind = item["k"]
    if kind == "progress":
        if rank:
            return  # each of several processes tells its own; the run's is that of the first
        progress = {k: item.get(k) for k in ("label", "value", "total", "t")}
        first = extra.get("progress_from")
        if first is None or first["label"] != progress["label"]:
            extra["progress_from"] = progress
        extra["progress"] = progress
    elif kind in {"tag", "property", "param"}:
        extra.setdefault({"tag": "tags", "property": "properties", "param": "params"}[kind], {})[
            str(item.get("key"))
        ] = item.get("value")
    elif kind == "list":
        values = item.get("values")
        extra["lists"] = extra.get("lists", 0) + (len(values) if isinstance(values, list) else 0)
    elif kind == records.UNREADABLE:
        extra["unreadable"] = extra.get("unreadable", 0) + 1


METRICS = Kind(records.file_rank, "columns", _note)
