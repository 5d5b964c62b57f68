"""`logs`: what a run wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_mltrain.api.logs import BUILD_LOG, LOG, Reads, read
from jupyter_mltrain.commands.context import Context
from jupyter_mltrain.commands.display import Text
from jupyter_mltrain.commands.follow import Tail
from jupyter_mltrain.commands.lookup import find_run, part
from jupyter_mltrain.core.status import Status
from jupyter_mltrain.errors import PathNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_mltrain.api.run import Run

IN_NOTEBOOK = 200
"""Lines shown in a notebook when nothing else is said: its file keeps them."""

_FIRST_LOOK = 64 << 10
_FURTHEST_LOOK = 64 << 20


class Log(Text):
    """The end of a log. `offset` is where what was read ends, in bytes."""

    def __init__(self, text: str, offset: int) -> None:
        super().__init__(text)
        self.offset = offset


class Following:
    """A log that is to be followed: iterate for its bytes. Only a terminal asks for it."""

    def __init__(self, connection: Any, run_id: str, name: str, offset: int, head: str) -> None:
        self._arguments = (connection, run_id, name, offset)
        self.head = head

    def __iter__(self) -> Iterator[bytes]:
        from jupyter_mltrain.api.logs import follow  # noqa: PLC0415

        connection, run_id, name, offset = self._arguments
        return follow(connection, run_id, name=name, offset=offset)


def logs(
    context: Context, *, run: str | None = None, tail: int | None = None, name: str | None = None, follow: bool = False
) -> Log | Following:
    """The log of a run (default: the latest): its last `tail` lines, in a notebook 200 unless said, else all.

    `name` is one of the run's logs (`build.log` for the environment's); `follow` goes on as it grows. Raises
    `PathNotFound` with the names there are for a log that does not exist.
    """
    workspace = context.workspace()
    connection, found = workspace.connection, find_run(workspace, run or "latest")
    wanted = _existing(connection, found, name)
    if tail is None and not context.terminal:
        tail = IN_NOTEBOOK
    if tail is None:
        if follow:
            return Following(connection, found.id, wanted, 0, "")
        data, end = read(connection, found.id, name=wanted)
        return Log(data.decode(errors="replace"), end)
    text, end = last_lines(connection, found.id, wanted, tail)
    return Following(connection, found.id, wanted, end, text) if follow else Log(text, end)


def last_lines(connection: Reads, run_id: str, name: str, lines: int) -> tuple[str, int]:
    """The last lines as a terminal would show them, and where the log ends; reads no more of it than it must."""
    look = _FIRST_LOOK
    while True:
        data, end = read(connection, run_id, name=name, offset=-look)
        whole = len(data) < look
        if whole or look >= _FURTHEST_LOOK or data.count(b"\n") > lines:
            break
        look *= 8
    if not whole:
        # The first line read may be the end of one.
        data = data.partition(b"\n")[2] or data
    end_of_log = Tail(lines)
    end_of_log.feed(data)
    return end_of_log.lines, end


def _existing(connection: Reads, run: Run, name: str | None) -> str:
    """The log that is meant. Unless one is named: the script's, or the build's where it came no further."""
    known = [str(log["name"]) for log in connection.get(f"/v1/runs/{part(run.id)}/logs")["logs"]]
    if name is None:
        own = [log for log in known if log != BUILD_LOG]
        stuck = known and Status(run.state["status"]).terminal
        return own[0] if own else BUILD_LOG if stuck else LOG
    short = {log.rpartition("/")[2]: log for log in known}
    if name not in known and name not in short:
        raise PathNotFound.of(name, known)
    return name if name in known else short[name]
