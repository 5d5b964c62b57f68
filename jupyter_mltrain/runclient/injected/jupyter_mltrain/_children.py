"""Runs below a run, begun and ended by its script. There is no service to ask here: the streams say it all.

Beside the stream files of the script's run, and followed with them:

    <child id>.begin                  one line: {"id", "name", "parent", "t"}
    <child id>.r0-<pid>.metrics       what the child logged
    <child id>.end                    one line: {"code", "stopped", "why", "sizes", "t"}

`sizes` are those of its stream files at the end: whoever has as much of each has all. What the child keeps lies in
`outputs/.children/<child id>/` of the script's working folder until the service moves it to the child.
"""

from __future__ import annotations

import json
import os
import secrets
import time
import traceback
from typing import Any

from ._run import LiveRun
from ._stream import Stream, warn_once
from ._values import clean

BEGIN, END = ".begin", ".end"
FILES = "outputs/.children"


class ChildRun(LiveRun):
    """A run below another; how it ends is said here."""

    def __init__(self, parent: LiveRun, name: str | None) -> None:
        experiment = parent.experiment.name
        run_id = f"{experiment[:200]}_{int(time.time())}_{secrets.token_hex(4)}"
        super().__init__(run_id, experiment, name or "", 0, parent.streams)
        self.work = os.path.join(os.path.dirname(self.streams), "work", *FILES.split("/"), run_id)
        self._stream: Any = Stream(self.streams, "0", f"{run_id}.")
        self._status = "Running"
        begun = {"id": run_id, "name": None if name is None else clean(name), "parent": parent.id, "t": time.time()}
        self._write(BEGIN, begun)

    def get_status(self) -> str:
        return self._status

    def complete(self, _set_status: bool = True) -> None:
        """End this run: Completed."""
        self._end("Completed", code=0)

    def fail(self, error_details: Any = None, error_code: Any = None, _set_status: bool = True) -> None:
        """End this run: Failed. `error_details`: an exception or a text, shown as the cause."""
        why = "" if error_details is None else str(error_details)
        if isinstance(error_details, BaseException):
            kind = type(error_details)
            why = "".join(traceback.format_exception(kind, error_details, error_details.__traceback__))
        self._end("Failed", code=1, why=f"{error_code}: {why}" if error_code else why)

    def cancel(self) -> None:
        """End this run: Canceled."""
        self._end("Canceled", code=0, stopped="requested")

    def __exit__(self, *given: object) -> bool:  # type: ignore[override]
        """Complete the run, or let it fail with the exception, which goes on; `SystemExit` of success does not."""
        if self._status != "Running":
            return False
        error = given[1]
        good = isinstance(error, SystemExit) and not error.code
        if error is None or good:
            self.complete()
        else:
            self.fail(error)
        return good

    def _end(self, status: str, code: int, why: str = "", stopped: str = "") -> None:
        if self._status != "Running":
            warn_once(f"ended {self.id}", f"{self.name or self.id} has ended already ({self._status})")
            return
        self._status = status
        self._stream.flush()
        self._stream = _Ended(self)
        self._write(
            END, {"code": code, "stopped": stopped, "why": clean(why), "sizes": self._sizes(), "t": time.time()}
        )

    def _sizes(self) -> dict[str, int]:
        """Also of what other processes of this script wrote for it."""
        sizes = {}
        try:
            for name in os.listdir(self.streams):
                if name.startswith(f"{self.id}.r"):
                    sizes[name] = os.stat(os.path.join(self.streams, name)).st_size
        except OSError as error:
            warn_once("sizes", f"the streams of {self.id} cannot be looked at: {error}")
        return sizes

    def _write(self, kind: str, said: dict[str, Any]) -> None:
        try:
            path = os.path.join(self.streams, self.id + kind)
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.write(fd, json.dumps(said).encode("ascii") + b"\n")
            finally:
                os.close(fd)
        except OSError as error:
            warn_once(f"child {kind}", f"the child run {self.name or self.id} cannot be noted: {error}")


class _Ended:
    """In place of the stream of a run that has ended."""

    def __init__(self, run: ChildRun) -> None:
        self._run = run

    def write(self, _: bytes) -> None:
        run = self._run
        warn_once(f"late {run.id}", f"{run.name or run.id} has ended: what is logged to it now is not kept")

    def flush(self) -> None:
        """There is nothing to write."""
