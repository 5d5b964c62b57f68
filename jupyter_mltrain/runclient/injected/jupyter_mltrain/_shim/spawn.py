"""The run's process: forked, placed, and held until its shim has written down that it is there."""

from __future__ import annotations

import os
import signal
from typing import Any, Mapping, Sequence

from . import interfaces
from .shield import Shield


class Child:
    """A process that waits for `go` before it becomes the program of `launch` (see `records.py`), or another one that
    gets its argument list (`before`).

    It leads a group of its own; standard input is empty; both outputs are appended to the log. If the shim dies before
    `go`, the process ends without having done anything. `unshielded`: why the data that it reads is not read-only for it
    (`shield`); empty where it is, or where there is none.
    """

    def __init__(self, launch: Mapping[str, Any], before: Sequence[str] = ()) -> None:
        gate_out, self._gate = os.pipe()
        self._problem, problem_in = os.pipe()
        # All that can be made before the fork is: the child between fork and exec should do little.
        env = environment(launch)
        argv = [*before, *(str(part) for part in launch["argv"])]
        shield = Shield(launch.get("read_only", []), str(os.path.dirname(launch["cwd"])))
        shielded, shielded_in = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._gate)
            os.close(self._problem)
            os.close(shielded)
            os.write(shielded_in, shield.up().encode("utf-8", "replace")[:4096])
            os.close(shielded_in)
            _become(launch, argv, env, gate_out, problem_in)
        for fd in (gate_out, problem_in, shielded_in):
            os.close(fd)
        self.unshielded = _all_of(shielded).decode("utf-8", "replace")

    def go(self) -> str:
        """Let the program start; returns what kept it from starting, or an empty string."""
        os.write(self._gate, b"1")
        os.close(self._gate)
        return _all_of(self._problem).decode("utf-8", "replace")  # ends when the child has become the program


def environment(launch: Mapping[str, Any]) -> dict[str, str]:
    """The shim's own environment (which holds the secrets), and on top that of the launch file. The environment's
    interpreter comes first on PATH, as if it were activated."""
    env = dict(os.environ)
    env.update(interfaces.named({str(k): str(v) for k, v in launch["env"].items()}))
    python = env.get("MLTRAIN_PYTHON")
    if python and os.path.isabs(python) and "PATH" not in launch["env"]:
        env["PATH"] = os.pathsep.join([os.path.dirname(python), env.get("PATH", os.defpath)])
    return env


def _all_of(pipe: int) -> bytes:
    """What comes through a pipe until nobody has its other end; closes it."""
    said = b""
    while True:
        part = os.read(pipe, 4096)
        if not part:
            break
        said += part
    os.close(pipe)
    return said


def _cpus(asked: Any) -> list[int]:
    """The CPUs of those indexes; for a number, the first so many that this machine lets us use."""
    return list(asked) if isinstance(asked, list) else sorted(os.sched_getaffinity(0))[:asked]


def _become(launch: Mapping[str, Any], argv: list[str], env: Mapping[str, str], gate: int, problem: int) -> None:
    step = "start it"
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        # Python ignores some signals; a program that is started expects them as they are by default.
        for name in ("SIGHUP", "SIGINT", "SIGTERM", "SIGCHLD", "SIGPIPE", "SIGXFSZ"):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        step = f"open its log {launch['log']}"
        log = os.open(launch["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        step = f"enter its folder {launch['cwd']}"
        os.chdir(launch["cwd"])
        if launch.get("cpus"):
            step = f"keep it on CPUs {launch['cpus']}"
            os.sched_setaffinity(0, _cpus(launch["cpus"]))
        if os.read(gate, 1) != b"1":
            os._exit(0)  # the shim is gone, and nobody knows of this process
        step = f"run {argv[0]}"
        os.execvpe(argv[0], argv, env)  # noqa: S606 - an argument list, never a shell
    except BaseException as error:  # noqa: BLE001 - a forked child must not return into the shim, whatever happens
        reason = getattr(error, "strerror", None) or repr(error)
        os.write(problem, f"could not {step}: {reason}".encode("utf-8", "replace"))
    os._exit(127)
