"""Whether the ranks of a run find each other, and who is missing where that takes too long.

A rank that has come leaves `r<rank>.joined` beside the records: Horovod's server does it for each that it heard of, else the
rank's own shim, once its process listens where it is to, or has reached another. The first rank's shim watches for all.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import Any, Collection, Mapping

from . import records, sockets

NOT_JOINED = "not all joined"
"""As in `core.ranks`."""
PORT_TAKEN = "port taken"
_LOOK = 1.0
_ANSWER = 2.0
"""Seconds that a rank on another machine has to answer."""
_MEND = "Its log says what it does instead. Where it needs longer: `--join-timeout`."


def refusal(launch: Mapping[str, Any], seconds: float = 2.0) -> str:
    """Why the rank cannot be started: somebody else is where it is to listen. Empty where nobody is; the next line is the
    mend."""
    port = launch.get("listens")
    if port is None or records.wait_for(lambda: not sockets.taken(port), seconds, 0.1):
        return ""
    who = sockets.holder(port)
    title = f"Port {port}, where rank {launch['rank']} is to listen, is taken{f' by process {who}' if who else ''}."
    return f"{title}\nRerun it: other ports are chosen each time."


class Arrival:
    """Tells that a rank has come which nobody else tells of."""

    def __init__(self, launch: Mapping[str, Any], own: records.Rank) -> None:
        self._listens: int = launch.get("listens", 0)
        self._others = [port for port in launch.get("others", ()) if port != self._listens]
        self._note = joined(own)
        self._over = "others" not in launch

    def look(self, pids: Collection[int]) -> None:
        if not self._over and sockets.came(pids, self._listens, self._others):
            # On a full disk it is said at the next look, or never: no rank ends of a note.
            with contextlib.suppress(OSError), open(self._note, "w"):
                self._over = True


def joined(rank: records.Rank) -> str:
    """The file that says that a rank has come."""
    return os.path.join(os.path.dirname(rank.exit), f"r{rank.rank}.joined")


class Joining:
    """Who of the ranks has come. `verdict` and `cause` are set once the run is to end for one that has not: in two lines, what
    is wrong and the mend, and that rank's number.

    Counted from when the first is seen to have come: those that have, wait. Without any that comes (a script that needs
    no others) nothing is said.
    """

    def __init__(self, launch: Mapping[str, Any], own: records.Rank) -> None:
        asked = launch.get("joining", {"seconds": 0, "ranks": ()})
        self.verdict = ""
        self.cause: int | None = None
        self.over = len(asked["ranks"]) < 2
        self._seconds = float(asked["seconds"])
        self._missing: list[Mapping[str, Any]] = list(asked["ranks"])
        self._count = len(self._missing)
        self._folder = own.folder
        self._first: float | None = None
        self._server = "rendezvous" in launch
        self._looking = threading.Lock()

    def watch(self) -> None:
        """In a thread of its own: a name that does not resolve takes its time."""
        if not self.over:
            threading.Thread(target=self._watch, daemon=True).start()

    def server_ended(self) -> None:
        """Horovod's server is gone: who has not come cannot any more."""
        with self._looking:
            if not self.over:
                self._look()
            if self.over or self.verdict:
                return
            self._blame(f"Horovod's rendezvous was ended before r{self._who()[1:]} came to it", "Rerun it.", 0)

    def _watch(self) -> None:
        while not self.over and not self.verdict:
            with self._looking:
                if not self.verdict:
                    self._look()
            time.sleep(_LOOK)

    def _look(self) -> None:
        self._missing = [one for one in self._missing if not self._came(one)]
        self.over = not self._missing
        if self.over or len(self._missing) == self._count:
            return
        if self._first is None:
            self._first = time.monotonic()
        gone = next((one for one in self._missing if self._server and self._code(one) == 0), None)
        if gone is not None:
            self._missing = [gone]
            self._blame(f"{self._who()} ended without calling hvd.init(), for which the others wait", _MEND)
        elif time.monotonic() - self._first >= self._seconds:
            self._blame(f"{self._who()} did not join the others within {self._seconds:g} s: {self._why()}", _MEND)

    def _blame(self, what: str, mend: str, cause: int | None = None) -> None:
        self.cause = self._missing[0]["rank"] if cause is None else cause
        self.verdict = f"{what}.\n{mend}"

    def _came(self, one: Mapping[str, Any]) -> bool:
        rank = records.Rank(self._folder, one["rank"])
        if os.path.exists(joined(rank)):
            return True
        far = one["address"] and not os.path.exists(rank.launch)
        return bool(far) and _answers(one["address"])

    def _who(self) -> str:
        one, more = self._missing[0], [str(other["rank"]) for other in self._missing[1:9]]
        where = one["role"] if one["role"].startswith("node") else f"{one['role']}, node {one['node']}"
        return f"Rank {one['rank']} ({where})" + (f" and {_ranks(more)}" if more else "")

    def _why(self) -> str:
        one = self._missing[0]
        rank = records.Rank(self._folder, one["rank"])
        it = "they" if len(self._missing) > 1 else "it"
        lacks = f"nothing listens at {one['address']}" if one["address"] else f"{it} never called hvd.init()"
        if not os.path.exists(rank.launch):
            return f"{lacks}, as seen from rank 0"
        if not records.launched(rank):
            return "no process of that rank was ever started"
        code = self._code(one)
        return (
            f"its process runs, and {lacks}"
            if code is None
            else f"its process ended with exit code {code}, and {lacks}"
        )

    def _code(self, one: Mapping[str, Any]) -> int | None:
        return (records.read(records.Rank(self._folder, one["rank"]).exit) or {}).get("code")


def _ranks(numbers: list[str]) -> str:
    return f"rank {numbers[0]}" if len(numbers) == 1 else f"ranks {', '.join(numbers[:-1])} and {numbers[-1]}"


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _ANSWER).close()
    except OSError:
        return False
    return True
