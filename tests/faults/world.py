"""A workspace to hurt: submits real runs to a real service, kills what it is told to, and then asks whether all is true.

A run's script writes, outside of the workspace and by itself, what it did: that it started, which `run.log` returned,
that it came to its end. With the shim's own record of the exit that is the truth a run's status is held against.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Self, TypeVar

from jupyter_mltrain.client import starter
from jupyter_mltrain.client.connection import Connection
from jupyter_mltrain.client.workspaces import create_root
from jupyter_mltrain.core.ids import new_run_id
from jupyter_mltrain.core.layout import Layout
from jupyter_mltrain.core.status import TERMINAL, Status, allowed

T = TypeVar("T")

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 180.0
"""Seconds after which something that must happen counts as never happening; nothing waits this long in a good run."""
_WINDOW = 20_000
"""Points of one window: the most that the service gives as they are."""

_BEFORE = """
import os, signal, subprocess, sys, time
from jupyter_mltrain import Run
run = Run.get_context()
_told = os.open(os.environ["FAULT_TOLD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

def tell(line):
    os.write(_told, (line + "\\n").encode())

def log(i):
    run.log("loss", ((i * 7919) % 1009) / 7, step=i)
    tell(f"ack {i}")

tell(f"start {os.getpid()}")
"""
_AFTER = """
tell("end")
"""


STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
"""The beginning of a script that does not end when it is asked to."""


def value(i: int) -> float:
    """What the script logs as its `i`-th value."""
    return ((i * 7919) % 1009) / 7


UNTIL_TOLD = "while not os.path.exists('../../../../on'):\n    time.sleep(0.01)\n"
"""A script that goes on until `World.go_on`: however slow the machine, it is there until then."""


def steady(count: int = 40, pause: float = 0.01) -> str:
    """A script that logs `count` values, `pause` seconds apart."""
    return f"for i in range({count}):\n    log(i)\n    time.sleep({pause})\n"


@dataclass
class Submitted:
    """A run by its id, and the file in which its script tells what it did."""

    id: str
    told: Path
    facts: dict[str, Any] = field(default_factory=dict)

    def lines(self) -> list[str]:
        try:
            return self.told.read_text().splitlines()
        except FileNotFoundError:
            return []

    @property
    def starts(self) -> list[int]:
        """Process ids of all executions of the script; more than one is a run that was run twice."""
        return [int(line.split()[1]) for line in self.lines() if line.startswith("start ")]

    @property
    def acknowledged(self) -> int:
        """How many `log` calls returned."""
        return sum(line.startswith("ack ") for line in self.lines())

    @property
    def ended(self) -> bool:
        return "end" in self.lines()


class World:
    """One workspace in `base`. `slots`: runs at once. Use it with `with`: at the end nothing of it may be left."""

    def __init__(self, base: Path, *, slots: int = 8, seed: int | None = None, publish: bool = False) -> None:
        base.mkdir(parents=True, exist_ok=True)
        self.base = base
        self.seed = seed if seed is not None else int.from_bytes(os.urandom(4))
        self.random = random.Random(self.seed)
        self.root = create_root(base / "workspace", "faults")
        self.layout = Layout(self.root)
        config = self.layout.config
        text = config.read_text(encoding="utf-8").replace("[targets.local]\n", f"[targets.local]\nslots = {slots}\n")
        if not publish:
            # MLflow's import takes seconds of CPU in each life of a service.
            text = text.replace("[tracking]\n", "[tracking]\npublish = false\n")
        config.write_text(text, encoding="utf-8")
        (base / "told").mkdir()
        self.connection = Connection(self.root)
        self.foreign: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self.close()
        except AssertionError:
            if kind is None:
                raise
        finally:
            for process in self.foreign:
                process.kill()
                process.wait()
            for pid, _name in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """End the service as a newer one would, and hold it to leaving nothing behind."""
        if self.service_pid() is not None:
            self.connection.post("/v1/handover")
        starter.wait_until_gone(self.layout)
        for process in self.foreign:
            process.kill()
            process.wait()
        eventually(lambda: not self.processes(), "processes are left: {}", self.processes)

    # -- what happens to a run ---------------------------------------------------------------------------------------

    def request(self, script: str, **more: Any) -> tuple[Submitted, dict[str, Any]]:
        """The body of `POST /v1/runs` for a script, and the run it will be."""
        run_id = new_run_id("faults")
        run = Submitted(run_id, self.base / "told" / run_id)
        variables = {"FAULT_TOLD": str(run.told), **more.pop("environment_variables", {})}
        body = {
            "run_id": run_id,
            "experiment": "faults",
            "environment": "current",
            "kernel_python": sys.executable,
            "script": "train.py",
            "files": {"train.py": _BEFORE + textwrap.dedent(script) + _AFTER},
            "environment_variables": variables,
            **more,
        }
        return run, body

    def submit(self, script: str, **more: Any) -> Submitted:
        run, body = self.request(script, **more)
        self.connection.post("/v1/runs", body)
        return run

    def state(self, run: Submitted) -> dict[str, Any]:
        return self.connection.get(f"/v1/runs/{run.id}")

    def wait(self, run: Submitted, until: Callable[[dict[str, Any]], object] | None = None) -> dict[str, Any]:
        """The run's state once it is terminal (or `until` holds of it), asking a service that is started if none is."""
        state = self.state(run)
        deadline = time.monotonic() + PATIENCE
        while not (until(state) if until else ended(state)):
            assert not ended(state), f"ended before what was waited for: {summary(state)}"
            assert time.monotonic() < deadline, f"not within {PATIENCE:.0f} s: {summary(state)}\n{self.log_tail()}"
            state = self.connection.get(f"/v1/runs/{run.id}", after=state["revision"], wait=0.5)
        return state

    def wait_running(self, run: Submitted, acknowledged: int = 1) -> None:
        """Until the script has logged that much; does not ask the service."""
        eventually(lambda: run.acknowledged >= acknowledged, "the script did not get there: {}", run.lines)

    def wait_status(self, run: Submitted, status: str) -> dict[str, Any]:
        return self.wait(run, lambda state: state["status"] == status)

    def go_on(self) -> None:
        """Let all scripts with `UNTIL_TOLD` go on."""
        (self.root / "on").touch()

    def cancel(self, run: Submitted, grace: float = 1.0) -> bool:
        """Ask for the end; False if the run had ended already."""
        from jupyter_mltrain.errors import ConflictError

        try:
            self.connection.post(f"/v1/runs/{run.id}/cancel", {"grace": grace})
        except ConflictError:
            return False
        return True

    def while_canceling(self, run: Submitted, act: Callable[[], object], *, grace: float, within: float) -> None:
        """Ask for the end (KILL after `grace` seconds), and `act` at some moment of the `within` seconds after that."""
        with ThreadPoolExecutor(1) as threads:
            asking = threads.submit(self.cancel, run, grace)
            time.sleep(self.random.uniform(0, within))
            act()
            asking.result()

    # -- who is there ------------------------------------------------------------------------------------------------

    def service_pid(self) -> int | None:
        """The living service, whether it answers yet or not."""
        for pid, command in self.processes():
            if "jupyter_mltrain.service" in command and _is_session_leader(pid):
                return pid
        return None

    def socket(self) -> str:
        """Where the service listens."""
        return starter.socket_path(self.layout)

    def kill_service(self) -> int | None:
        """SIGKILL the service, if there is one; returns once it is gone."""
        pid = self.service_pid()
        if pid is not None:
            kill(pid)
        return pid

    def shim(self, run: Submitted) -> dict[str, Any] | None:
        """`start.json` of the run's only rank."""
        return _json(self.folder(run) / "shim" / "r0.start.json")

    def exit(self, run: Submitted) -> dict[str, Any] | None:
        """`exit.json`: how the process ended, as its shim saw it."""
        return _json(self.folder(run) / "shim" / "r0.exit.json")

    def folder(self, run: Submitted) -> Path:
        return self.layout.run(run.id)

    def processes(self) -> list[tuple[int, str]]:
        """All processes of this workspace: that name its folder, or carry the id of one of its runs."""
        return list(_processes(os.fsencode(self.root)))

    def processes_of(self, run: Submitted) -> list[tuple[int, str]]:
        return list(_processes(os.fsencode(run.id)))

    def foreigner(self) -> subprocess.Popen[bytes]:
        """A process that has nothing to do with any run."""
        process = subprocess.Popen(["sleep", "600"], cwd="/")
        self.foreign.append(process)
        return process

    def log_tail(self) -> str:
        try:
            return self.layout.log.read_text(errors="replace")[-3000:]
        except OSError:
            return ""

    # -- the truth ---------------------------------------------------------------------------------------------------

    def check(self, run: Submitted, *, complete_metrics: bool = True, executions: int = 1) -> dict[str, Any]:
        """Wait for the run's end and hold its record against what happened. Returns its state. `executions`: how often
        its script may have been started."""
        state = self.wait(run)
        self._check_status(run, state, executions)
        self._check_history(run, state)
        if complete_metrics:
            self._check_metrics(run, state)
        eventually(lambda: not self.processes_of(run), "the run left processes: {}", lambda: self.processes_of(run))
        assert not (self.folder(run) / "work").exists(), "the working folder is left"
        return state

    def _check_status(self, run: Submitted, state: dict[str, Any], executions: int) -> None:
        seen, status = self.exit(run), state["status"]
        asked = any(change["status"] == Status.CANCEL_REQUESTED for change in state["history"])
        said = f"{summary(state)}; the shim saw {seen}; the script told {run.lines()[-2:]}"
        assert len(run.starts) <= executions, f"run {len(run.starts)} times: {said}"
        if seen is None:
            # Nobody saw the exit: it may not be called a success, and a cancel must have been asked for.
            assert status == "Failed" or (status == "Canceled" and asked), said
        elif seen["stopped"] == "requested" and asked:
            assert status == "Canceled", said
        elif seen["code"] == 0 and not seen["stopped"]:
            assert status == "Completed", said
            assert run.ended, said
        else:
            assert status == "Failed", said
        if status == "Failed":
            assert state["failure"]["title"], said
            assert "bug in jupyter_mltrain" not in state["failure"]["title"], f"{said}\n{state['failure']['traceback']}"
        else:
            assert state["failure"] is None, said

    def _check_history(self, run: Submitted, state: dict[str, Any]) -> None:
        path = [Status(change["status"]) for change in state["history"]]
        assert path[0] is Status.NOT_STARTED, path
        assert all(allowed(a, b) for a, b in pairwise(path)), path
        assert sum(status in TERMINAL for status in path) == 1, path
        times = [change["time"] for change in state["history"]]
        assert times == sorted(times)
        lines = (self.folder(run) / "status.jsonl").read_text().splitlines()
        told = [json.loads(line)["status"] for line in lines]
        assert told == path, f"the folder tells {told}, the index {path}"

    def _check_metrics(self, run: Submitted, state: dict[str, Any]) -> None:
        values = self.connection.get(f"/v1/runs/{run.id}/values").get("loss", [])
        values = values if isinstance(values, list) else [values]
        # A process that is killed between the return of `log` and its own note has logged one more.
        assert run.acknowledged <= len(values) <= run.acknowledged + 1, (run.acknowledged, len(values))
        assert values == [value(i) for i in range(len(values))]
        # Window by window: one that held more points than it may give would be thinned, and rightly differ.
        for first in range(0, len(values) + 1, _WINDOW):
            here = values[first : first + _WINDOW]
            window = self.connection.get(
                f"/v1/runs/{run.id}/series", name="loss", points=_WINDOW, start=first, stop=first + _WINDOW - 1
            )
            assert window["total"] == len(here), f"{window['total']} points from {first} on, {len(here)} logged"
            assert window["steps"] == list(range(first, first + len(here)))
            assert window["values"] == here, "the columns tell other values than the stream"
        counts = {series["name"]: series["count"] for series in state["metrics"]}
        assert counts.get("loss", 0) == len(values), f"the state counts {counts}, there are {len(values)}"


def eventually(holds: Callable[[], T], message: str, said: Callable[[], object] = lambda: "") -> T:
    """What `holds` returns once it is true."""
    deadline = time.monotonic() + PATIENCE
    while not (result := holds()):
        assert time.monotonic() < deadline, message.format(said())
        time.sleep(0.005)
    return result


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Signal a process; after SIGKILL, return once it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    if number == signal.SIGKILL:
        eventually(lambda: not alive(pid), f"{pid} does not die")


def alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in {b"Z", b"X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def ended(state: Mapping[str, Any]) -> bool:
    return Status(state["status"]).terminal


def summary(state: Mapping[str, Any]) -> str:
    path = " → ".join(f"{c['status']}{'(' + c['reason'] + ')' if c['reason'] else ''}" for c in state["history"])
    return f"{state['id']} is {state['status']} [{path}] failure={state['failure']} notices={state['notices']}"


def _json(path: Path) -> dict[str, Any] | None:
    try:
        raw: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return raw


def _is_session_leader(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def _processes(mark: bytes) -> Iterator[tuple[int, str]]:
    me = os.getpid()
    for name in (path.name for path in Path("/proc").iterdir()):
        if not name.isdigit() or int(name) == me:
            continue
        try:
            command = Path(f"/proc/{name}/cmdline").read_bytes()
            environment = Path(f"/proc/{name}/environ").read_bytes()
        except OSError:
            continue
        if (mark in command or mark in environment) and alive(int(name)):
            yield int(name), command.replace(b"\0", b" ").decode(errors="replace").strip()
