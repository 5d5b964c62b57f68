"""The keeper of one endpoint: `python -m jupyter_mltrain.deployments.keeper FOLDER`.

It holds the listening socket, starts servers behind it (each in a shim, which keeps its limits), and

- puts a new revision in place of the old one only when that is loaded, tried and healthy: the old one then takes no more
  connections, the new one does, and the old one ends when its clients are done. Connections that come in between wait in
  the socket that both share, so none is refused. A revision that does not become healthy changes nothing;
- starts a server that crashed again, later each time, and gives up when it crashes over and over. Connections wait for it
  in the socket for some seconds; where it takes longer they are answered 503;
- ends one whose event loop is stuck.

What should run stands in `wanted.json`, what does in `state.json` (`place.py`). A keeper that was killed is followed by
another, which takes the living server over, and its socket from it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from jupyter_mltrain.deployments import log
from jupyter_mltrain.deployments.causes import cause
from jupyter_mltrain.deployments.injected.mltrain_endpoint.control import ask
from jupyter_mltrain.deployments.place import Place
from jupyter_mltrain.deployments.stand_in import HOLD, StandIn
from jupyter_mltrain.deployments.starting import Start, living
from jupyter_mltrain.runclient.injected.jupyter_mltrain._shim import records

TICK = 0.1
"""Seconds between looks at what should run and what does."""
HEALTH = 5.0
"""Seconds between questions whether the server's event loop turns."""
UNHEALTHY = 3
"""Questions without an answer after which a server is ended."""
FIRST_PORT = 6789
_PORTS = 200
LOAD_SECONDS = 900.0
"""Longest time from the start of a process until it can answer."""
DRAIN_SECONDS = 30.0
"""After that a server that was told to end is ended."""
CRASHES = 5
WINDOW = 600.0
"""That many crashes in so many seconds, and nobody starts it any more."""


def main(folder: str) -> int:
    """Keep the endpoint in `folder` until it should not run any more. Returns 0 at once if it is kept already."""
    os.umask(0o077)
    place = Place(Path(folder))
    lock = records.take_lock(str(place.lock), patience=0.5)
    if lock is None:
        return 0
    try:
        _Keeper(place).run()
    finally:
        os.close(lock)
    return 0


class _Keeper:
    def __init__(self, place: Place) -> None:
        self.place = place
        self.wanted: dict[str, Any] = {}
        self._wanted_seen: Any = None
        self.state: dict[str, Any] = {"format": 1, "keeper": os.getpid(), "restarts": 0, **_before(place)}
        self.listening: socket.socket | None = None
        self.current: Start | None = None
        self.next: Start | None = None
        self.ending: list[Start] = []
        self.crashes: list[float] = []
        self.again_at = 0.0
        self.asked_at = 0.0
        self.unanswered = 0
        self.down_since: float | None = None
        self.stand_in: StandIn | None = None
        self.over = False
        self._said = True
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def run(self) -> None:
        self._read_wanted()
        self._adopt()
        while not self.over:
            self._read_wanted()
            if not self.wanted.get("run"):
                break
            self._look_at_next()
            self._look_at_current()
            self._look_at_ending()
            self._start_what_is_due()
            self._answer_for_it()
            if not self._said:
                self._write_state()
            time.sleep(TICK)
        self._end_all()

    # -- what should run ---------------------------------------------------------------------------------------------

    def _read_wanted(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            found = self.place.wanted.stat()
            seen = (found.st_mtime_ns, found.st_ino)
            if seen != self._wanted_seen:
                self.wanted = json.loads(self.place.wanted.read_text(encoding="utf-8"))
                self._wanted_seen = seen

    def _start_what_is_due(self) -> None:
        revision = int(self.wanted["revision"])
        if self.next is not None:
            if self.next.revision != revision and self.state.get("handled") != revision:
                self._end_start(self.next)  # overtaken by a newer one before it was ready
                self.next = None
            return
        if self.state.get("handled") != revision:
            self.crashes, self.again_at = [], 0.0
            self._start(revision)
        elif self.current is None and self.state["state"] == "restarting" and time.monotonic() >= self.again_at:
            self._start(int(self.state["serving_last"]))

    def _start(self, revision: int) -> None:
        if not self._listen():
            return
        assert self.listening is not None
        if self.current is None and self.state.get("state") != "restarting":
            self._say(state="starting", failure=None)
        number = 1 + max((int(path.name.split("-")[1]) for path in self.place.starts.glob(f"{revision}-*")), default=0)
        self._log(f"starts revision {revision} (process {number})")
        plan = self.wanted if int(self.wanted["revision"]) == revision else self._plan_of(revision)
        start = Start(self.place.starts / f"{revision}-{number}")
        try:
            start.make(plan)
            start.launch(self.listening.fileno())
        except OSError as error:
            self._not_ready(start, {"title": str(error), "evidence": [], "traceback": None, "mend": ""})
        else:
            self.next = start

    def _plan_of(self, revision: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.place.revision(revision) / "plan.json").read_text(encoding="utf-8"))
        return found

    def _listen(self) -> bool:
        if self.listening is not None:
            return True
        asked = self.state.get("port") or self.wanted.get("port")
        for port in [int(asked)] if asked else [*range(FIRST_PORT, FIRST_PORT + _PORTS), 0]:
            listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listening.bind(("127.0.0.1", port))
                listening.listen(2048)
            except OSError as error:
                listening.close()
                if asked:
                    title = f"The port {port} cannot be used: {error.strerror}."
                    mend = "Deploy it with another port, or end what uses this one."
                    self._failed({"title": title, "evidence": [], "traceback": None, "mend": mend})
            else:
                self.listening = listening
                self._say(port=listening.getsockname()[1])
                return True
        return False

    # -- what does run -----------------------------------------------------------------------------------------------

    def _look_at_next(self) -> None:
        start = self.next
        if start is None:
            return
        ready = start.ready()
        if ready is None:
            if start.ended():
                self.next = None
                self._not_ready(start, cause(start.exit(), start.failure()))
            elif time.monotonic() > start.began + LOAD_SECONDS:
                self.next = None
                self._end_start(start)
                title = f"It was not ready within {LOAD_SECONDS:.0f} s."
                self._not_ready(
                    start, {"title": title, "evidence": [], "traceback": None, "mend": "Its log says more."}
                )
            return
        self.next = None
        if self._switch(start):
            self.state["serving_last"] = start.revision
            self._say(
                state="running", serving=start.revision, handled=int(self.wanted["revision"]), pid=ready["pid"],
                start=start.folder.name, since=time.time(), about=ready,
                failure=None if start.revision == int(self.wanted["revision"]) else self.state.get("failure"),
            )  # fmt: skip
            self._log(f"revision {start.revision} answers on port {self.state['port']}")
        else:
            self._end_start(start)
            self._not_ready(start, start.failure() or cause(start.exit(), None))

    def _switch(self, start: Start) -> bool:
        """Put `start` in place of the current server; False if it does not take over, and then nothing has changed."""
        old = self.current
        if not _told(start, "health"):
            return False
        self._stand_down()
        if old is not None:
            _told(old, "pause")
        if not _told(start, "accept"):
            if old is not None:
                _told(old, "accept")
            return False
        self.current, self.unanswered, self.asked_at = start, 0, time.monotonic()
        if old is not None:
            self._drain(old)
        return True

    def _not_ready(self, start: Start, why: dict[str, Any]) -> None:
        self._log(f"revision {start.revision} does not start: {why['title']}")
        if self.current is not None and self.current.revision != start.revision:
            # The old one goes on as if nothing had been asked.
            self._say(handled=start.revision, failure={**why, "revision": start.revision}, state="running")
        elif self.state.get("serving_last") == start.revision and not why.get("final"):
            self._crashed(why)
        else:
            self._failed({**why, "revision": start.revision})

    def _look_at_current(self) -> None:
        start = self.current
        if start is None:
            return
        if start.ended():
            self.current = None
            self._crashed(cause(start.exit(), start.failure()))
        elif start.unheld() and self.next is None:
            # Its shim was killed: it answers, but nobody keeps its limits. Another one takes over.
            self._log("the server's supervisor is gone: the server is replaced")
            self._start(start.revision)
        elif time.monotonic() >= self.asked_at + HEALTH:
            self.asked_at = time.monotonic()
            log.trim(self.place.log)
            if _told(start, "health", HEALTH):
                self.unanswered = 0
                return
            self.unanswered += 1
            if self.unanswered >= UNHEALTHY and not start.ended():
                self.current = None
                self._end_start(start)
                title = f"It did not answer for {UNHEALTHY * HEALTH:.0f} s and was ended."
                why = {"title": title, "evidence": [], "traceback": None, "mend": "Its log says more."}
                # One whose server is elsewhere may know why.
                self._crashed({**why, **(start.failure() or {})})

    def _crashed(self, why: dict[str, Any]) -> None:
        now = time.monotonic()
        self.crashes = [moment for moment in self.crashes if moment > now - WINDOW] + [now]
        if len(self.crashes) >= CRASHES:
            times = f"{len(self.crashes)} crashes within {WINDOW / 60:.0f} minutes"
            self._failed({**why, "evidence": [*why["evidence"], times], "revision": self.state.get("serving_last")})
            return
        pause = min(30.0, 0.25 * 4 ** (len(self.crashes) - 1))
        self.again_at = now + pause
        self._log(f"{why['title']} It is started again in {pause:g} s.")
        self._say(state="restarting", serving=None, pid=None, restarts=self.state["restarts"] + 1, failure=why)

    def _failed(self, why: dict[str, Any]) -> None:
        self._log(f"gives up: {why['title']}")
        if self.listening is not None and self.current is None:
            # Who asks is refused at once; waiting in the socket would not help.
            self._stand_down()
            self.listening.close()
            self.listening = None
        self._say(state="failed", serving=None, pid=None, handled=int(self.wanted["revision"]), failure=why)

    def _answer_for_it(self) -> None:
        """Say 503 in place of a server that takes long."""
        if self.current is not None or self.listening is None:
            self.down_since = None
            return
        now = time.monotonic()
        if self.down_since is None:
            self.down_since = now
        if self.stand_in is None and now > self.down_since + HOLD:
            self._log("answers 503 until a server is ready")
            again = HOLD + max(0.0, self.again_at - now)
            self.stand_in = StandIn(self.listening, self.place.folder.name, round(again))

    def _stand_down(self) -> None:
        if self.stand_in is not None:
            self.stand_in.stop()
            self.stand_in = None

    # -- ends --------------------------------------------------------------------------------------------------------

    def _drain(self, start: Start) -> None:
        _told(start, "drain")
        start.give_up_at = time.monotonic() + DRAIN_SECONDS
        self.ending.append(start)

    def _end_start(self, start: Start) -> None:
        threading.Thread(target=start.stop, args=(2.0,)).start()

    def _look_at_ending(self) -> None:
        for start in list(self.ending):
            if start.ended() and not start.unheld():
                self.ending.remove(start)
                start.forget_old()
            elif time.monotonic() > start.give_up_at:
                self.ending.remove(start)
                self._end_start(start)

    def _end_all(self) -> None:
        self._stand_down()
        if self.listening is not None:
            self.listening.close()
        starts = [each for each in (self.current, self.next, *self.ending) if each is not None]
        threads = [threading.Thread(target=each.stop, args=(float(self.wanted.get("grace", 5.0)),)) for each in starts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.wanted.get("run"):  # the machine shuts down: the next keeper starts it again
            self._log("ends, until it is started again")
            self._say(state="restarting", serving=None, pid=None)
        else:
            self._log("stopped")
            self._say(state="stopped", serving=None, pid=None)

    def _end(self, *_: object) -> None:
        self.over = True

    # -- after another keeper ----------------------------------------------------------------------------------------

    def _adopt(self) -> None:
        """Take over the server that answers, if a keeper before this one was killed."""
        for start in living(self.place):
            serving = start.folder.name == self.state.get("start") and start.ready() is not None
            if serving and self.current is None and self._take_over(start):
                self.current = start
                self._log(f"the keeper is back; revision {start.revision} went on without it")
                self._say(state="running", serving=start.revision)
            else:
                self._end_start(start)
        if self.current is None and self.state.get("handled") is not None and self.state.get("state") != "failed":
            # Nothing runs that should: the machine was restarted, or all of it was killed.
            self.again_at = 0.0
            if self.state.get("serving_last") is not None:
                self._say(state="restarting", serving=None, pid=None)
            else:
                self.state.pop("handled")

    def _take_over(self, start: Start) -> bool:
        try:
            answer, descriptor = ask(str(start.folder), "socket")
        except OSError:
            return False
        if not answer.get("ok") or descriptor is None:
            return False
        self.listening = socket.socket(fileno=descriptor)
        return _told(start, "accept")

    # -- what is said ------------------------------------------------------------------------------------------------

    def _say(self, **news: Any) -> None:
        self.state |= news
        self._said = False
        self._write_state()

    def _write_state(self) -> None:
        """A full disk is no reason to leave the endpoint alone: said when there is room."""
        with contextlib.suppress(OSError):
            records.write(str(self.place.state), self.state)
            self._said = True

    def _log(self, text: str) -> None:
        log.append(self.place.log, text)


def _told(start: Start, word: str, seconds: float = 12.0) -> bool:
    try:
        return bool(ask(str(start.folder), word, seconds)[0].get("ok"))
    except (OSError, ValueError):
        return False


def _before(place: Place) -> dict[str, Any]:
    """What a keeper before this one left."""
    found = records.read(str(place.state)) or {}
    return {key: found[key] for key in found if key not in ("format", "keeper", "state")} | (
        {"state": "failed"} if found.get("state") == "failed" else {"state": "starting"}
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
