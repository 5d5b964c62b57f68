"""A run that begins again, in a container that is new: its record has what the one before said and made, and sends it along.

So it may as well begin again on another host; and what a run's volume held goes with that.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from posixpath import join
from typing import TYPE_CHECKING

from jupyter_mltrain.computes.archives import Entry
from jupyter_mltrain.computes.workfolder import KEPT

if TYPE_CHECKING:
    from jupyter_mltrain.core.compute import Handle


class Rewinds:
    """The part of an engine that makes its runs ready to begin again (`core.engines.Rewinding`)."""

    if TYPE_CHECKING:

        async def remove(self, handle: Handle) -> None: ...

    async def rewind(self, handle: Handle, into: Path, note: str) -> None:
        """Remove all that there is of a run; `note` ends its log. What it made and said is in its record already.
        Idempotent."""
        await self.remove(handle)
        await asyncio.to_thread(_note, into / "streams", note)


def _note(streams: Path, note: str) -> None:
    streams.mkdir(exist_ok=True)
    with (streams / "r0.log").open("a", encoding="utf-8", errors="replace") as log:
        log.write(f"\njupyter_mltrain: {note}\n")


def kept(record: Path, top: str) -> Iterator[Entry]:
    """Members of the run folder's archive: what an earlier attempt left. The streams too: the offset in a stream is the
    number of what was said, and that goes on counting."""
    yield from _of_folder(record / "streams", f"{top}/streams")
    for name in KEPT:
        yield from _of_folder(record / name, f"{top}/work/{name}")


def _of_folder(folder: Path, name: str) -> Iterator[Entry]:
    for path in sorted(folder.rglob("*")):
        place = join(name, path.relative_to(folder).as_posix())
        if path.is_symlink():
            yield Entry(place, link=os.readlink(path))  # noqa: PTH115 - as it is, also where it leads nowhere
        elif path.is_dir():
            yield Entry(place)
        elif path.is_file():
            yield Entry(place, path)
